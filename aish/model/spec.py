"""What is wanted of a process. `Spec` is journaled and shown; `Launch` is private to the calling environment.

The split keeps secrets out of the journal: an environment may hold keys, so `Launch` goes to a 0600 file in the
runtime folder and never into SQLite, events or `inspect`.
"""

from __future__ import annotations

from aish.model import kind as kinds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, Literal

    from aish.model.kind import Kind

    Restart = Literal["never", "on-failure", "always"]
    Rights = Literal["own", "owner"]

RESTARTS: Final = ("never", "on-failure", "always")


class Quota:
    """GPU share: `vram_bytes` per device on `gpu_count` devices; None where none is asked for."""

    __slots__ = ("gpu_count", "vram_bytes")

    def __init__(self, vram_bytes: int | None = None, gpu_count: int = 1) -> None:
        self.vram_bytes = vram_bytes
        self.gpu_count = gpu_count


class Budget:
    """What a process may spend at the gateway, counted down its whole subtree; None: unlimited.

    `tokens` is input + output, as the model server counts them.
    """

    __slots__ = ("tokens",)

    def __init__(self, tokens: int | None = None) -> None:
        self.tokens = tokens


class ModelRoute:
    """How the gateway reaches a model process.

    `url` is an http base that speaks OpenAI's dialect (`http://127.0.0.1:{port}/v1`; `{port}` is leased by the
    daemon at start) or `unix:PATH` of a socket that does. `upstream_name` is the name that the server itself uses.
    `digest` is the manifest digest of a stored model. A remote `url` has an empty argv: there is nothing to run.
    `key_file` names a 0600 file whose first line is the upstream's key; only the gateway reads it.
    """

    __slots__ = ("context_tokens", "digest", "key_file", "upstream_name", "url")

    def __init__(
        self,
        url: str,
        upstream_name: str | None = None,
        digest: str | None = None,
        context_tokens: int | None = None,
        key_file: str | None = None,
    ) -> None:
        self.url = url
        self.upstream_name = upstream_name
        self.digest = digest
        self.context_tokens = context_tokens
        self.key_file = key_file


class Spec:
    """The declared part of a process.

    `argv` and `cwd` are str with surrogateescape. `name` is unique among processes that have not ended.
    `stop_signal` is sent to the process group, SIGKILL after `grace_s`. `model` is the name of the model that an
    agent uses (None: the default). `route` is set for kind model only.
    """

    __slots__ = (
        "argv",
        "budget",
        "cwd",
        "grace_s",
        "kind",
        "model",
        "name",
        "pty",
        "quota",
        "restart",
        "rights",
        "route",
        "secrets",
        "stop_signal",
    )

    def __init__(
        self,
        argv: tuple[str, ...],
        *,
        cwd: str = "/",
        name: str | None = None,
        kind: Kind = kinds.COMMAND,
        quota: Quota | None = None,
        budget: Budget | None = None,
        route: ModelRoute | None = None,
        model: str | None = None,
        restart: Restart = "never",
        rights: Rights = "own",
        secrets: tuple[str, ...] = (),
        stop_signal: int = 15,
        grace_s: float = 10.0,
        pty: bool = False,
    ) -> None:
        self.argv = argv
        self.cwd = cwd
        self.name = name
        self.kind: Kind = kind
        self.quota = quota or Quota()
        self.budget = budget or Budget()
        self.route = route
        self.model = model
        self.restart: Restart = restart
        self.rights: Rights = rights
        self.secrets = secrets
        self.stop_signal = stop_signal
        self.grace_s = grace_s
        self.pty = pty


class Launch:
    """The caller's surroundings, captured so that a child starts as if the calling shell had forked it.

    `environ` maps names to values (surrogateescape), `rlimits` resource names ("NOFILE") to (soft, hard), where
    -1 is infinity. `nice` is absolute (-20..19).
    """

    __slots__ = ("environ", "nice", "rlimits", "umask")

    def __init__(
        self,
        environ: dict[str, str],
        umask: int = 0o022,
        rlimits: dict[str, tuple[int, int]] | None = None,
        nice: int = 0,
    ) -> None:
        self.environ = environ
        self.umask = umask
        self.rlimits = rlimits or {}
        self.nice = nice
