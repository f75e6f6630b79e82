"""One request on its way to an answer, over as many attempts and models as that takes; and what ends an attempt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from aish.errors import AishError, BudgetError, InputError
from aish.model import state
from aish.model.dialect import CLIENT
from aish.supervisor.gateway.dialects import openai
from aish.supervisor.gateway.dialects.crossing import cross
from aish.supervisor.gateway.dialects.headers import NO_FALLBACK
from aish.supervisor.gateway.routes import Server, origin
from aish.supervisor.gateway.turns import NobodyError, Wish

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from aish.supervisor.gateway.budget import Claim, Reservation
    from aish.supervisor.gateway.dialects.call import Call
    from aish.supervisor.gateway.failure import Failure
    from aish.supervisor.gateway.settling import Exchange
    from aish.wire.spec import LastWordPart


class FailedError(Exception):
    """An attempt failed, and nothing of it went to the client."""

    def __init__(self, server: Server, failure: Failure) -> None:
        super().__init__(failure.why)
        self.server, self.failure = server, failure


class NoAnswerError(Exception):
    """A model does not answer, for a reason that another one may not have. `error` is for the client."""

    def __init__(self, error: AishError) -> None:
        super().__init__(str(error))
        self.error = error


class MovedError(Exception):
    """A usage window is reserved, and its process wants the model `to` to answer rather than to wait."""

    def __init__(self, to: str, why: str) -> None:
        super().__init__(why)
        self.to = to


class NoRoomError(BudgetError):
    """A budget has no room for a further attempt."""


def _nothing() -> None:
    pass


class Course(msgspec.Struct):
    """One request on its way. `said`: by the client; `call`: with what is added to it for a `last` message. `model`:
    the one that is asked in its place, a fall-back or what its process was switched to; None: what was asked for."""

    exchange: Exchange
    said: Call
    call: Call
    last: LastWordPart | None = None
    model: str | None = None
    patient: bool = True
    """Whether a model that does not answer is waited for: there is nobody else to ask."""
    further: bool = False
    """The model was asked before: it is not waited for once more."""
    moves: bool = True
    """It may be answered by the model that its process names for reserved windows."""
    later: bool = False
    """No server that is ready can be asked this in its dialect, and one that is loading could."""
    tried: set[Server] = msgspec.field(default_factory=set)
    """Servers that are not asked now."""
    unfit: set[Server] = msgspec.field(default_factory=set)
    """Servers that cannot be asked this in their dialect."""
    seen: set[Server] = msgspec.field(default_factory=set)
    """Every server that was asked."""
    logins: set[str] = msgspec.field(default_factory=set)
    """Where a client's own login may go in place of where the client meant it to go: there as well."""
    claim: Claim | None = None
    reservation: Reservation | None = None
    late: asyncio.Task[None] | None = None
    """Counts what the attempt before may have used."""
    well: Callable[[], None] = _nothing
    """Called when an answer begins."""

    @property
    def name(self) -> str:
        return self.call.model if self.model is None else self.model

    @property
    def embedding(self) -> bool:
        return self.call.endpoint == openai.EMBEDDINGS

    @property
    def alone(self) -> bool:
        """Whether no other model may answer. Vectors of another would mean nothing to who has some of this one."""
        headers = self.exchange.request.headers
        return self.embedding or headers.get(NO_FALLBACK, "").strip() in ("1", "true")

    @property
    def wish(self) -> Wish:
        return Wish(self.call, self.name, self.fits, self.patient, self.further, self.later)

    def fits(self, server: Server) -> bool:
        """Whether it may be sent there."""
        if server in self.tried or server in self.unfit:
            return False
        return self.model is None or server.login != CLIENT or origin(server.url) in self.logins

    def able(self, servers: tuple[Server, ...], every: tuple[Server, ...]) -> tuple[Server, ...]:
        """Those that can be asked this, of `every` one of the model. Where all speak alike, that is found out when
        one is asked. None where one that is loading is to be waited for.

        Raises InputError, NobodyError where one that could was asked before."""
        if not self.further and (len(every) == 1 or len({_speech(server) for server in every}) == 1):
            return servers
        refused = self._sort_out(servers)
        able = tuple(server for server in servers if server not in self.unfit)
        if able or refused is None:
            return able
        if self.further:
            raise NobodyError(f"no other server of {self.name} can be asked this: {refused}")
        loading = [server for server in every if server.ready == state.NO and server.hopeless is None]
        self._sort_out(loading)
        self.later = any(map(self.fits, loading))
        if not self.later:
            raise refused
        return ()

    def _sort_out(self, servers: Sequence[Server]) -> InputError | None:
        """Finds out which of them cannot be asked this; returns why."""
        refused: InputError | None = None
        alike: dict[tuple[object, ...], list[Server]] = {}
        for server in servers:
            alike.setdefault(_speech(server), []).append(server)
        for group in alike.values():
            try:
                cross(self.call, self.exchange.dialect, group[0], self.model)
            except InputError as error:
                refused = refused or error
                self.unfit.update(group)
        return refused


def _speech(server: Server) -> tuple[object, ...]:
    """What of a server decides what it can be asked."""
    return server.dialect, server.has_responses, server.drops_tools
