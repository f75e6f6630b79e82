"""Which models are answered for by another one, and which processes are while a usage window is reserved: told when
that begins and when it ends, not for each request."""

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
        """By the process of the model that was asked for, or by the process that asks."""

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

    def moved(self, process: str, to: str, why: str) -> None:
        """A request of that process is answered by another model than it asked for: a window is reserved."""
        if self._to.get(process) != to and process in self._directory.members:
            self._to[process] = to
            log("window", f"{process} -> {to}: {why}")
            self._tell(process, FellBack(number=0, id=process, to=to, text=why))

    def back(self, process: str) -> None:
        """That process asks what it wants to ask."""
        if self._to and self._to.pop(process, None) is not None:
            log("window", f"{process} asks its own model again")
            self._tell(process, FellBack(number=0, id=process))

    def forget(self, id: str) -> None:
        """That process is gone."""
        self._to.pop(id, None)

    def _tell(self, id: str, event: FellBack) -> None:
        self._spending.event(f"fall-back/{id}", event)
