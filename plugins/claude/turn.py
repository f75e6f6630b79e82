"""One turn with Claude Code: lines to it and from it, until it says that the turn is over."""

from __future__ import annotations

import asyncio
import contextlib
import json
from itertools import count
from typing import TYPE_CHECKING, Any, Final, NoReturn

from aish.agents.host import bookmark
from aish.agents.host.exchange import Exchange
from aish.agents.host.last_text import LastText
from aish.errors import AishError, BudgetError, UpstreamError
from aish.plugins.claude import lines, permission
from aish.plugins.claude.lines import Again, Answered, At, Began, Over, Returned, Said, Thought, Used, Wants, Withdrew
from aish.spi.agent_adapter import ProgramError

if TYPE_CHECKING:
    from aish.plugins.claude.lines import Fields, Told
    from aish.spi.agent_adapter import Host, Program

ANSWER_S: Final = 120.0
"""For an answer that it gives by itself, before any model is asked."""
END_S: Final = 10.0
"""From the end of the turn to its own."""
FAREWELL_S: Final = 5.0
_MOST_BYTES: Final = 1 << 20
"""Of a file that a diff is made with."""


class Turn:
    def __init__(self, host: Host, program: Program) -> None:
        self._host, self._program = host, program
        self._exchange = Exchange(program.lines())
        self._numbers = count(1)
        self._last = LastText(host)
        self._tools: set[str] = set()
        self._session: str | None = None
        self._at: str | None = None
        self._told: list[Told] = []
        """Of the line that was read last."""

    async def hold(self, prompt: str) -> None:
        """Raises UpstreamError, BudgetError, ProgramError."""
        try:
            await self._begin()
            await self._send({"type": "user", **_message(prompt)})
            self._end(await self._until_over())
            await self._leave()
        except asyncio.CancelledError:
            await self._farewell()
            raise
        finally:
            await self._exchange.close()

    # --- to it --------------------------------------------------------------------------------------------------

    async def _send(self, fields: Fields) -> None:
        await self._program.send(json.dumps(fields))

    async def _ask(self, **request: Any) -> str:
        id = f"aish-{next(self._numbers)}"
        await self._send({"type": "control_request", "request_id": id, "request": request})
        return id

    async def _respond(self, id: str, response: Fields) -> None:
        told = {"subtype": "success", "request_id": id, "response": response}
        await self._send({"type": "control_response", "response": told})

    async def _begin(self) -> None:
        """Only who begins like this is asked for permissions."""
        try:
            id = await self._ask(subtype="initialize", hooks=None)
        except UpstreamError:
            await self._died()
        try:
            async with asyncio.timeout(ANSWER_S):
                while True:
                    match await self._next():
                        case Answered(id=answered, error=error) if answered == id:
                            break
                        case Over() as over:  # it refuses what it was started with
                            self._end(over)
                            await self._died()
                        case _:
                            pass
        except TimeoutError:
            raise UpstreamError(f"claude said nothing within {ANSWER_S:.0f} s") from None
        if error is not None:
            raise UpstreamError(f"claude does not begin: {error}")

    async def _leave(self) -> None:
        """What it has to write down yet is its own; then it is ended."""
        await self._program.close()
        await self._exchange.drain(END_S)

    async def _farewell(self) -> None:
        with contextlib.suppress(TimeoutError, AishError):
            async with asyncio.timeout(FAREWELL_S):
                await self._ask(subtype="interrupt")
                await self._until_over()

    # --- from it ------------------------------------------------------------------------------------------------

    async def _until_over(self) -> Over:
        while True:
            told = await self._next()
            if isinstance(told, Over):
                return told

    async def _next(self) -> Told:
        """What it tells next, after what is to be done for it was done. Raises ProgramError at its end."""
        while not self._told:
            line = await self._exchange.line()
            if line is None:
                await self._died()
            self._told = lines.read(line)
        told = self._told.pop(0)
        await self._take(told)
        return told

    async def _died(self) -> NoReturn:
        status = await self._program.ended()
        raise ProgramError(f"claude ended with {status} in the middle of its turn", ended=status or 69)

    async def _take(self, told: Told) -> None:
        host = self._host
        match told:
            case Began(session):
                self._session = session
                host.session(session)
            case At(message):
                self._at = message
            case Said(text):
                self._last.said(text)
            case Thought(text):
                host.record("thought", text=text)
            case Used(id, tool, about):
                self._last.followed()
                self._tools.add(id)
                host.activity("tool", f"{tool}: {about}" if about else tool)
                host.record("tool", id=id, name=tool, about=about)
            case Returned(id, text, failed):
                self._tools.discard(id)
                host.record("result", id=id, text=text, failed=failed)
                if not self._tools:
                    host.activity(None)
            case Again(why):
                host.progress(f"the model is asked again: {why}")
            case Wants(id, kind, request):
                await self._wanted(id, kind, request)
            case Withdrew(id):
                self._exchange.withdraw(id)
            case _:
                pass

    def _end(self, over: Over) -> None:
        self._host.activity(None)
        if over.failure is None:
            if self._session is not None and self._at is not None:
                bookmark.put(self._host, self._session, self._at)
            self._host.text(over.text or self._last.text)
        elif over.spent:
            raise BudgetError(over.failure)
        else:
            raise UpstreamError(over.failure, status=over.status)

    # --- what it asks -------------------------------------------------------------------------------------------

    async def _wanted(self, id: str, kind: str, request: Fields) -> None:
        match kind:
            case "can_use_tool" if asked := permission.questions(request):
                self._exchange.answering(id, self._questions(id, request, asked))
            case "can_use_tool":
                self._exchange.answering(id, self._permission(id, request))
            case "elicitation":
                await self._respond(id, {"action": "decline"})
            case _:
                error = f"{kind}: not known here"
                response = {"subtype": "error", "request_id": id, "error": error}
                await self._send({"type": "control_response", "response": response})

    async def _permission(self, id: str, request: Fields) -> None:
        path = permission.file(request)
        before = await asyncio.to_thread(_read, path) if path is not None else None
        wanted = permission.read(request, before)
        answer = await self._host.ask(
            wanted.title, body=wanted.body, form=wanted.form, options=wanted.options, words=True
        )
        await self._respond(id, wanted.response(answer))

    async def _questions(self, id: str, request: Fields, asked: list[permission.Asked]) -> None:
        answers = {}
        for each in asked:
            answer = await self._host.ask(
                each.question, kind="input", body=each.body, options=each.options, words=True
            )
            answers[each.question] = answer.option or answer.words or ""
        await self._respond(id, permission.answered(request, answers))


def _read(path: str) -> str | None:
    """A file that a change is shown against; None where it is none that could be shown."""
    try:
        with open(path, "rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError:
        return None
    return None if len(data) > _MOST_BYTES else data.decode("utf-8", "replace")


def _message(prompt: str) -> Fields:
    return {"session_id": "", "message": {"role": "user", "content": prompt}, "parent_tool_use_id": None}
