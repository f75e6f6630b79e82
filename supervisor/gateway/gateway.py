"""All parts of the gateway put together, and the daemon's word spread among them.

Sync, Delta -> directory -> accounts, probes, those who wait
probe       -> readiness -> those who wait, the daemon
board       -> notes, at most every NOTE_S
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from typing import TYPE_CHECKING, Final

import msgspec

from aish.errors import RefusedError, StorageError
from aish.model import kind as kinds
from aish.model import state
from aish.supervisor.gateway import observed, routes
from aish.supervisor.gateway import records as store
from aish.supervisor.gateway.allowance import budget_of
from aish.supervisor.gateway.asks import Asks
from aish.supervisor.gateway.attempt import Attempts
from aish.supervisor.gateway.bell import Bell
from aish.supervisor.gateway.claims import Claims
from aish.supervisor.gateway.duties import Duties
from aish.supervisor.gateway.fallbacks import Fallbacks
from aish.supervisor.gateway.histories import Histories
from aish.supervisor.gateway.hosts import Hosts
from aish.supervisor.gateway.http import Web
from aish.supervisor.gateway.keys import Keys
from aish.supervisor.gateway.link import Link
from aish.supervisor.gateway.log import log
from aish.supervisor.gateway.meter import Board, Note, Used
from aish.supervisor.gateway.models import READY_S, Models
from aish.supervisor.gateway.outbox import Outbox
from aish.supervisor.gateway.prices import Prices
from aish.supervisor.gateway.probe import IDLE_CHECK_S, Probes
from aish.supervisor.gateway.proxy import Proxy
from aish.supervisor.gateway.records import Records
from aish.supervisor.gateway.rests import Rests
from aish.supervisor.gateway.routes import Changed, Directory, Server
from aish.supervisor.gateway.row import Row
from aish.supervisor.gateway.sessions.reader import Reader
from aish.supervisor.gateway.settling import Settling
from aish.supervisor.gateway.slots import Slots
from aish.supervisor.gateway.spare import Spare
from aish.supervisor.gateway.spending import Spending
from aish.supervisor.gateway.texts import Texts
from aish.supervisor.gateway.totals import KEY_PREFIX
from aish.supervisor.gateway.turns import Turns
from aish.supervisor.gateway.upstream import IDLE_S, Upstreams
from aish.supervisor.gateway.windows.asks import WindowAsks
from aish.supervisor.gateway.windows.book import Book
from aish.supervisor.gateway.windows.gate import Gate
from aish.supervisor.gateway.windows.parked import Parked
from aish.supervisor.gateway.windows.parts import Parts
from aish.wire import account as accounts
from aish.wire.door import Door, Doors, Shut
from aish.wire.link import ActivityNote, Ask, Delta, Member, Need, Readiness, ServeFailed, Sync

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aish.supervisor.gateway.telemetry import Telemetry
    from aish.wire.reply import Reply
    from aish.wire.spec import LastWordPart

NOTE_S: Final = 0.25
UPKEEP_S: Final = 5.0
PRUNE_PAUSE_S: Final = 0.02
GRACE_S: Final = 3.0
"""For requests that are under way when the gateway ends."""
END_S: Final = 4.0
"""For all waiting at the end together: a server that hangs is not asked for figures any longer than this."""
_SYNC: Final = "sync"
_encode: Final = msgspec.msgpack.Encoder().encode
_decode_member: Final = msgspec.msgpack.Decoder(Member).decode
_decode_sync: Final = msgspec.msgpack.Decoder(Sync).decode


class _Epoch(msgspec.Struct):
    """What must be known of a Sync, whatever else has changed in it: without, all accounts start from nothing."""

    epoch: int


_decode_epoch: Final = msgspec.msgpack.Decoder(_Epoch).decode


class Gateway:
    """One running gateway. `secret` is the master secret, `records` the open gateway.db; `failed` is called when a
    part of it ended by a fault: it is to be closed then. `alert` is what the daemon shows to a person;
    `hosts` what it is called beside the loopback's names."""

    def __init__(
        self,
        *,
        secret: bytes,
        records: Records,
        daemon_socket: str,
        base_url: str,
        failed: Callable[[], None],
        alert: str | None = None,
        hosts: Hosts | None = None,
        ready_s: float = READY_S,
        idle_s: float = IDLE_S,
        idle_check_s: float = IDLE_CHECK_S,
    ) -> None:
        self.records = records
        self.spare = Spare(records.path)
        self.duties = Duties(failed)
        self.directory = Directory()
        self.bell = Bell()
        self.board = Board()
        self.link = Link(daemon_socket, records, self, alert)
        self.spending = Spending(records, self.link.wake)
        self.outbox = Outbox(self.spending.journal.write)
        self.book = Book(secret, records, self.bell.ring)
        self.upstreams = Upstreams(idle_s=idle_s, heard=self.book.heard, outbox=self.outbox)
        self.gate = Gate(
            book=self.book,
            parts=Parts(records.path),
            records=records,
            directory=self.directory,
            bell=self.bell,
            held=self.spending.held,
            chain=self.spending.ledger.chain,
        )
        self.keys = Keys(secret, self.directory, self.spending, self.bell)
        self.probes = Probes(
            self.upstreams, self.duties, self._readiness, self._probed, self.bell.ring, idle_check_s=idle_check_s
        )
        self.rests = Rests(self.spending, self.bell)
        self.fallbacks = Fallbacks(self.directory, self.spending)
        self.models = Models(self.directory, self.bell, self._need, self.probes.doubt, self.rests, ready_s=ready_s)
        self.turns = Turns(
            directory=self.directory,
            bell=self.bell,
            keys=self.keys,
            models=self.models,
            line=self.spending.ledger.line,
        )
        self.prices = Prices()
        self.histories = Histories(records)
        self.telemetry = _telemetry()
        self.reader = Reader(
            directory=self.directory, spending=self.spending, book=self.book, gate=self.gate, prices=self.prices
        )
        self.settling = Settling(
            self.board,
            self.spending,
            self.upstreams,
            self.prices,
            self.histories,
            self.telemetry,
            account=self.book.account,
        )
        self.slots = Slots(os.path.dirname(records.path), self.directory, self.upstreams)
        self.attempts = Attempts(
            bell=self.bell,
            directory=self.directory,
            keys=self.keys,
            models=self.models,
            probes=self.probes,
            rests=self.rests,
            fallbacks=self.fallbacks,
            claims=Claims(self.spending.ledger, self.upstreams, self.prices, self.histories),
            settling=self.settling,
            spending=self.spending,
            turns=self.turns,
            gate=self.gate,
            slots=self.slots,
            upstreams=self.upstreams,
        )
        self.texts = Texts(records, self.directory, self.upstreams, self.spending.ledger.line)
        self.proxy = Proxy(
            directory=self.directory,
            board=self.board,
            attempts=self.attempts,
            settling=self.settling,
            spending=self.spending,
            texts=self.texts,
        )
        self.web = Web(
            keys=self.keys,
            models=self.models,
            proxy=self.proxy,
            spending=self.spending,
            upstreams=self.upstreams,
            board=self.board,
            outbox=self.outbox,
            hosts=hosts,
        )
        self.parked = Parked(self.gate, self.directory, self.bell, self.link.send)
        windows = WindowAsks(self.book, self.gate, self.spending.held.by, self.parked.by)
        self._asks = Asks(
            self.keys,
            self.directory,
            self.spending,
            windows,
            self.texts,
            self.slots,
            self.board,
            base_url,
            self._revoked,
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._begun_anew = False

    async def start(self, *socks: socket.socket) -> None:
        """Take over what the records know, then listen and look for the daemon. Raises StorageError."""
        self._restore()
        await self.spare.keep(self.records)
        await self.web.start(*socks)
        works = {"link": self.link.run(), "notes": self._notes(), "upkeep": self._upkeep()}
        works |= {
            "sessions": self.reader.run(),
            "checkpoints": self.records.wal.keep_short(),
            "parked": self.parked.run(),
        }
        for name, work in works.items():
            self._tasks.append(self.duties.begin(work, name))

    def _restore(self) -> None:
        """What the daemon said last, until it says it anew."""
        body = self.records.meta(_SYNC)
        self._begun_anew = body is None
        said = None if body is None else self._said(body)
        appeared: tuple[Server, ...] = ()
        if said is not None:
            appeared = self.directory.sync(said).appeared
            self.spending.epoch = said.epoch
        self.spending.restore()
        self.reader.restore()
        self.texts.restore()
        for server in appeared:
            self._appear(server)

    def _said(self, body: bytes) -> Sync | None:
        """The last Sync, with the members as they were told since. None where another version wrote them: then
        requests wait for the daemon's next word, as at the very first start."""
        try:
            members = [_decode_member(member) for member in self.records.members()]
            return msgspec.structs.replace(_decode_sync(body), members=members)
        except msgspec.DecodeError as error:
            log("records", f"the daemon's last word cannot be read: {error}")
            with contextlib.suppress(msgspec.DecodeError):
                self.spending.epoch = _decode_epoch(body).epoch
            return None

    async def close(self) -> None:
        """End in order: no new requests, a moment for those under way, the rest settled as estimates."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + END_S
        await self.web.close(GRACE_S)
        await self.settling.close(until_s - loop.time())
        await self.texts.written(until_s - loop.time())
        if self.telemetry is not None:
            await self.telemetry.close(until_s - loop.time())
        self.spending.journal.flush()
        self.book.flush()
        self.histories.flush()
        await self.probes.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.upstreams.close()
        await self.spare.keep(self.records)
        self.spending.journal.flush()  # what ended meanwhile
        self.records.close()

    # --- the daemon's word --------------------------------------------------------------------------------------

    def on_sync(self, message: Sync) -> None:
        self.web.hosts.call(message.hosts)
        self.spending.journal.flush()  # while everybody whom it is about is still known
        fresh = message.epoch != self.spending.epoch
        if fresh:
            self.spending.new_epoch(message.epoch)
            self.reader.clear()
        ids = {member.id for member in message.members}
        for member in message.members:
            self._place(member)
        if self._begun_anew:  # our file was lost: what the daemon heard until then counts
            self.spending.adopt(message.members, message.used, message.spent)
            self.reader.skip(member for member in message.members if member.id in message.used)
            self._begun_anew = False
        dropped = self.spending.prune(
            ids | {accounts.WRAPUP + member.id for member in message.members if _last_word(member) is not None}
        )
        unread = self.reader.prune(ids)
        with self._unless_full():
            if fresh:
                self.records.new_epoch()
                self.texts.new_epoch()
            self.records.replace_members([(member.id, _encode(member)) for member in message.members])
            self.records.put_meta(_SYNC, _encode(msgspec.structs.replace(message, members=[])))
            for id in dropped:
                self.records.drop_account(id)
            self.records.drop_sessions(unread)
        self._spread(self.directory.sync(message))
        self.board.clear()
        self.models.ask_again()

    def on_delta(self, message: Delta) -> None:
        member = message.member
        self._place(member)
        with self._unless_full():
            self.records.put_member(member.id, _encode(member))
        self._spread(self.directory.put(member))

    def _place(self, member: Member) -> None:
        project = None if member.project is None else accounts.of_project(member.project)
        self.spending.place(member.id, member.parent, budget_of(member.budget_tokens, member.budget), project)
        self.spending.wrap_up(member.id, _last_word(member))

    @contextlib.contextmanager
    def _unless_full(self) -> Iterator[None]:
        """A transaction that a full disk only keeps from being remembered: the daemon's word counts all the same."""
        try:
            with self.spending.journal.transaction():
                yield
        except StorageError as error:
            log("records", f"the daemon's word is not kept: {error}")

    def _spread(self, changed: Changed) -> None:
        for server in changed.vanished:
            self.probes.stop(server)
            self.turns.forget(server)
            self.board.forget(server.id)
            self.fallbacks.forget(server.id)
            self.upstreams.forget(server)
            self.slots.gone(server)
        for server in changed.appeared:
            self._appear(server)
        for id in changed.ended:
            self.board.forget(id)
            self.fallbacks.forget(id)
            self.slots.forget(id)
            self.spending.refuse(id, RefusedError(f"the process {id} has ended"))
        self.spending.advance()
        self.reader.spread()
        self.bell.ring()

    def _appear(self, server: Server) -> None:
        server.created_s = time.time()
        self.prices.expect(server)
        self.probes.start(server)

    def on_door(self, message: Doors | Door | Shut, fds: list[int]) -> None:
        self.web.doors.told(message, fds)

    def on_serve_failed(self, message: ServeFailed) -> None:
        self.models.failed(message)

    async def on_ask(self, message: Ask) -> Reply:
        try:
            return await self._asks.answer(message.question)
        finally:
            await self.spare.keep(self.records)

    def _revoked(self, account: str) -> None:
        self.spending.refuse(account, RefusedError("the key was revoked"))
        self.bell.ring()

    # --- our word -----------------------------------------------------------------------------------------------

    def _need(self, model: str, asked_by: str | None) -> None:
        self.link.send(Need(model=model, asked_by=asked_by))

    def _readiness(self, server: Server, before: state.Ready) -> None:
        if server.ready == state.YES and before != state.YES:
            self.rests.revived(server)
        event = Readiness(
            number=0, id=server.id, ready=server.ready, context_tokens=server.context, text=server.text,
            hopeless=server.hopeless is not None,
        )  # fmt: skip
        self.spending.event(f"ready/{server.id}", event)
        self.bell.ring()

    def _probed(self, server: Server, endpoint: str, used: Used) -> None:
        """A probe's tokens count for the model's own process, and for no budget: nothing was reserved for them."""
        chain = (server.id,)
        row = Row(
            self.spending.number(), time.time(), self.directory.epoch, server.id, server.name, kinds.MODEL, chain,
            server.name, "probe", endpoint, False, used.input, used.output, used.estimated, 200, server=server.id,
            cached=used.cached, written=used.written, reasoning=used.reasoning,
        )  # fmt: skip
        cost = self.prices.cost(server, used, 0.0)
        row.cost_usd, row.price = (None, None) if cost is None else (cost.usd, cost.price)
        self.spending.settle(row)

    async def _notes(self) -> None:
        """Tell the daemon what everybody does, where it changed."""
        while True:
            await asyncio.sleep(NOTE_S)
            if not self.link.up:
                continue
            now_s = asyncio.get_running_loop().time()
            waiting = self.turns.tell()
            for note in self.board.look(now_s, routes.slots(self.directory.servers.values()), waiting):
                if note.id.startswith(KEY_PREFIX):
                    continue
                self.link.send(_activity(note))

    async def _upkeep(self) -> None:
        while True:
            await asyncio.sleep(UPKEEP_S)
            self.proxy.cut_slow()
            self.spending.turn()
            self.spending.journal.flush()
            self.book.flush()
            self.histories.flush()
            await self.spare.keep(self.records)
            await self.texts.prune()
            with contextlib.suppress(StorageError):  # logged where requests meet it; this is only housekeeping
                while self.records.prune(time.time()) == store.PRUNED:
                    await asyncio.sleep(PRUNE_PAUSE_S)


def _telemetry() -> Telemetry | None:
    """Loaded only where it is asked for."""
    if not observed.asked():
        return None
    from aish.supervisor.gateway.telemetry import Telemetry

    return Telemetry()


def _last_word(member: Member) -> LastWordPart | None:
    return member.last_word if member.alive else None


def _activity(note: Note) -> ActivityNote:
    return ActivityNote(id=note.id, activity=note.activity, doing=note.doing, tokens_per_s=note.tokens_per_s)
