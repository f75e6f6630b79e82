"""A program that serves stored models. Entry point group `aish.model_server`: a callable that returns a ModelServer.

The server runs as a supervised child, never inside the daemon; it must speak OpenAI's dialect at the place that its
plan names. The gateway finds out by itself when it is ready: a one-token completion (or one embedding) succeeds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredModel:
    """A model in the store. `path` is the weights' immutable blob; `format` is "gguf" or "safetensors".

    `context_tokens` is what the weights were trained for, None where the file does not say.
    `options` are the parameters of the manifest (context size, pooling, parallel slots ...), as text.
    """

    name: str
    digest: str
    path: str
    format: str
    size_bytes: int
    architecture: str | None = None
    context_tokens: int | None = None
    options: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServePlan:
    """How to run the server: `url` is what the gateway connects to (`unix:PATH` or `http://127.0.0.1:{port}/v1`).

    `upstream_name` is the name to send in requests; `context_tokens` what one request may hold.
    """

    argv: tuple[str, ...]
    url: str
    environ: dict[str, str] = field(default_factory=dict)
    upstream_name: str | None = None
    context_tokens: int | None = None
    vram_bytes: int | None = None


@runtime_checkable
class ModelServer(Protocol):
    name: str

    def serves(self, model: StoredModel) -> bool:
        """Whether this server can run such a model."""
        ...

    def missing(self) -> str | None:
        """What has to be installed first, as a sentence with the command; None when it can run."""
        ...

    def plan(self, model: StoredModel, socket_path: str) -> ServePlan:
        """How to serve `model`; `socket_path` is a free path in the runtime folder for a Unix socket."""
        ...
