"""The conversation with the gateway: who exists and may spend what goes there, what was spent comes back.

Events of the gateway are applied (each is idempotent), written, and only then acknowledged; what is not acknowledged
it tells again to the next connection.
"""

from __future__ import annotations

import asyncio
import math
import os
import time
from typing import TYPE_CHECKING, Final

from aish.config import folders
from aish.errors import AishError, UnavailableError
from aish.model import kind, state
from aish.model.sandbox import GATEWAY
from aish.supervisor.daemon import ports
from aish.supervisor.daemon.foreground import background
from aish.supervisor.daemon.parking import in_front
from aish.wire import account, budget, codec, link, window
from aish.wire.reply import Failure, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from aish.config.settings import Settings
    from aish.supervisor.daemon.conductor import Conductor
    from aish.supervisor.daemon.connection import Connection
    from aish.supervisor.daemon.doors import Doors
    from aish.supervisor.daemon.process import Process
    from aish.supervisor.daemon.recorder import Recorder
    from aish.supervisor.daemon.row import Row
    from aish.supervisor.daemon.table import Table

ANSWER_S: Final = 10.0
ACKNOWLEDGED: Final = "gateway-acknowledged"
_RELEASED: Final = {
    "day": "another day has begun",
    "window": "the usage window has room for it",
    "wrapup": "it may say a last message",
}
"""Why a process goes on, by the reason that the gateway gives, where it is not its budget."""
STORE_INDEX: Final = "models/index.json"
"""In the data folder: the one file of the store that changes (aish.store.layout)."""
LOOK_S: Final = 1.0
"""So long a client waits, who may have changed it, until the gateway knows."""


