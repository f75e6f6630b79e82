"""Processes that are observed: the logs of their sessions are read, and what is in them counts for them.

log -> lines -> rows of requests, and the place up to which it is read, in one transaction
            -> usage windows

Nothing can be held here before it is used. At a budget that is spent, or a window that is reserved, the daemon is
told to hold the process itself, which stands still then.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Final

import msgspec

from aish.errors import StorageError
from aish.supervisor.gateway.allowance import named, said
from aish.supervisor.gateway.held import RAISED, WINDOW
from aish.supervisor.gateway.log import log
from aish.supervisor.gateway.routes import Server
from aish.supervisor.gateway.row import OBSERVED, Row
from aish.supervisor.gateway.sessions.codex import Limits, Spent, State
from aish.supervisor.gateway.sessions.tail import Look, Place, look
from aish.supervisor.gateway.windows.ledger import LOG, Account
from aish.wire.link import Hold, SessionsRead
from aish.wire.window import OWNER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aish.supervisor.gateway.prices import Prices
    from aish.supervisor.gateway.routes import Directory
    from aish.supervisor.gateway.spending import Spending
    from aish.supervisor.gateway.windows.book import Book
    from aish.supervisor.gateway.windows.gate import Gate
    from aish.wire.link import Member
    from aish.wire.part import SessionPart

LOOK_S: Final = 0.5
_VENDORS: Final = {"codex": "https://api.openai.com/v1"}
"""Whose prices count for what an observed program uses."""
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Place).decode

Key = tuple[str, bytes]
"""A process, and the path of a log."""


class Reader:
    """One per gateway."""

    def __init__(self, *, directory: Directory, spending: Spending, book: Book, gate: Gate, prices: Prices) -> None:
        self._directory = directory
        self._spending = spending
        self._book = book
        self._gate = gate
        self._prices = prices
        self._places: dict[Key, Place] = {}
        self._closed: dict[str, tuple[int, int] | None] = {}
        """Those of which all of a run is read, and told so: of which run."""
        self._holds: dict[str, tuple[int, Hold]] = {}
        self._unreadable: set[Key] = set()
        self._news = asyncio.Event()
        self._expected: set[str] = set()

    def restore(self) -> None:
        """Take over what the records hold. Raises StorageError."""
        for process, path, body in self._spending.journal.places():
            with contextlib.suppress(msgspec.DecodeError):  # of another version: as if it was never read
                self._places[process, path] = _decode(body)

    def clear(self) -> None:
        """All processes are others now."""
        self._places.clear()
        self._closed.clear()
        self._holds.clear()

    def prune(self, known: set[str]) -> set[str]:
        """Forget processes that nobody knows any more; returns which."""
        gone = {process for process, _ in self._places} - known
        self._places = {key: place for key, place in self._places.items() if key[0] not in gone}
        return gone

    def skip(self, members: Iterable[Member]) -> None:
        """Our records were lost, and what the daemon had heard of these counts: what they write later is new."""
        now_s = time.time()
        for member in members:
            for part in member.sessions:
                self._places[member.id, part.path] = Place(State(now_s))

    def spread(self) -> None:
        """Something is another in the directory."""
        self._news.set()

    async def run(self) -> None:
        """Ends only by being cancelled, or by a fault of ours."""
        while True:
            self._news.clear()
            watched = self._watched()
            for member in watched:
                await self._follow(member)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S if watched else None):
                    await self._news.wait()
                    await asyncio.sleep(LOOK_S / 10)  # news come in crowds

    def _watched(self) -> list[Member]:
        members = [member for member in self._directory.members.values() if member.observe is not None]
        for member in members:
            self._expect(member.observe or "")
        for member in members:
            if member.alive or not member.sessions_known or self._closed.get(member.id) != member.sessions_run:
                self._closed.pop(member.id, None)
        for id in self._holds.keys() - {member.id for member in members if member.alive}:
            self._release(id)
        return [member for member in members if member.id not in self._closed]

    def _expect(self, kind: str) -> None:
        """What its vendor asks is to be known by the time that something was used."""
        if kind not in self._expected:
            self._expected.add(kind)
            self._prices.expect(Server("", kind, _VENDORS.get(kind, "")))

    # --- reading ------------------------------------------------------------------------------------------------

    async def _follow(self, member: Member) -> None:
        """Read on in all logs of a process, and judge it by what is in them."""
        whole = True
        for part in member.sessions:
            key = (member.id, part.path)
            found = await self._read(key, self._places.get(key) or _begin(part))
            if found is not None:
                self._take(member, key, found)
                whole = whole and found.end
        if member.alive:
            await self._judge(member)
        elif member.sessions_known and whole:
            self._spending.journal.flush()
            self._spending.event(
                f"sessions/{member.id}", SessionsRead(number=0, id=member.id, run=member.sessions_run)
            )
            self._closed[member.id] = member.sessions_run

    async def _read(self, key: Key, place: Place) -> Look | None:
        """None where it cannot be read: that is told once."""
        try:
            found = await asyncio.to_thread(look, key[1], place)
        except StorageError as error:
            if key not in self._unreadable:
                self._unreadable.add(key)
                log("sessions", f"{key[0]}: {error}")
            return None
        self._unreadable.discard(key)
        return found

    def _take(self, member: Member, key: Key, found: Look) -> None:
        """Rows and place go into the same transaction: all of this is one turn of the loop."""
        before, self._places[key] = self._places.get(key), found.place
        account = Account(member.observe or "")
        for told in found.told:
            match told:
                case Spent():
                    self._spending.settle(self._row(member, told))
                case Limits(at_s=at_s, windows=windows):
                    self._book.told(account, windows, at_s, LOG)
        if before is None or found.told:
            self._spending.journal.place(key, time.time(), _encode(found.place))

    def _row(self, member: Member, told: Spent) -> Row:
        used = told.used
        kind = member.observe or ""
        chain = self._spending.ledger.chain(member.id)
        row = Row(
            self._spending.number(), told.at_s, self._directory.epoch, member.id, member.name, member.kind, chain,
            told.model or kind, kind, OBSERVED, False, used.input, used.output, status=200, agent=member.agent,
            cached=used.cached, written=used.written, reasoning=used.reasoning, project=member.project,
            day=self._spending.day.number, subscription=str(Account(kind)),
        )  # fmt: skip
        cost = self._prices.cost(Server("", row.model, _VENDORS.get(kind, "")), used, 0.0)
        row.cost_usd, row.price = (None, None) if cost is None else (cost.usd, cost.price)
        return row

    # --- holding ------------------------------------------------------------------------------------------------

    async def _judge(self, member: Member) -> None:
        hold = self._over_budget(member.id)
        if hold is None:
            barrier = await self._gate.judge(Account(member.observe or ""), member.id)
            hold = None if barrier is None else self._gate.hold(member.id, barrier)
        if hold is None:
            self._release(member.id)
            return
        number = self._holds[member.id][0] if member.id in self._holds else self._spending.number()
        self._holds[member.id] = number, hold
        self._spending.held.hold(member.id, number, hold)

    def _over_budget(self, process: str) -> Hold | None:
        found = self._spending.ledger.spent(process)
        if found is None:
            return None
        account, what, daily = found
        return Hold(number=0, id=process, owner=account.id, **said(account, named(what, daily=daily)))

    def _release(self, process: str) -> None:
        held = self._holds.pop(process, None)
        if held is not None:
            number, hold = held
            self._spending.held.release(process, number, WINDOW if hold.owner.startswith(OWNER) else RAISED)


def _begin(part: SessionPart) -> Place:
    return Place(State(part.from_s))
