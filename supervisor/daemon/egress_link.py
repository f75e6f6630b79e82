"""The conversation with the egress proxy: who may use it, and what a person says where a host is not in a list.

An answer is kept with its question, in the journal: what was allowed for a run stays so, whoever dies.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from aish.errors import AishError, ConflictError
from aish.model import state
from aish.model.sandbox import DEV, PROXY
from aish.sandbox.hosts import WEB_PORTS
from aish.sandbox.profile import doors
from aish.supervisor.daemon import traffic
from aish.supervisor.daemon.asking import NETWORK
from aish.wire import codec, egress
from aish.wire import message as m
from aish.wire import question as q

if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.supervisor.daemon.asking import Asking
    from aish.supervisor.daemon.connection import Connection
    from aish.supervisor.daemon.doors import Doors
    from aish.supervisor.daemon.process import Process
    from aish.supervisor.daemon.recorder import Recorder
    from aish.supervisor.daemon.row import Row
    from aish.supervisor.daemon.table import Table
    from aish.wire.question import AnswerPart

ONCE_S: Final = 300.0
"""How long an answer holds that is not for the run: one command makes many connections."""
_ALWAYS: Final = "always"
OPTIONS: Final = (
    q.OptionPart(id=q.ALLOW, label="Allow for five minutes", meaning=q.ALLOW),
    q.OptionPart(id=_ALWAYS, label="Allow for this run", meaning=q.ALLOW_ALWAYS),
    q.OptionPart(id=q.DENY, label="Deny for five minutes", meaning=q.DENY),
)


class EgressLink:
    """One connection at a time: the latest proxy's. `word` is a process's password there."""

    def __init__(
        self, table: Table, asking: Asking, recorder: Recorder, doors: Doors, word: Callable[[str], str]
    ) -> None:
        self._table, self._asking, self._recorder, self._doors, self.word = table, asking, recorder, doors, word
        self.connection: Connection | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def converse(self, connection: Connection) -> None:
        """Serve this connection until it ends. Raises InputError on what is no message of the link."""
        if self.connection is not None:
            self.connection.close()
        self.connection = connection
        guests = [guest for process in self._table.alive() if (guest := self._guest(process.row)) is not None]
        connection.send(egress.Guests(guests=guests))
        self._doors.serve(PROXY, connection)
        try:
            while True:
                body, fds = await connection.next()
                assert not fds
                match codec.decode_from_egress(body):
                    case egress.Passed() as passed:
                        self._passed(passed)
                    case egress.MayReach() as asked:
                        task = asyncio.get_running_loop().create_task(
                            self._answer(connection, asked), name="may reach"
                        )
                        self._tasks.add(task)
                        task.add_done_callback(self._tasks.discard)
        finally:
            self._doors.unserve(PROXY, connection)
            if self.connection is connection:
                self.connection = None
                for task in self._tasks:
                    task.cancel()  # the question stays, and its answer: the next proxy asks again

    def expect(self, row: Row) -> None:
        """It is about to be started."""
        guest = self._guest(row)
        if guest is not None and self.connection is not None:
            self.connection.send(guest)

    def over(self, process: Process) -> None:
        if self.connection is not None and process.row.ended and self._guest(process.row) is not None:
            self.connection.send(egress.Left(id=process.id))

    def _guest(self, row: Row) -> egress.Guest | None:
        part = row.spec.sandbox
        if part is None or PROXY not in doors(part):
            return None
        dev = part.profile == DEV
        return egress.Guest(id=row.id, hosts=part.hosts, built_in=dev, asks=dev, word=self.word(row.id))

    def _passed(self, passed: egress.Passed) -> None:
        process = self._table.get(passed.process)
        if process is not None:  # else it is forgotten
            process.row.traffic = traffic.added(process.row.traffic, passed)
            self._recorder.change(process.row)

    # --- questions ----------------------------------------------------------------------------------------------

    async def _answer(self, connection: Connection, asked: egress.MayReach) -> None:
        try:
            why = await self._decide(asked)
        except AishError as error:
            why = str(error)
        connection.send(egress.Reach(number=asked.number, allowed=why is None, why=why or ""))

    async def _decide(self, asked: egress.MayReach) -> str | None:
        """None: it may. Raises ConflictError, LimitError."""
        process = self._table.get(asked.process)
        guest = self._guest(process.row) if process is not None else None
        if process is None or guest is None or not guest.asks:
            return f"{asked.host} is not among the hosts of its sandbox"
        if process.row.lifecycle not in (state.RUNNING, state.STOPPING):
            raise ConflictError(f"{process.row.name} ({process.id}) is {process.word}: nobody is asked for it")
        part = await self._asking.ask_for(process, question(asked.host, asked.port), _stale)
        if part.answer is not None and part.answer.option in (q.ALLOW, _ALWAYS):
            return None
        said = f": {part.answer.words}" if part.answer is not None and part.answer.words else ""
        return f"the person who was asked (q{part.number}) did not allow it{said}"


def question(host: str, port: int) -> m.Ask:
    """Pure."""
    place = host if port in WEB_PORTS else f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return m.Ask(
        token=f"{NETWORK}{place}",
        kind=q.PERMISSION,
        title=f"reach {place}",
        body=f"{place} is not among the hosts of its sandbox. What is sent there leaves this machine.",
        options=list(OPTIONS),
    )


def _stale(answer: AnswerPart) -> bool:
    return answer.option != _ALWAYS and not 0 <= time.time() - answer.time_s < ONCE_S
