"""One request at one server: what becomes of it is told to the server's probe and breaker."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from aish.errors import UpstreamError
from aish.supervisor.gateway.failure import Failure, judge
from aish.supervisor.gateway.probe import Probes
from aish.supervisor.gateway.rests import Rests
from aish.supervisor.gateway.routes import Server


class Asking(msgspec.Struct, frozen=True):
    """`number` tells it from others at the same server."""

    server: Server
    number: int
    probes: Probes
    rests: Rests
    well: Callable[[], None]
    """Called when it is answered."""

    def begins(self) -> bool:
        """Whether it may be sent now."""
        return self.rests.asks(self.server, self.number)

    def began(self) -> None:
        """The first word of an answer."""
        self.well()
        self.rests.began(self.server, self.number)

    def answered(self) -> None:
        """To the end."""
        self.well()
        self.rests.answered(self.server, self.number)

    def failed(self, error: UpstreamError) -> Failure:
        failure = judge(error, self.server.name)
        if failure.doubts:
            self.probes.doubt(self.server)
        self.rests.failed(self.server, self.number, failure)
        return failure

    def over(self) -> None:
        """Whatever came of it: others may try."""
        self.rests.dropped(self.server, self.number)
