"""Every request waits here for its turn at a server: after it has its reservation, before it is sent.

    ready, nobody holds it -> in the queue -> a place -> sent -> ... -> the place goes to the next

Whatever happens meanwhile is looked at anew: the client hangs up (its task is cancelled), the key is revoked, the
process ends, a person holds it or the model, a server goes, comes or says how many it serves. Who waits keeps its
place among the requests of its process whatever it waits for.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import msgspec

from aish.errors import RefusedError, UnavailableError
from aish.supervisor.gateway import places
from aish.supervisor.gateway.bell import Bell
from aish.supervisor.gateway.dialects import openai
from aish.supervisor.gateway.dialects.call import Call
from aish.supervisor.gateway.keys import Keys
from aish.supervisor.gateway.meter import Live
from aish.supervisor.gateway.models import Models
from aish.supervisor.gateway.places import Pool, Ticket
from aish.supervisor.gateway.prefixes import Prefixes, marks
from aish.supervisor.gateway.routes import Directory, Server, Unknown
from aish.supervisor.gateway.settling import Exchange


@dataclass(slots=True)
class _Wait:
    """A request in the queue. The future is done when it has a place, or has to look again for a server."""

    future: asyncio.Future[None]
    pool: Pool
    account: str
    wish: Wish
    live: Live


_NOWHERE: Final[frozenset[Server]] = frozenset()


def _any(_server: Server) -> bool:
    return True


class Wish(msgspec.Struct):
    """What a request wants: a place at a server of the model `name` of which `fits` is true. `patient`: see
    Models.ready. `further`: it was asked before, and waits for no server to get ready."""

    call: Call
    name: str
    fits: Callable[[Server], bool] = _any
    patient: bool = True
    further: bool = False
    later: bool = False
    """Of the servers that are ready none fits, and of those that are loading one does."""

    @property
    def embedding(self) -> bool:
        return self.call.endpoint == openai.EMBEDDINGS


class NobodyError(UnavailableError):
    """No server of the model can be asked now, and none is waited for."""


class Turns:
    """The queues of all models. `line` tells a process and those above it, nearest first: shares go down the process
    tree, whatever else has a budget."""

    def __init__(
        self,
        *,
        directory: Directory,
        bell: Bell,
        keys: Keys,
        models: Models,
        line: Callable[[str], tuple[str, ...]],
    ) -> None:
        self._directory = directory
        self._bell = bell
        self._keys = keys
        self._models = models
        self._line = line
        self._pools: dict[str, Pool] = {}
        """By the name that the servers themselves use."""
        self._waits: dict[Ticket, _Wait] = {}
        self._prefixes = Prefixes()
        bell.tell(self.look)

    async def ready(self, exchange: Exchange, wish: Wish) -> tuple[Server, ...]:
        """Servers of the model that are ready, as soon as there is one and no person holds the process.

        Raises RefusedError, NobodyError, and what Models.ready raises."""
        account, live = exchange.row.process, exchange.live
        while True:
            while self._directory.held(account):
                live.why = "paused"
                await self._bell.wait_until(None)
                self._keys.alive(account)
            servers = self._open(wish)
            if not servers and not wish.further:
                await self._models.ready(
                    wish.name,
                    account,
                    live,
                    partial(self._keys.alive, account),
                    embedding=wish.embedding,
                    patient=wish.patient,
                    fits=wish.fits if wish.later else None,
                )
                servers = self._open(wish)
            if not servers and (wish.further or self._models.open(wish.name, embedding=wish.embedding)):
                raise NobodyError(f"no other server of {live.model} can be asked now")
            if servers and not self._directory.held(account):
                return servers

    def at_once(self, exchange: Exchange, wish: Wish) -> tuple[Server, ...]:
        """The same where nothing is waited for, as it mostly is; () else."""
        return () if self._directory.held(exchange.row.process) else self._open(wish)

    def _open(self, wish: Wish) -> tuple[Server, ...]:
        return self._models.open(wish.name, embedding=wish.call.endpoint == openai.EMBEDDINGS, fits=wish.fits)

    async def turn(self, exchange: Exchange, wish: Wish) -> Place:
        """A place at one of the model's servers, as soon as it is this request's turn; to be entered at once. Raises
        as `ready` does."""
        known: tuple[bytes, ...] | None = None
        while True:
            servers = self.at_once(exchange, wish) or await self.ready(exchange, wish)
            homes = _NOWHERE
            if len(servers) > 1:
                known = marks(wish.call) if known is None else known
                homes = self._prefixes.homes(servers, known)
            ticket = Ticket(exchange.row.number, servers=servers, homes=homes)
            if _boundless(servers):
                pool = None  # there is always a place: nobody waits
                places.take(ticket, places.spot(ticket)[0] if len(servers) > 1 else servers[0])
            else:
                pool = self._pool(servers[0])
                pool.join(ticket, self._line(exchange.row.process), _now_s())
                self._advance()
                if ticket.server is None:
                    await self._wait(ticket, _Wait(_future(), pool, exchange.row.process, wish, exchange.live))
            if ticket.server is not None:
                if known:
                    self._prefixes.put(ticket.server, known)
                return Place(self, ticket, pool, ticket.server)
            self._still_there(exchange, wish)

    def _still_there(self, exchange: Exchange, wish: Wish) -> None:
        """Raises UnavailableError where nobody knows the model any more: it did exist when the request came."""
        found = self._directory.find(wish.name, embedding=wish.embedding)
        if isinstance(found, Unknown):
            name = exchange.live.model
            raise UnavailableError(
                f"the model {name} ended while the request waited for its turn", hint=f"aish logs {name}"
            )

    def _pool(self, server: Server) -> Pool:
        name = server.upstream_name or server.name
        return self._pools.get(name) or self._pools.setdefault(name, Pool(self._keys.nice))

    async def _wait(self, ticket: Ticket, wait: _Wait) -> None:
        """Until it has a place, or is not in the queue any more. Raises RefusedError."""
        self._waits[ticket] = wait
        wait.live.note = f"waiting for {wait.live.model}: others are before it"
        try:
            await wait.future
        except BaseException:
            self.leave(ticket, wait.pool)
            raise
        finally:
            wait.live.note = ""
            self._waits.pop(ticket, None)

    def leave(self, ticket: Ticket, pool: Pool | None) -> None:
        """It wants no place any more, or gives back the one that it has, for the next at once."""
        if pool is None:
            places.leave(ticket)
        elif ticket.server is not None:
            pool.end(ticket, _now_s())
        elif ticket.waits:
            pool.withdraw(ticket)
        if self._pools:
            self._advance()

    def _advance(self) -> None:
        """Who can have a place gets it. Pools take turns, since a server may be in two of them."""
        now_s = _now_s()
        for name, pool in list(self._pools.items()):
            if not pool.waiting:
                continue
            given = pool.advance(now_s)
            if given:
                self._pools[name] = self._pools.pop(name)
            for ticket in given:
                wait = self._waits.get(ticket)
                if wait is not None and not wait.future.done():
                    wait.future.set_result(None)

    def look(self) -> None:
        """Something changed: who waits in vain is told, or has to look for a server anew."""
        for ticket, wait in list(self._waits.items()):
            if wait.future.done():
                continue
            try:
                self._keys.alive(wait.account)
            except RefusedError as error:
                wait.pool.withdraw(ticket)
                wait.future.set_exception(error)
                continue
            servers = self._open(wait.wish)
            if not servers or self._directory.held(wait.account):
                wait.pool.withdraw(ticket)
                wait.future.set_result(None)
            elif servers != ticket.servers:
                wait.pool.move(ticket, servers)
        self._advance()

    def forget(self, server: Server) -> None:
        """It is gone, and what it held of prompts with it."""
        self._prefixes.forget(server)
        name = server.upstream_name or server.name
        pool = self._pools.get(name)
        if pool is not None and pool.idle:
            del self._pools[name]

    def tell(self) -> dict[str, int]:
        """Say to everybody who waits when it is its turn. Returns how many wait, by the id of each server that they
        wait for."""
        waiting, now_s = Counter[str](), _now_s()
        for pool in self._pools.values():
            for place, ticket in enumerate(pool.order(now_s), 1):
                live = self._waits[ticket].live
                live.why = f"{ordinal(place)} of {pool.waiting} for {live.model}"
                waiting.update(server.id for server in ticket.servers)
        return waiting


class Place:
    """What one request has, until it leaves it."""

    __slots__ = ("_pool", "_server", "_ticket", "_turns")

    def __init__(self, turns: Turns, ticket: Ticket, pool: Pool | None, server: Server) -> None:
        self._turns, self._ticket, self._pool, self._server = turns, ticket, pool, server

    def __enter__(self) -> Server:
        return self._server

    def __exit__(self, *_failed: object) -> None:
        self._turns.leave(self._ticket, self._pool)


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, 11th, 21st."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _boundless(servers: tuple[Server, ...]) -> bool:
    """Whether one of them is sent as many requests as come. A loop: every request asks."""
    for server in servers:  # noqa: SIM110
        if server.places is None:
            return True
    return False


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def _future() -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()
