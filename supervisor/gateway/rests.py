"""Servers that rest: what happens to requests goes into their breakers, and what comes of it is told.

See breaker.py for the states, failure.py for what counts.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from typing import Final

from aish.errors import UpstreamError
from aish.model.dialect import CLIENT
from aish.supervisor.gateway.bell import Bell
from aish.supervisor.gateway.breaker import (
    CLOSED,
    Answered,
    Asked,
    Began,
    Dropped,
    Event,
    Failed,
    Revived,
    step,
)
from aish.supervisor.gateway.failure import Failure
from aish.supervisor.gateway.log import log
from aish.supervisor.gateway.routes import Server
from aish.supervisor.gateway.spending import Spending
from aish.wire.link import Resting

LEAST_S: Final = 1.0
"""What is told to who is refused while another request tries."""


_ASKED: Final = Asked()
_BEGAN: Final = Began()
_ANSWERED: Final = Answered()
_DROPPED: Final = Dropped()


class RestingError(UpstreamError):
    """All servers of the model that are there rest; `left_s` is how long at least."""

    def __init__(self, message: str, *, status: int, left_s: float) -> None:
        super().__init__(message, status=status)
        self.left_s = left_s

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(max(1, math.ceil(self.left_s)))}


class Rests:
    """The breakers of all servers. One per gateway."""

    def __init__(self, spending: Spending, bell: Bell) -> None:
        self._spending = spending
        self._bell = bell

    def admits(self, server: Server) -> bool:
        """Whether a request may be sent to it now."""
        return server.breaker.admits(_now_s())

    def asks(self, server: Server, number: int) -> bool:
        """A request is about to be sent: whether it may."""
        if server.breaker is CLOSED:
            return True
        if not self.admits(server):
            return False
        self._step(server, _ASKED, number)
        return True

    def began(self, server: Server, number: int) -> None:
        """Its answer begins."""
        self._step(server, _BEGAN, number)

    def answered(self, server: Server, number: int) -> None:
        self._step(server, _ANSWERED, number)

    def dropped(self, server: Server, number: int) -> None:
        """It ended, and nothing was learned about the server. After any of the others it changes nothing."""
        self._step(server, _DROPPED, number)

    def failed(self, server: Server, number: int, failure: Failure) -> None:
        if not failure.elsewhere:  # it was answered, if only to say no; a refused key is the probe's
            self._step(server, _DROPPED if failure.status is None else _ANSWERED, number)
        elif failure.status == 429 and server.login == CLIENT:
            self._step(server, _DROPPED, number)  # that is about the client's own account
        else:
            self._step(server, Failed(failure.why, failure.status, failure.rest_s), number)

    def revived(self, server: Server) -> None:
        """The probe found it ready after it was not."""
        self._step(server, Revived(), 0)

    def failure(self, server: Server) -> Failure:
        """What it is to find that it rests, when a request was about to be sent."""
        error = self.error(server.name, (server,))
        return Failure(error, str(error), None, elsewhere=True, untaken=False, doubts=False, rest_s=error.left_s)

    def error(self, name: str, servers: Sequence[Server]) -> RestingError:
        """What to tell who wants the model whose servers these are, all of which rest."""
        now_s = _now_s()
        first = min(servers, key=lambda server: server.breaker.left_s(now_s))
        breaker = first.breaker
        left_s = max(LEAST_S, breaker.left_s(now_s))
        return RestingError(
            f"{name} rests for {math.ceil(left_s)} s: {breaker.why}",
            status=breaker.status if breaker.status in (429, 529) else 503,
            left_s=left_s,
        )

    def _step(self, server: Server, event: Event, number: int) -> None:
        before = server.breaker
        if before is CLOSED and not isinstance(event, Failed):
            return
        after = server.breaker = step(before, event, number, _now_s())
        if after is before:
            return
        if after.state == "open" and (before.state != "open" or after.until_s > before.until_s):
            left_s = after.left_s(_now_s())
            log("rest", f"{server.name} ({server.id}) rests for {left_s:.0f} s: {after.why}")
            told = Resting(number=0, id=server.id, until_s=time.time() + left_s, text=after.why)
            self._spending.event(f"rest/{server.id}", told)
            self._bell.ring()  # who waits for a place there has to look elsewhere
        elif after.state == "closed" and before.state != "closed":
            log("rest", f"{server.name} ({server.id}) is asked again")
            self._spending.event(f"rest/{server.id}", Resting(number=0, id=server.id))
            self._bell.ring()


def _now_s() -> float:
    return asyncio.get_running_loop().time()