class GatewayLink:
    """One connection at a time: the latest gateway's. `need` has a stored model run for somebody."""

    def __init__(
        self,
        table: Table,
        recorder: Recorder,
        settings: Settings,
        *,
        epoch: int,
        stored_models: Callable[[], list[str]],
        need: Callable[[str, str | None], Coroutine[object, object, None]],
        doors: Doors,
    ) -> None:
        self.table, self.recorder, self.settings, self.epoch = table, recorder, settings, epoch
        self.conductor: Conductor
        self.sessions_read: Callable[[Process, tuple[int, int] | None], None]
        self._stored_models, self._need, self._doors = stored_models, need, doors
        self._connection: Connection | None = None
        self._number = 0
        self._questions: dict[int, asyncio.Future[Reply]] = {}
        self._asked = 0
        self._acknowledged = 0
        self._unacknowledged = 0
        self._arrived = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._index: tuple[int, int] | None = None
        """That of the store when it was listed for the last Sync."""
        self._names: list[str] = []
        self._telling: asyncio.Task[None] | None = None
        self._stale = False
        self._warned: dict[tuple[str, str], float] = {}
        self._exceeded_number = 0
        self._told_given_up: set[str] = set()

    @property
    def connected(self) -> bool:
        return self._connection is not None

    async def converse(self, connection: Connection) -> None:
        """Serve this connection until it ends. Raises InputError on what is no message of the link."""
        index = self._index_state()
        listed = await self._list()
        if self._connection is not None:
            self._connection.close()
        self._connection = connection
        self._number = 0
        connection.send(self._sync())
        self._index = index if listed else None
        if listed and self._index_state() != index:
            self._tell()
        self._doors.serve(GATEWAY, connection)
        self._arrived.set()
        try:
            while True:
                body, fds = await connection.next()
                assert not fds
                self._received(codec.decode_from_gateway(body))
        finally:
            self._doors.unserve(GATEWAY, connection)
            if self._connection is connection:
                self._connection = None
                self._arrived.clear()
                self._unanswered()

    async def look_for_models(self) -> None:
        """Models may have been pulled or removed since the last Sync: then the gateway is told before this returns.
        Cheap where nothing has changed: one stat."""
        if self._connection is not None and self._index_state() != self._index:
            await asyncio.wait([self._tell()], timeout=LOOK_S)  # whoever began it

    def sync(self) -> None:
        """The whole truth once more: settings are others now."""
        if self._connection is not None:
            self._stale = True
            self._tell()

    def _tell(self) -> asyncio.Task[None]:
        """One at a time: of two the older list might come last."""
        if self._telling is None or self._telling.done():
            self._telling = self._task(self._sync_again())
        return self._telling

    async def _sync_again(self) -> None:
        while self._connection is not None and (self._stale or self._index_state() != self._index):
            self._stale, index = False, self._index_state()
            listed = await self._list()
            if self._connection is not None:
                self._number += 1
                self._connection.send(self._sync())
            if not listed:
                return  # not seen: who comes next has us look again
            self._index = index

    async def _list(self) -> bool:
        """False where the store cannot be read now: what was known before stands."""
        try:
            self._names = await asyncio.to_thread(self._stored_models)
        except OSError:
            return False
        return True

    def _index_state(self) -> tuple[int, int] | None:
        try:
            status = os.stat(os.path.join(folders.data(), STORE_INDEX))
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns

    def _task(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _unanswered(self) -> None:
        questions, self._questions = self._questions, {}
        for future in questions.values():
            if not future.done():
                future.set_exception(UnavailableError("the gateway went away", hint="try again"))

    def _sync(self) -> link.Sync:
        return link.Sync(
            epoch=self.epoch,
            number=self._number,
            members=[self.member(p) for p in self.table if not p.row.ended or p.row.sessions_open],
            default_model=self.settings.default_model,
            embedding_model=self.settings.embedding_model or self.settings.default_model,
            stored_models=self._names,
            hosts=list(self.settings.gateway_hosts),
            acknowledged=self._acknowledged,
            used={p.id: p.row.tokens for p in self.table if not p.row.ended and p.row.tokens is not None},
            spent=spent(self.table),
        )

    def member(self, process: Process) -> link.Member:
        row = process.row
        return link.Member(
            id=row.id,
            name=row.name,
            kind=row.spec.kind,
            agent=(row.spec.name or row.name) if row.spec.kind == kind.AGENT else None,
            parent=row.parent,
            alive=row.lifecycle in (state.STARTING, state.RUNNING, state.STOPPING),
            budget_tokens=row.spec.budget_tokens,
            budget=row.spec.budget,
            route=ports.route(row) if row.lifecycle == state.RUNNING else None,
            failover=row.spec.failover,
            held=state.USER in row.holds,
            project=self._project(row),
            nice=row.nice,
            last_word=row.wrapup.last if row.wrapup is not None else None,
            background=background(row) and not in_front(row, time.time()),
            parked=row.barred if row.lifecycle == state.PARKED else None,
            observe=row.spec.observe,
            sessions=row.sessions,
            sessions_run=row.sessions_run,
            sessions_known=row.sessions_known,
            when_reserved=row.spec.when_reserved,
            switched=row.switched,
        )

    def _project(self, row: Row) -> str | None:
        """That it is of, or the nearest above it."""
        above: Row | None = row
        while above is not None and above.spec.project is None:
            process = self.table.get(above.parent) if above.parent is not None else None
            above = process.row if process is not None else None
        return above.spec.project if above is not None else None

    def told(self, process: Process) -> None:
        """Something about it changed: a Delta, where the gateway has to know."""
        if self._connection is not None and process.row.spec.kind != kind.SYSTEM:
            self._gave_up(process.row)  # first: who waits for it would ask for it once more
            self._number += 1
            self._connection.send(link.Delta(number=self._number, member=self.member(process)))

    def _gave_up(self, row: Row) -> None:
        """A model that has ended for good without having been ready once: told once."""
        if row.spec.kind != kind.MODEL or not row.ended or row.was_ready or row.id in self._told_given_up:
            return
        self._told_given_up.add(row.id)
        reason = row.reason or "it ended before it was ever ready"
        status = "" if row.exit is None or row.exit.code is None else f" (exit status {row.exit.code})"
        self.failed_to_serve(row.name, UnavailableError(reason + status, hint=f"aish logs {row.name}"))

    async def ask(self, question: link.Question) -> Reply:
        """The gateway's answer. Raises UnavailableError when there is none in time, and what it answers."""
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._arrived.wait()
                self._asked += 1
                number = self._asked
                future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
                self._questions[number] = future
                if self._connection is None:
                    raise UnavailableError("the gateway went away", hint="try again")
                self._connection.send(link.Ask(number=number, question=question))
                return await future
        except TimeoutError as error:
            raise UnavailableError(
                f"the gateway has not answered within {ANSWER_S:.0f} s",
                hint="`aish doctor` and `aish logs gateway` say more",
            ) from error

    def failed_to_serve(self, model: str, error: AishError) -> None:
        if self._connection is not None:
            self._connection.send(link.ServeFailed(model=model, message=str(error), hint=error.hint))

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    # --- what it tells --------------------------------------------------------------------------------------------

    def _received(self, message: link.FromGateway) -> None:
        match message:
            case link.Told(number=number, reply=reply):
                self._answered(number, reply)
            case link.Need(model=model, asked_by=asked_by):
                self._task(self._need(model, asked_by))
            case link.Room(id=id_, since_s=since_s):
                process = self.table.get(id_)
                if process is not None:
                    self.conductor.parking.room(process, since_s)
            case link.ActivityNote(id=id_):
                process = self.table.get(id_)
                if process is not None and not process.row.ended:
                    self._activity(process, message)
            case (
                link.Hold()
                | link.Release()
                | link.Warn()
                | link.Exceeded()
                | link.LastSaid()
                | link.Settled()
                | link.Served()
                | link.Readiness()
                | link.Resting()
                | link.FellBack()
                | link.SessionsRead()
            ):
                process = self.table.get(message.id)
                if process is not None:
                    self._durable(process, message)
                elif isinstance(message, link.Warn) and not account.of_process(message.id):
                    self._warn(message, None)
                elif isinstance(message, link.Exceeded):
                    self._exceeded(message, None)
                self._unacknowledged = message.number
                self.recorder.note(ACKNOWLEDGED, str(message.number), after=self._acknowledge)

    def _answered(self, number: int, reply: Reply) -> None:
        future = self._questions.pop(number, None)
        if future is not None and not future.done():
            future.set_result(reply)

    def _activity(self, process: Process, note: link.ActivityNote) -> None:
        known = [word for word in state.ACTIVITIES if word == note.activity]
        process.metered = known[0] if known else None
        process.doing = note.doing
        process.tokens_per_s = note.tokens_per_s
        process.changed()

    def _durable(
        self,
        process: Process,
        message: link.Durable,
    ) -> None:
        row = process.row
        match message:
            case link.Hold():
                self._hold(process, message)
            case link.Release(owner=owner, raised=raised, why=why):
                self.conductor.parking.released(process)
                if not (row.ended or row.parking) and self.conductor.hold(process, state.BUDGET, "lift"):
                    process.doing = None
                    text = "its budget was raised" if raised else "the request that waited was given up"
                    text = _RELEASED.get(why, text)
                    self.recorder.event("released", row, text, owner=owner, raised=int(raised))
            case link.Warn():
                self._warn(message, row)
            case link.Exceeded():
                self._exceeded(message, row)
            case link.LastSaid():
                self.conductor.wrapups.said(process)
            case link.Settled(tokens=tokens):
                if row.spec.kind != kind.MODEL:  # of a model: what it was asked, not what it asked
                    row.tokens = tokens
                    self.recorder.change(row)
            case link.Served(tokens=tokens):
                row.tokens = tokens
                self.recorder.change(row)
            case link.Readiness():
                self._ready(process, message)
            case link.Resting(until_s=until_s, text=text):
                self._rests(process, until_s, text)
            case link.FellBack(to=to, text=text):
                self._fell_back(row, to, text)
            case link.SessionsRead(run=run):
                self.sessions_read(process, run)

    def _hold(self, process: Process, message: link.Hold) -> None:
        row, owner, what, most = process.row, message.owner, message.what, message.budget
        if row.ended or row.parking:  # of what ends for a while: told again, or late
            return
        held = self.conductor.hold(process, state.BUDGET, "put")
        if what in window.WHATS:
            self.conductor.parking.held(process, message)
        else:  # of several requests the last one tells: a budget's end no window knows
            self.conductor.parking.released(process)
        if not held or row.parking:
            return
        # Until the gateway's next note, which says the same: a state without its reason helps nobody.
        if what in window.WHATS:
            process.doing = window.over(owner, what, message.until_s)
            text = window.spent(owner, what, message.used, most, message.until_s)
        else:
            process.doing = budget.over(owner, row.id, what, most)
            text = budget.spent(owner, row.id, what, message.used, most)
        until = {} if message.until_s is None else {"until_s": message.until_s}
        self.recorder.event("held", row, text, owner=owner, what=what, used=message.used, budget=most, **until)

    def _fell_back(self, row: Row, to: str | None, text: str) -> None:
        """A model is answered for by another one, or a process that asks one; or that is over."""
        if row.ended:
            return
        model = row.spec.kind == kind.MODEL
        if to is not None:
            who = f"{to} answers in its place" if model else f"its requests are answered by {to}"
            self.recorder.event("fell-back", row, f"{who}: {text}", to=to)
        else:
            self.recorder.event(
                "came-back", row, "it answers again" if model else "its requests are its model's again"
            )

    def _rests(self, process: Process, until_s: float | None, text: str) -> None:
        """Its server rests, or goes on resting; told when it begins and when it ends."""
        row, before = process.row, process.rest
        process.rest = None if until_s is None or row.ended else (until_s, text)
        process.changed()
        if before is None and process.rest is not None:
            rest_s = max(0.0, process.rest[0] - time.time())
            self.recorder.event("resting", row, f"it is not asked for {math.ceil(rest_s)} s: {text}", rest_s=rest_s)
        elif before is not None and process.rest is None and not row.ended:
            self.recorder.event("awake", row, "it is asked again")

    def _warn(self, message: link.Warn, row: Row | None) -> None:
        """Once for each budget, and that of a day once a day: then the event has another number."""
        what = message.what
        once = message.number if budget.daily(what) else message.budget
        if self._warned.get((message.id, what)) == once:
            return
        self._warned[message.id, what] = once
        of = (
            f"budget of {what.removesuffix('_per_day').replace('_', ' ')}{' for today' if budget.daily(what) else ''}"
        )
        whose = f"its {of}" if row is not None else f"the {of} of {account.words(message.id)}"
        detail = {} if row is not None else {"owner": message.id}
        self.recorder.event(
            "warned", row, f"80 % of {whose} is used", what=what, used=message.used, budget=message.budget, **detail
        )

    def _exceeded(self, message: link.Exceeded, row: Row | None) -> None:
        """Once: an event that is told again has a number that was seen."""
        if message.number <= self._exceeded_number or not message.overs:
            return
        self._exceeded_number = message.number
        first = message.overs[0]
        whose = "its budget" if first.owner == message.id else f"the budget of {account.words(first.owner)}"
        took = budget.amount(first.what, first.used)
        text = (
            f"request {message.request} to {message.model} took {took}, more than the bound of "
            f"{budget.amount(first.what, first.reserved)}: {whose}{' for today' if budget.daily(first.what) else ''}"
            f" is exceeded by {budget.amount(first.what, first.over)}"
        )
        others = [
            f"{account.written(over.owner)} {budget.amount(over.what, over.over)}" for over in message.overs[1:]
        ]
        detail = {name: getattr(first, name) for name in ("owner", "what", "used", "reserved", "budget", "over")}
        self.recorder.event(
            "exceeded",
            row,
            f"{text}; also {', '.join(others)}" if others else text,
            request=message.request,
            model=message.model,
            asked_by=message.id,
            **detail,
        )

    def _ready(self, process: Process, message: link.Readiness) -> None:
        row = process.row
        if row.ended:
            return
        if message.context_tokens is not None:
            row.context_tokens = message.context_tokens
        was = process.hopeless
        process.trouble = message.text or None if message.ready != "yes" else None
        process.hopeless = message.text if message.hopeless and message.ready != "yes" else None
        if process.hopeless is not None:
            process.changed()
            if process.hopeless != was and message.ready != "unknown":
                self.recorder.event("unusable", row, process.hopeless)
        match message.ready:
            case "yes":
                if self.conductor.readiness(process, "probe-yes"):
                    self.recorder.event("ready", row, message.text)
            case "no":
                if self.conductor.readiness(process, "probe-no"):
                    self.recorder.event("not-ready", row, message.text)
            case _:
                if self.conductor.readiness(process, "probe-unknown"):
                    self.recorder.event("not-ready", row, message.text or "it does not answer")

    def _acknowledge(self) -> None:
        if self._acknowledged == self._unacknowledged:
            return  # several of one turn were written together
        self._acknowledged = self._unacknowledged
        if self._connection is not None:
            self._connection.send(link.Ack(number=self._acknowledged))


def spent(processes: Iterable[Process]) -> dict[str, int]:
    """Tokens of each process that lives and of all below it, ended ones included. Pure."""
    rows = {process.id: process.row for process in processes}
    sums: dict[str, int] = {}
    for row in rows.values():
        if row.tokens is None or row.spec.kind == kind.MODEL:  # of a model: what others spent there
            continue
        seen: set[str] = set()
        above: Row | None = row
        while above is not None and above.id not in seen:
            seen.add(above.id)
            sums[above.id] = sums.get(above.id, 0) + row.tokens.input + row.tokens.output
            above = rows.get(above.parent) if above.parent is not None else None
    return {id_: tokens for id_, tokens in sums.items() if not rows[id_].ended}


def raised(reply: Reply) -> Reply:
    """A Failure of the gateway as the error it stands for."""
    if isinstance(reply, Failure):
        from aish.client.connection import failure

        raise failure(reply)
    return reply


__all__ = ["ACKNOWLEDGED", "GatewayLink", "raised", "spent"]
