"""One turn of an agent program: what its adapter may do, and what becomes of that."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

from aish.agents.checkpoints import midway
from aish.agents.host import program
from aish.agents.host.program import Child
from aish.errors import RefusedError
from aish.report import clean
from aish.wire import question as q
from aish.wire.question import YES_OR_NO, AnswerPart

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aish.agents.events import Events
    from aish.agents.host.confinement import Confined
    from aish.agents.host.desk import Desk
    from aish.agents.host.helper import Helper
    from aish.agents.host.points import Kept
    from aish.agents.stdout import Stdout
    from aish.agents.transcript import Transcript
    from aish.spi.agent_adapter import Command, Gateway, Task
    from aish.wire.question import OptionPart


NAME_CHARS = 128
"""Of a process."""


class Turn:
    """Implements aish.spi.agent_adapter.Host. `note` tells a person one line; `point` is what it goes on with;
    `called` is told, too, what the program calls this conversation."""

    def __init__(
        self,
        task: Task,
        gateway: Gateway,
        folder: str,
        *,
        desk: Desk,
        stdout: Stdout,
        events: Events,
        transcript: Transcript,
        note: Callable[[str], None],
        missing: Callable[[], str | None],
        point: Kept,
        called: Callable[[str], None],
        confinement: Confined | None = None,
    ) -> None:
        self.gateway, self.folder = gateway, folder
        self._task, self._desk, self._stdout = task, desk, stdout
        self._events, self._transcript = events, transcript
        self._note, self._missing, self.confinement = note, missing, confinement
        self.conversation = point.conversation
        self.midway = point.midway.conversation if point.midway is not None else None
        self.keeps_midway = point.midway is not None
        self._session, self._point, self._called = task.session, point, called
        self._children: list[Child] = []
        self._helpers: list[Helper] = []
        self._text: list[str] = []
        self._denied: str | None = None
        """What the person has not allowed, as long as nothing came after it."""

    async def start(self, command: Command) -> Child:
        confine = self.confinement.around if self.confinement is not None else None
        child = await program.start(command, self._cwd(command), self._missing(), confine)
        self._children.append(child)
        return child

    async def helper(self, name: str, command: Command) -> Helper:
        name = f"{os.environ.get('AISH_NAME', 'agent')}/{name}"[:NAME_CHARS]
        helper = await self._desk.helper(name, command, self._cwd(command))
        self._helpers.append(helper)
        return helper

    def _cwd(self, command: Command) -> str:
        return os.path.join(self._task.cwd, command.cwd or "")

    async def close(self) -> None:
        """The turn is over: nothing that it started goes on."""
        self._entered()
        for child in self._children:
            await child.stop()
        await asyncio.gather(*(helper.stop() for helper in self._helpers))

    def check(self) -> None:
        """Raises RefusedError where the last thing that it wanted was denied, and it had no answer then."""
        if self._denied is not None:
            raise RefusedError(f"it did nothing more: it was not allowed to {self._denied}")

    def text(self, piece: str) -> None:
        if piece.strip():
            self._denied = None
        self._text.append(piece)
        self._stdout.write(piece)

    def _entered(self) -> None:
        """Text is an entry when something else comes, or the end."""
        text, self._text = "".join(self._text), []
        if text.strip():
            self._transcript.write("text", text=text)

    def progress(self, line: str) -> None:
        self._events.emit("note", text=line)
        self._note(clean(line))

    def activity(self, word: str | None, doing: str | None = None) -> None:
        self._events.emit("activity", activity=word, doing=doing)
        self._desk.tell(word, doing)

    async def ask(
        self,
        title: str,
        *,
        kind: str = q.PERMISSION,
        body: str = "",
        form: str = q.TEXT,
        options: Sequence[OptionPart] = (),
        words: bool = False,
        token: str | None = None,
    ) -> AnswerPart:
        options = options or (YES_OR_NO if kind == q.PERMISSION else ())
        asked = midway.digest(title, body, options)
        title = title.strip().splitlines()[0][: q.TITLE_CHARS] if title.strip() else "go on"
        body = body.encode("utf-8", "replace")[: q.BODY_BYTES].decode("utf-8", "ignore")
        self.record("question", title=title, body=body)
        ruled = _ruled(options, self._task.permissions) if kind == q.PERMISSION else None
        given = self._point.given(asked) if ruled is None else None
        if ruled is not None:
            answer = AnswerPart(option=ruled.id, time_s=time.time())
        elif given is not None:
            answer = given
        else:
            answer = await self._desk.ask(
                title,
                kind=kind,
                body=body,
                form=form,
                options=options[: q.OPTIONS_MOST],
                words=words,
                token=token,
            )
            self._point.answered(asked, answer, options)
        if kind == q.PERMISSION:
            meanings = [option.meaning for option in options if option.id == answer.option]
            self._denied = None if meanings and meanings[0] not in (q.DENY, q.DENY_ALWAYS) else title
        labels = [option.label for option in options if option.id == answer.option]
        by = "the person" if ruled is None else f"permissions: {self._task.permissions}"
        by = by if given is None else "the person, before it was parked"
        self.record("answer", title=title, answer=labels[0] if labels else answer.words, by=by)
        return answer

    def session(self, id: str) -> None:
        if id != self._session:
            self._session = id
            self.record("session", id=id)
            self._called(id)
            self._point.is_called(id)

    def keep(self, conversation: bytes) -> None:
        self._point.keep(conversation)

    def keep_midway(self, conversation: bytes) -> None:
        self._point.keep_midway(conversation)

    def record(self, kind: str, **detail: str | float | bool | None) -> None:
        self._entered()
        if kind == "result":
            self._point.result_came()
        if kind == "tool":
            self._denied = None
        self._transcript.write(kind, **detail)
        self._events.emit(kind, **{key: value for key, value in detail.items() if key in _SHORT})


_SHORT = frozenset({"id", "name", "title", "status", "by", "answer"})
"""What events say of an entry: never the text itself."""


def _ruled(options: Sequence[OptionPart], permissions: str) -> OptionPart | None:
    """What the agent's file answers for the person; None: the person answers. Always only where there is no once."""
    match permissions:
        case "allow":
            meanings = (q.ALLOW, q.ALLOW_ALWAYS)
        case "deny":
            meanings = (q.DENY, q.DENY_ALWAYS)
        case _:
            return None
    found = {option.meaning: option for option in reversed(options)}
    return next((found[meaning] for meaning in meanings if meaning in found), None)
