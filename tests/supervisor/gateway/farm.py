"""Several scripted servers behind one gateway; each test names the models that it wants to have."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from aish.wire.spec import FailoverPart

from .claude import KEY, Claude
from .conftest import World
from .upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_ids = itertools.count(5000)


class Farm:
    """`one` and `two` speak OpenAI's dialect, `spare` is of llama.cpp, `claude` speaks Anthropic's."""

    def __init__(self, root: Path) -> None:
        self.world = World(root)
        self.one, self.two = Upstream("127.0.0.1:0"), Upstream("127.0.0.1:0")
        self.spare = Upstream(f"unix:{root}/spare.sock", llamacpp=True)
        self.claude = Claude(f"unix:{root}/claude.sock")
        self.key_file = root / "claude.key"
        self.key_file.write_text(KEY + "\n")
        self.key_file.chmod(0o600)
        self.ids: list[str] = []

    @property
    def servers(self) -> tuple[Upstream, ...]:
        return self.one, self.two, self.spare, self.claude

    def start(self) -> Farm:
        for server in self.servers:
            server.start()
        self.world.start()
        return self

    def stop(self) -> None:
        self.world.stop()
        for server in self.servers:
            server.stop()

    def serve(
        self,
        name: str,
        server: Upstream,
        *,
        ready: bool = True,
        fallback: Sequence[str] = (),
        retries: int = 0,
        **route: Any,
    ) -> str:
        """A model of that name there; returns its process."""
        id = f"p{next(_ids)}"
        self.ids.append(id)
        if server is self.claude:
            route = {"dialect": "anthropic", "key_file": str(self.key_file), **route}
        failover = FailoverPart(fallback=list(fallback), retries=retries)
        self.world.daemon.model(id, name, server.route, failover, **route)
        if ready:
            self.world.daemon.ready(id)
        return id

    def clear(self) -> None:
        """No models, no faults."""
        for id in self.ids:
            self.world.daemon.change(id, alive=False)
        self.ids.clear()
        for server in self.servers:
            server.faults.clear()
            server.broken = None

    def asked(self, server: Upstream) -> int:
        """Requests that came there, probes left out."""
        with server.changed:
            return sum("hi" not in (body.get("prompt"), *_said(body)) for body in server.requests)


def _said(body: dict[str, Any]) -> list[Any]:
    return [message["content"] for message in body.get("messages", ())]
