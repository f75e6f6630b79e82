"""Planning: which command serves a stored GGUF, on which socket."""

from __future__ import annotations

import importlib.util
import os
import sys

from aish.config import folders, slots
from aish.errors import UnavailableError
from aish.plugins.llamacpp import settings
from aish.plugins.llamacpp.cores import cores, memory_bytes
from aish.spi.model_server import ServePlan, StoredModel

_SOCKET_PATH_MOST = 107
"""sizeof(sockaddr_un.sun_path) less the final zero."""


class Server:
    """aish.spi.model_server.ModelServer for llama.cpp."""

    name = "llamacpp"

    def serves(self, model: StoredModel) -> bool:
        return model.format == "gguf"

    def missing(self) -> str | None:
        """Looked for, not imported: the library is loaded by the child alone."""
        if importlib.util.find_spec("xllamacpp") is None:
            return "to run models here, xllamacpp is needed: pip install 'aish-shell[local]'"
        return None

    def plan(self, model: StoredModel, socket_path: str) -> ServePlan:
        """Raises UsageError (an option in the manifest is wrong), UnavailableError (the socket's path is too long).

        Nothing of the library is loaded: this runs in the daemon.
        """
        if len(os.fsencode(socket_path)) > _SOCKET_PATH_MOST:
            raise UnavailableError(
                f"the path of the model's socket is longer than {_SOCKET_PATH_MOST} bytes: {socket_path}",
                hint="set XDG_RUNTIME_DIR to a shorter folder",
            )
        chosen = settings.decide(model.options, model.context_tokens, cores(), memory_bytes())
        argv = [sys.executable, "-P", "-m", "aish.plugins.llamacpp"]
        argv += ["--gguf", model.path, "--socket", socket_path, "--alias", model.name]
        argv += ["--slots-folder", slots.drafts(folders.state())]
        return ServePlan(
            argv=(*argv, *settings.to_arguments(chosen)),
            url=f"unix:{socket_path}",
            environ={
                "OMP_WAIT_POLICY": "passive",  # waiting threads sleep: see docs/adr/0004
                "GGML_NO_BACKTRACE": "1",  # a fault must not start a debugger
            },
            upstream_name=model.name,
            context_tokens=chosen.ctx_tokens,
        )
