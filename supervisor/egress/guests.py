"""Who may use the proxy, and for which hosts: as the daemon says, and where it has to ask, as a person says."""

from __future__ import annotations

import asyncio
import hmac
from typing import TYPE_CHECKING, Final

from aish.sandbox import hosts
from aish.supervisor.egress.refused import RefusedError
from aish.supervisor.egress.tally import Tally
from aish.wire import egress

if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.supervisor.egress.request import Wanted

APPEAR_S: Final = 5.0
"""How long the daemon's word about a process may take."""
ASKS_MOST: Final = 32
"""Of one process that wait for a person."""
CONNECTIONS_MOST: Final = 256
"""Of one process, with those that wait."""
DIALS_MOST: Final = 8
"""Of one process that are resolved or connected to at the same time: names that do not answer hold up nobody else."""


class Guest:
    said: egress.Guest
    named: list[hosts.Host]

    def __init__(self) -> None:
        self.connections = 0
        self.dials = asyncio.Semaphore(DIALS_MOST)

    def know(self, said: egress.Guest) -> None:
        self.said, self.named = said, hosts.readable(said.hosts)

    def listed(self, host: str, port: int) -> bool:
        """Whether nobody has to be asked."""
        known = [*self.named, *(hosts.built_in() if self.said.built_in else ())]
        return any(each.covers(host, port) for each in known)

    def anywhere(self, host: str) -> bool:
        """Whether its address need not be public: its spec says so, by naming it and nothing above it."""
        own = any(each.name == host and not each.below for each in self.named)
        return own and not any(each.covers(host, 443) for each in hosts.built_in())


class Guests:
    """`send` sends something to the daemon; False: it is away, and nobody heard it."""

    def __init__(self, send: Callable[[egress.FromEgress], bool]) -> None:
        self._ask: Callable[[egress.MayReach], bool] = send
        self.tally = Tally(send)
        self._guests: dict[str, Guest] = {}
        self._asked: dict[tuple[str, str, int], asyncio.Future[egress.Reach]] = {}
        self._numbers: dict[int, tuple[str, str, int]] = {}
        self._last = 0
        self._news = asyncio.Event()

    # --- the daemon's word --------------------------------------------------------------------------------------

    def told(self, message: egress.Guests | egress.Guest | egress.Left | egress.Reach) -> None:
        match message:
            case egress.Guests(guests=guests):
                for id_ in self._guests.keys() - {guest.id for guest in guests}:
                    self._left(id_)
                for guest in guests:
                    self._come(guest)
                for number, key in self._numbers.items():  # the one who was asked is gone
                    self._ask(_question(number, key))
            case egress.Guest():
                self._come(message)
            case egress.Left(id=id_):
                self._left(id_)
            case egress.Reach(number=number):
                asked = self._numbers.pop(number, None)
                if asked is not None:
                    self._asked.pop(asked).set_result(message)

    def _come(self, said: egress.Guest) -> None:
        self._guests.setdefault(said.id, Guest()).know(said)
        self._news.set()
        self._news = asyncio.Event()

    def _left(self, id_: str) -> None:
        self._guests.pop(id_, None)
        self.tally.flush(id_)
        for number in [number for number, asked in self._numbers.items() if asked[0] == id_]:
            gone = egress.Reach(number=number, allowed=False, why=f"{id_} has ended")
            self.told(gone)

    # --- what connections ask -----------------------------------------------------------------------------------

    async def who(self, process: str | None, wanted: Wanted) -> Guest:
        """`process`: whose door it was, if it was one. Raises RefusedError."""
        user = wanted.user
        if process is None and user is None:
            raise RefusedError(407, "who asks is not known: HTTP_PROXY has a user and a password")
        id_ = process if process is not None else (user or ("", ""))[0]
        guest = await self._known(id_)
        if user is not None and (user[0] != id_ or not hmac.compare_digest(user[1], guest.said.word)):
            raise RefusedError(407, "the password of the proxy is not right for who asks")
        return guest

    async def _known(self, id_: str) -> Guest:
        """A process may ask before the daemon's word about it is here. Raises RefusedError."""
        try:
            async with asyncio.timeout(APPEAR_S):
                while id_ not in self._guests:
                    await self._news.wait()
        except TimeoutError:
            raise RefusedError(407, "no process that may use this proxy is known by that name") from None
        return self._guests[id_]

    async def check(self, guest: Guest, host: str, port: int) -> None:
        """Until it is known that it may. Raises RefusedError."""
        if guest.listed(host, port):
            return
        if not guest.said.asks:
            raise RefusedError(403, f"{host}:{port} is not among the hosts of this sandbox")
        if hosts.is_address(host) and not hosts.is_public(host):  # nobody's answer would open it
            raise RefusedError(403, f"{host} is not a public address (a spec allows it by this very name)")
        key = (guest.said.id, host, port)
        future = self._asked.get(key)
        if future is None:
            if sum(asked[0] == guest.said.id for asked in self._asked) >= ASKS_MOST:
                raise RefusedError(403, f"{host} is not in the list, and {ASKS_MOST} questions wait for a person")
            future = self._asked[key] = asyncio.get_running_loop().create_future()
            self._last += 1
            self._numbers[self._last] = key
            self._ask(_question(self._last, key))  # while the daemon is away: the next one hears it
        answer = await asyncio.shield(future)  # others wait for it, too
        if not answer.allowed:
            raise RefusedError(403, f"{host}:{port} is not allowed: {answer.why}")


def _question(number: int, key: tuple[str, str, int]) -> egress.MayReach:
    return egress.MayReach(number=number, process=key[0], host=key[1], port=key[2])
