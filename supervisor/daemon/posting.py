"""Mail between the user and agents, and among agents: by place in the tree."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from aish.errors import ConflictError, InputError, StorageError
from aish.model import kind, state
from aish.supervisor.daemon import authority
from aish.supervisor.daemon.mailbox import Mailbox, check_text
from aish.wire.mail import DELIVERED, SCHEMA_BYTES, TEXT_BYTES, MailPart
from aish.wire.reply import Done, Mail, MailList, Sent

if TYPE_CHECKING:
    from aish.supervisor.daemon.authority import Caller
    from aish.supervisor.daemon.process import Process
    from aish.supervisor.daemon.recorder import Recorder
    from aish.supervisor.daemon.table import Table
    from aish.wire import message as m

LAST: Final = "last_mail"
"""In the journal's `meta`: the highest number of a message."""
TOKEN_CHARS: Final = 200
_TITLE_CHARS: Final = 80
_NOTHING: Final = (None, None)
_WAITS: Final = (state.IDLE, "waits for messages")
"""What a process that waits for mail does, where it tells nothing itself."""


class Posting:
    """One per daemon."""

    def __init__(self, table: Table, recorder: Recorder) -> None:
        self._table, self._recorder = table, recorder
        self._box = Mailbox()
        self._readers: set[str] = set()
        """Who has asked for mail in the run that it is at."""

    def restore(self) -> None:
        """What a daemon before has left. Damage is told: there is nobody who could send it again."""
        if self._recorder.journal is None:
            return
        try:
            kept = self._recorder.journal.mail()
        except StorageError as error:
            self._recorder.event("storage-failed", text=f"mail of agents cannot be read: {error}")
            return
        self._box.restore(kept, int(self._recorder.noted(LAST) or 0))
        for id_ in {part.to for _, part in kept}:
            process = self._table.get(id_)
            if process is None:
                self._forget(id_)
            elif process.row.lifecycle not in (state.RUNNING, state.STOPPING):
                self.run_over(process)

    # --- sending ------------------------------------------------------------------------------------------------

    async def send(self, caller: Caller, request: m.Send) -> Sent:
        """Raises NotFoundError, RefusedError, ConflictError, InputError, LimitError."""
        check_text(request.text)
        if len((request.schema or "").encode("utf-8", "replace")) > SCHEMA_BYTES:
            raise InputError(f"longer than {SCHEMA_BYTES:,} bytes", field="schema")
        if not 0 < len(request.token) <= TOKEN_CHARS:
            raise InputError(f"expected 1 to {TOKEN_CHARS} characters", field="token")
        known = self._box.known(request.token)
        if known is not None:
            return Sent(number=known.number, to=known.to)
        process = self._receiver(caller, request.target)
        sender = self._table.get(caller.id) if caller.id is not None else None
        part = MailPart(
            number=0,
            to=process.id,
            to_name=process.row.name,
            sender=sender.id if sender is not None else None,
            sender_name=sender.row.name if sender is not None else None,
            text=request.text,
            schema=request.schema,
            sent_s=time.time(),
        )
        part, dropped = self._box.send(request.token, part)
        for number in dropped:
            self._recorder.mail(number, "", None)
        self._recorder.mail(part.number, request.token, part)
        self._recorder.note(LAST, str(self._box.last))
        title = part.text.strip().splitlines()[0][:_TITLE_CHARS]
        self._recorder.event("mail", process.row, title, message=part.number, sender=part.sender)
        process.changed()
        return Sent(number=part.number, to=process.id)

    def _receiver(self, caller: Caller, target: str) -> Process:
        process = self._table.resolve(target, self._reachable(caller))
        if not may_send(self._table, caller, process):
            authority.check(self._table, caller, "Send", process)
        if process.row.spec.kind != kind.AGENT:
            raise ConflictError(f"{process.row.name} ({process.id}) reads no mail", hint="agents do")
        if process.row.ended:
            raise ConflictError(
                f"{process.row.name} ({process.id}) has ended", hint=f"`aish start {process.id}` starts it again"
            )
        return process

    def _reachable(self, caller: Caller) -> set[str] | None:
        """Whom names mean: those it may see, and those it may write to."""
        visible = authority.visible(self._table, caller)
        if visible is None:
            return None
        return visible | {process.id for process in self._table if may_send(self._table, caller, process)}

    # --- receiving ----------------------------------------------------------------------------------------------

    async def receive(self, caller: Caller, request: m.Receive) -> Mail:
        """Once there is one; None when the time is over."""
        process = self._own(caller, "Receive")
        self._readers.add(process.id)
        try:
            async with asyncio.timeout(request.timeout_s):
                while (part := self._box.next(process.id, request.after)) is None:
                    if process.told == _NOTHING:  # it never tells, or told a daemon before this one
                        process.told = _WAITS
                        process.changed()
                    await process.change()
        except TimeoutError:
            return Mail(mail=None)
        finally:
            if process.told is _WAITS:
                process.told = _NOTHING
                process.changed()
        self._put(part)
        return Mail(mail=part)

    async def respond(self, caller: Caller, request: m.Respond) -> Done:
        process = self._own(caller, "Respond")
        if len(request.text.encode("utf-8", "replace")) > TEXT_BYTES:
            raise InputError(
                f"longer than {TEXT_BYTES:,} bytes", field="text", hint="put it into a file, and say where"
            )
        if process.row.parking and request.status != 0:  # that is what its end made of the turn: it is asked again
            raise ConflictError(f"{process.row.name} ({process.id}) is being parked: only an answer ends a message")
        part = self._box.answer(process.id, request.number, request.text, request.status, time.time())
        self._put(part)
        self._recorder.event("mail-answered", process.row, f"m{part.number}", message=part.number, status=part.status)
        process.changed()
        return Done()

    async def response(self, caller: Caller, request: m.AwaitResponse) -> Mail:
        """The message once it is answered or returned, for who sent it and the user. Raises NotFoundError,
        RefusedError."""
        part = self._box.get(request.number)
        if caller.standing != "user" and part.sender != caller.id:
            raise authority.refused(f"m{part.number} is not yours")
        try:
            async with asyncio.timeout(request.timeout_s):
                while not (part := self._box.get(request.number)).over:
                    receiver = self._table.get(part.to)
                    if receiver is None:
                        break  # its mail goes with it
                    await receiver.change()
        except TimeoutError:
            pass
        return Mail(mail=part)

    async def mail(self, caller: Caller, request: m.MailQuery) -> MailList:
        """Of one process, or of all that the caller may see."""
        visible = authority.visible(self._table, caller)
        if request.target is not None:
            process = self._table.resolve(request.target, visible)
            authority.check(self._table, caller, "MailQuery", process)
            return MailList(mail=self._box.of(process.id))
        authority.check(self._table, caller, "MailQuery")
        return MailList(mail=[part for part in self._box if visible is None or part.to in visible])

    def _own(self, caller: Caller, op: str) -> Process:
        if caller.standing == "nobody":
            authority.check(self._table, caller, op)
        process = self._table.get(caller.id) if caller.id is not None else None
        if process is None:
            raise InputError("only a supervised process has mail", hint="see docs/agents.md")
        return process

    def turn_under_way(self, id_: str) -> bool:
        """Whether an agent works on something: a message that it has not answered, or what it was started for, which
        only one that reads mail is ever done with."""
        return id_ not in self._readers or any(part.state == DELIVERED for part in self._box.of(id_))

    # --- what follows -------------------------------------------------------------------------------------------

    def run_over(self, process: Process) -> None:
        """A run of it has ended."""
        self._readers.discard(process.id)
        for part in self._box.run_over(process.id, for_good=process.row.ended):
            self._put(part)
            if part.over:
                self._recorder.event("mail-returned", process.row, f"m{part.number}", message=part.number)
                process.changed()

    def forget(self, process: Process) -> None:
        self._forget(process.id)
        process.changed()

    def _forget(self, id_: str) -> None:
        for number in self._box.forget(id_):
            self._recorder.mail(number, "", None)

    def _put(self, part: MailPart) -> None:
        self._recorder.mail(part.number, self._box.token_of(part.number), part)


def may_send(table: Table, caller: Caller, receiver: Process) -> bool:
    """The user to all; a process to what is below it, to what started it, and to what has the same parent. Who has
    none writes to the others of its project."""
    match caller.standing:
        case "user":
            return True
        case "nobody":
            return False
        case "process":
            sender = table.get(caller.id or "")
    if sender is None or sender.id == receiver.id:
        return False
    if sender.id in table.ancestors(receiver.id) or receiver.id == sender.row.parent:
        return True
    if sender.row.parent is not None or receiver.row.parent is not None:
        return sender.row.parent == receiver.row.parent
    project = sender.row.spec.project
    return project is not None and project == receiver.row.spec.project
