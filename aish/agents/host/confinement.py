"""An agent's sandbox, as its host has it: around its program and its commands, and for what is done in its name."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from aish.errors import NotFoundError
from aish.model.sandbox import OPEN, PROXY
from aish.sandbox import reach
from aish.sandbox.profile import doors
from aish.spi.agent_adapter import Entry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aish.sandbox.hosted import Entered, Sandbox

_SHELL = "/bin/sh"


class Confined:
    """Implements aish.spi.agent_adapter.Confinement. `folder`: the host's own, that its program reads settings in;
    `cwd`: where the agent works; `stays`: a folder for what its program keeps from turn to turn."""

    def __init__(self, sandbox: Sandbox, gateway_url: str, folder: str, cwd: str, stays: str | None = None) -> None:
        self._sandbox, self._gateway_url, self._folder = sandbox, gateway_url, folder
        self._plan = sandbox.plan([_SHELL], _SHELL, os.environ, cwd)
        self.stays = stays
        found = doors(sandbox.part)
        self.offline = sandbox.part.profile != OPEN and PROXY not in found
        self.proxy = sandbox.outlets(gateway_url).proxy_url(os.environ.get("AISH_ID", "")) if PROXY in found else None

    def around(self, argv: Sequence[str], found: str, environ: Mapping[str, str], cwd: str) -> Entered:
        """What is started in place of the program `found`. Raises UnavailableError."""
        return self._entered(self._sandbox, argv, found, environ, cwd, self.stays)

    def enter(self, argv: Sequence[str], environ: Mapping[str, str], cwd: str, *, looking: bool = False) -> Entry:
        """Raises NotFoundError, UnavailableError."""
        found = shutil.which(argv[0], path=environ.get("PATH"))
        if found is None:
            raise NotFoundError(f"{argv[0]} is not installed")
        sandbox = self._sandbox.looking(argv, found, environ, cwd) if looking else self._sandbox
        entered = self._entered(sandbox, argv, found, environ, cwd, None)
        return Entry(entered.argv, entered.environ, tuple(entered.fds))

    def _entered(
        self,
        sandbox: Sandbox,
        argv: Sequence[str],
        found: str,
        environ: Mapping[str, str],
        cwd: str,
        stays: str | None,
    ) -> Entered:
        return sandbox.around(
            argv, found, environ, cwd, gateway_url=self._gateway_url, folder=self._folder, stays=stays
        )

    def reads(self, path: str) -> bool:
        return reach.reads(self._plan, path)

    def writes(self, path: str) -> bool:
        return reach.writes(self._plan, path)
