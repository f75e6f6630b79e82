"""Which models are answered for by another one: told when that begins and when it ends, not for each request."""

from __future__ import annotations

from aish.supervisor.gateway.log import log
from aish.supervisor.gateway.routes import Directory, Running, Server
from aish.supervisor.gateway.spending import Spending
from aish.wire.link import FellBack


class Fallbacks:
    """One per gateway."""

    def __init__(self, directory: Directory, spending: Spending) -> None:
        self._directory = directory
        self._spending = spending
        self._to: dict[str, str] = {}
        """By the process of the model that was asked for."""

    def began(self, server: Server, to: str, why: str) -> None:
        """A request to the model of that server is answered by another model."""
        if self._to.get(server.id) == to:
            return
        self._to[server.id] = to
        log("fall-back", f"{server.name} ({server.id}) -> {to}: {why}")
        self._tell(server.id, FellBack(number=0, id=server.id, to=to, text=why))

    def over(self, asked: str) -> None:
        """The model that `asked` means has answered by itself."""
        if not self._to:
            return
        found = self._directory.find(asked)
        for server in found.servers if isinstance(found, Running) else ():
            if self._to.pop(server.id, None) is not None:
                log("fall-back", f"{server.name} ({server.id}) answers again")
                self._tell(server.id, FellBack(number=0, id=server.id))

    def forget(self, id: str) -> None:
        """That process is gone."""
        self._to.pop(id, None)

    def _tell(self, id: str, event: FellBack) -> None:
        self._spending.event(f"fall-back/{id}", event)
