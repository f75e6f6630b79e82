"""The places of a model's servers and the requests that wait for one: who goes next, and to which server. Pure.

A place is never free while somebody waits who may have it. Who goes next is the business of shares.py; where it
goes, that of the prefix of its prompt: a server that holds it (a home) answers many times sooner. So

- a request goes to its home where that has a place, unless it has far more to do than another server;
- where only another one is free, somebody at home there, or nowhere, may go first instead, PASSES times at most:
  delay scheduling (Zaharia et al. 2010). Where nobody is, the request goes there at once: a home from then on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from aish.supervisor.gateway.routes import Server, choose
from aish.supervisor.gateway.shares import Shares, Turn

PASSES: Final = 8
"""With two servers, all but one in 256 find a place at home that soon where both are as busy."""
LOOK: Final = 64
"""How many of those that wait are looked at for one that is at home."""
SLACK: Final = 4
"""So many requests more than twice those of the least busy server make a home too busy."""


@dataclass(slots=True, eq=False)
class Ticket(Turn):
    """A request that wants a place. `servers`: where it may go; `homes`: those of them that hold the prefix of its
    prompt."""

    servers: tuple[Server, ...] = ()
    homes: frozenset[Server] = frozenset()
    passed: int = 0
    """How often somebody went first since he was at home where the place was."""
    server: Server | None = None
    """Where its place is."""
    waits: bool = False

    def wanted(self) -> Sequence[Server]:
        """Homes that are not too busy; without any, every server is as good."""
        least = min(server.in_flight for server in self.servers)
        return [
            server
            for server in self.servers
            if server in self.homes and server.in_flight <= 2 * least + SLACK
        ]  # fmt: skip


class Pool:
    """The servers of one model, and who waits for them. `nice` tells the niceness of a process."""

    def __init__(self, nice: Callable[[str], int]) -> None:
        self._shares = Shares(nice)
        self._at_work = 0
        self._wanted: Counter[tuple[Server, ...]] = Counter()

    @property
    def waiting(self) -> int:
        return self._shares.waiting

    @property
    def idle(self) -> bool:
        return not self.waiting and not self._at_work

    def join(self, ticket: Ticket, line: tuple[str, ...], now_s: float) -> None:
        """It waits from now on; `advance` gives places. `line`: its process and those above it, nearest first."""
        self._shares.join(ticket, line, now_s)
        self._wanted[ticket.servers] += 1
        ticket.waits = True

    def move(self, ticket: Ticket, servers: tuple[Server, ...]) -> None:
        """It waits, and may go to these from now on."""
        self._wants_no_more(ticket)
        ticket.servers = servers
        self._wanted[servers] += 1

    def withdraw(self, ticket: Ticket) -> None:
        """It does not want a place any more, and has none."""
        self._wants_no_more(ticket)
        self._shares.withdraw(ticket)
        ticket.waits = False

    def advance(self, now_s: float) -> list[Ticket]:
        """Give every free place to somebody who waits; returns who got one."""
        given: list[Ticket] = []
        while self.waiting:
            found = self._next(now_s)
            if found is None:
                break
            ticket, server = found
            self._wants_no_more(ticket)
            self._shares.begin(ticket, now_s)
            self._at_work += 1
            ticket.waits = False
            take(ticket, server)
            given.append(ticket)
        return given

    def end(self, ticket: Ticket, now_s: float) -> None:
        """Its place is free again."""
        self._at_work -= 1
        self._shares.end(ticket, now_s)
        leave(ticket)

    def order(self, now_s: float) -> Iterator[Ticket]:
        """Who waits, in the order in which they will go if nobody comes or goes."""
        for turn in self._shares.order(now_s):
            assert isinstance(turn, Ticket)
            yield turn

    def _next(self, now_s: float) -> tuple[Ticket, Server] | None:
        """Who is next to have a place, and where. None: nobody can have one now."""
        free = {servers for servers in self._wanted if any(server.has_place for server in servers)}
        if not free:
            return None
        able = (ticket for ticket in self.order(now_s) if ticket.servers in free)
        first = next(able, None)
        if first is None:
            return None
        server, at_home = spot(first)
        if not at_home and first.passed < PASSES:
            for other in islice(able, LOOK):
                elsewhere, at_home = spot(other)
                if at_home:
                    first.passed += 1
                    return other, elsewhere
        return first, server

    def _wants_no_more(self, ticket: Ticket) -> None:
        self._wanted[ticket.servers] -= 1
        if not self._wanted[ticket.servers]:
            del self._wanted[ticket.servers]


def spot(ticket: Ticket) -> tuple[Server, bool]:
    """The best server with a place for it, of which there must be one, and whether it is as good as any."""
    free = [server for server in ticket.servers if server.has_place]
    wanted = ticket.wanted()
    homes = [server for server in wanted if server.has_place]
    server = choose(homes or free)
    assert server is not None
    return server, not wanted or bool(homes)


def take(ticket: Ticket, server: Server) -> None:
    """It has a place there."""
    ticket.server = server
    server.in_flight += 1
    server.sent += 1


def leave(ticket: Ticket) -> None:
    """Its place is free again."""
    assert ticket.server is not None
    ticket.server.in_flight -= 1
    ticket.server = None
