"""What agents tell of themselves, what they ask, and the person's answers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from aish.errors import ConflictError, InputError, StorageError
from aish.model import exit as exits
from aish.model import state
from aish.supervisor.daemon import authority
from aish.supervisor.daemon.questions import Questions, check_ask
from aish.wire.reply import Answered, Done, QuestionList

if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.supervisor.daemon.authority import Caller
    from aish.supervisor.daemon.process import Process
    from aish.supervisor.daemon.recorder import Recorder
    from aish.supervisor.daemon.table import Table
    from aish.wire import message as m
    from aish.wire.question import AnswerPart, QuestionPart

LAST: Final = "last_question"
"""In the journal's `meta`: the highest number of a question."""
DOING_CHARS: Final = 200
NETWORK: Final = "network "
"""Before the token of what the daemon asks for a process, of hosts that it would reach: no process asks so itself."""


class Asking:
    """One per daemon. `changed`: how many wait for a person may be another."""

    def __init__(self, table: Table, recorder: Recorder, changed: Callable[[], None]) -> None:
        self._table, self._recorder, self._changed = table, recorder, changed
        self._questions = Questions()

    def restore(self) -> None:
        """What a daemon before has left, of those whose run goes on. Who asks asks again: damage loses nothing."""
        if self._recorder.journal is None:
            return
        try:
            kept = self._recorder.journal.questions()
        except StorageError as error:
            self._recorder.event("storage-failed", text=f"questions of agents cannot be read: {error}")
            return
        self._questions.restore(kept, int(self._recorder.noted(LAST) or 0))
        for id_ in {part.process for _, part in kept}:
            process = self._table.get(id_)
            if process is None or process.row.lifecycle not in (state.RUNNING, state.STOPPING):
                self._drop(id_)
            elif process is not None:
                self._show(process)

    def open(self) -> int:
        """How many wait for a person."""
        return len(self._questions.open())

    # --- requests -----------------------------------------------------------------------------------------------

    async def tell(self, caller: Caller, request: m.Tell) -> Done:
        """Raises InputError."""
        process = self._asker(caller, "Tell")
        if request.activity is not None and request.activity not in state.TOLD:
            raise InputError(f"expected {', '.join(state.TOLD)}", field="activity")
        words = [word for word in state.TOLD if word == request.activity]
        told = (words[0] if words else None, request.doing[:DOING_CHARS] if request.doing else None)
        if told == process.told:
            return Done(changed=False)
        process.told = told
        process.changed()
        return Done()

    async def conclude(self, caller: Caller, request: m.Conclude) -> Done:
        """Its own word about its end: not that of a tool it runs. Raises InputError, RefusedError."""
        process = self._asker(caller, "Conclude")
        if not caller.leader:
            raise authority.refused("conclude refused: only the leader of a process says why that ends")
        if request.reason not in exits.TOLD:
            raise InputError(f"expected {', '.join(exits.TOLD)}", field="reason")
        process.row.concluded = (request.reason, request.text[:DOING_CHARS])
        self._recorder.change(process.row)
        return Done()

    async def ask(self, caller: Caller, request: m.Ask) -> Answered:
        """When it is answered. Raises InputError, LimitError, ConflictError where it was withdrawn."""
        process = self._asker(caller, "Ask")
        check_ask(request)
        if request.token.startswith(NETWORK):
            raise InputError("that is what the supervisor asks itself", field="token")
        return Answered(question=await self._answered(process, request))

    async def ask_for(self, process: Process, request: m.Ask, stale: Callable[[AnswerPart], bool]) -> QuestionPart:
        """A question of ours about a process; one answer for all who ask under its token, until that is `stale`.
        Raises LimitError, ConflictError."""
        known = self._questions.get(process.id, request.token)
        if known is not None and known.answer is not None and stale(known.answer):
            self._questions.forget(process.id, request.token)
            self._recorder.question(process.id, request.token, None)
        return await self._answered(process, request)

    async def _answered(self, process: Process, request: m.Ask) -> QuestionPart:
        if self._questions.get(process.id, request.token) is None:
            self._put(process, request)
        while True:
            part = self._questions.get(process.id, request.token)
            if part is None:
                raise ConflictError("the question was withdrawn")
            if part.answer is not None:
                return part
            await process.change()

    def _put(self, process: Process, request: m.Ask) -> None:
        row = process.row
        part, dropped = self._questions.ask(process.id, row.name, request, time.time())
        for id_, token in dropped:
            self._recorder.question(id_, token, None)
        self._recorder.question(process.id, request.token, part)
        self._recorder.note(LAST, str(self._questions.last))
        self._recorder.event("asked", row, part.told(), question=part.number, asks=part.kind)
        self._show(process)

    async def withdraw(self, caller: Caller, request: m.Withdraw) -> Done:
        process = self._asker(caller, "Withdraw")
        part = self._questions.withdraw(process.id, request.token)
        if part is None:
            return Done(changed=False)
        self._recorder.question(process.id, request.token, None)
        self._recorder.event("withdrawn", process.row, part.told(), question=part.number)
        self._show(process)
        return Done()

    async def answer(self, caller: Caller, request: m.Answer) -> Answered:
        """Only the user does. Raises RefusedError, NotFoundError, ConflictError, InputError."""
        authority.check(self._table, caller, "Answer")
        asker = self._questions.asker(request.number)
        if caller.id is not None and asker is not None and authority.kin(self._table, caller.id, asker):
            raise authority.refused(
                "answer refused: no process answers for its own family, whatever its rights",
                hint="ask the user to do it from outside",
            )
        token, part = self._questions.answer(request, time.time())
        if token is None:
            return Answered(question=part)
        self._recorder.question(part.process, token, part)
        process = self._table.get(part.process)
        if process is not None:
            self._recorder.event("answered", process.row, part.answered(), question=part.number)
            self._show(process)
        return Answered(question=part)

    async def questions(self, caller: Caller, request: m.Questions) -> QuestionList:
        """Those of the caller's subtree. Raises NotFoundError, RefusedError."""
        visible = authority.visible(self._table, caller)
        wanted = visible
        if request.target is None:
            authority.check(self._table, caller, "Questions")
        else:
            process = self._table.resolve(request.target, visible)
            authority.check(self._table, caller, "Questions", process)
            wanted = self._table.subtree(process.id)
        return QuestionList(
            questions=[part for part in self._questions.open() if wanted is None or part.process in wanted]
        )

    def _asker(self, caller: Caller, op: str) -> Process:
        """The supervised process that the caller is, or is part of. Raises RefusedError, InputError."""
        if caller.standing == "nobody":
            authority.check(self._table, caller, op)
        process = self._table.get(caller.id) if caller.id is not None else None
        if process is None:
            raise InputError("only a supervised process tells of itself, and asks", hint="see docs/protocol.md")
        if process.row.lifecycle not in (state.RUNNING, state.STOPPING):
            raise ConflictError(f"{process.row.name} ({process.id}) is {process.word}")
        return process

    # --- what follows -------------------------------------------------------------------------------------------

    def over(self, process: Process) -> None:
        """A run of it has ended: nobody waits for an answer any more."""
        process.told = (None, None)
        if self._drop(process.id):
            self._changed()

    def _drop(self, id_: str) -> bool:
        tokens = self._questions.drop(id_)
        for token in tokens:
            self._recorder.question(id_, token, None)
        process = self._table.get(id_)
        if process is not None:
            process.wants = None
        return bool(tokens)

    def _show(self, process: Process) -> None:
        found = self._questions.open(process.id)
        process.wants = (
            found[0].told() + (f" (and {len(found) - 1} more)" if len(found) > 1 else "") if found else None
        )
        process.changed()
        self._changed()
