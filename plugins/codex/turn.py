"""One turn with Codex: a thread, a turn of it, and what it asks meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from itertools import count
from typing import TYPE_CHECKING, Final, NoReturn

from aish.agents.host import bookmark
from aish.agents.host.exchange import Exchange
from aish.agents.host.last_text import LastText
from aish.errors import AishError, BudgetError, UpstreamError
from aish.plugins.codex import approval, lines, way
from aish.plugins.codex.lines import Answered, Asks, Began, Over, Returned, Said, Settled, Thought, Used, Warned
from aish.spi.agent_adapter import ProgramError

if TYPE_CHECKING:
    from aish.plugins.codex.lines import Fields, Told
    from aish.spi.agent_adapter import Host, Program, Task

ANSWER_S: Final = 120.0
"""For an answer that it gives by itself, before any model is asked."""
END_S: Final = 10.0
FAREWELL_S: Final = 5.0
_NO_SUCH_METHOD: Final = -32601


class Turn:
    def __init__(self, task: Task, host: Host, program: Program) -> None:
        self._task, self._host, self._program = task, host, program
        self._exchange = Exchange(program.lines())
        self._numbers = count(1)
        self._thread = self._turn = ""
        self._last, self._final = LastText(host), False
        """The answer, if nothing follows it, or if it says so itself."""
        self._open: dict[str, str] = {}
        """What is under way, and what it changes."""

    async def hold(self) -> None:
        """Raises UpstreamError, BudgetError, ProgramError."""
        try:
            await self._begin()
            self._end(await self._until_over())
            await self._leave()
        except asyncio.CancelledError:
            await self._farewell()
            raise
        finally:
            await self._exchange.close()

    # --- to it --------------------------------------------------------------------------------------------------

    async def _send(self, **fields: object) -> None:
        await self._program.send(json.dumps(fields))

    async def _ask(self, method: str, params: Fields | dict[str, object]) -> Fields:
        """Ask for what it answers by itself. Raises UpstreamError where it refuses, or says nothing."""
        id = next(self._numbers)
        try:
            await self._send(id=id, method=method, params=params)
        except UpstreamError:
            await self._died()
        try:
            async with asyncio.timeout(ANSWER_S):
                while True:
                    match await self._next():
                        case Answered(id=answered, error=None, result=result) if answered == id:
                            return result
                        case Answered(id=answered, error=error) if answered == id:
                            raise UpstreamError(f"codex refuses {method}: {error}")
                        case _:
                            pass
        except TimeoutError:
            raise UpstreamError(f"codex did not answer {method} within {ANSWER_S:.0f} s") from None

    async def _begin(self) -> None:
        await self._ask("initialize", {"clientInfo": {"name": "aish", "title": "aish", "version": "1"}})
        await self._send(method="initialized")
        if way.by_its_own_login(self._task, os.environ):
            self._passes(lines.account(await self._ask("account/read", {"refreshToken": False})))
        begun = await self._ask(*way.thread(self._task, bookmark.branch(self._task, self._host)))
        match begun:
            case {"thread": {"id": str(id)}}:
                self._thread = id
            case _:
                raise UpstreamError("codex began no conversation")
        self._host.session(id)
        text = {"type": "text", "text": self._task.prompt}
        begun = await self._ask("turn/start", {"threadId": id, "input": [text]})
        match begun:
            case {"turn": {"id": str(turn)}}:
                self._turn = turn
            case _:
                raise UpstreamError("codex began no turn")

    def _passes(self, account: str | None) -> None:
        """Of its own logins only a key goes to an API. Raises UpstreamError."""
        if account is None:
            raise UpstreamError("codex has no login of its own", hint=f"codex login --with-api-key; or {way.OWN_KEY}")
        if account != lines.API_KEY:
            raise UpstreamError(
                f"codex has a login ({account}) that no API takes through a gateway",
                hint="login: own lets it ask its vendor, and observes it",
            )

    async def _leave(self) -> None:
        await self._program.close()
        await self._exchange.drain(END_S)

    async def _farewell(self) -> None:
        if self._turn:
            params = {"threadId": self._thread, "turnId": self._turn}
            with contextlib.suppress(TimeoutError, AishError):
                async with asyncio.timeout(FAREWELL_S):
                    await self._send(id=next(self._numbers), method="turn/interrupt", params=params)
                    await self._until_over()

    # --- from it ------------------------------------------------------------------------------------------------

    async def _until_over(self) -> Over:
        while True:
            told = await self._next()
            if isinstance(told, Over) and told.thread == self._thread:
                return told

    async def _next(self) -> Told:
        """What it tells next, after what is to be done for it was done. Raises ProgramError at its end."""
        while True:
            line = await self._exchange.line()
            if line is None:
                await self._died()
            told = lines.read(line)
            if told is not None:
                await self._take(told)
                return told

    async def _died(self) -> NoReturn:
        status = await self._program.ended()
        raise ProgramError(f"codex ended with {status} in the middle of its turn", ended=status or 69)

    async def _take(self, told: Told) -> None:
        host = self._host
        match told:
            case Began(thread, turn) if thread == self._thread:
                self._turn = turn
            case Said(thread, text, final) if thread == self._thread:
                self._last.said(text)
                self._final = final
            case Thought(text):
                host.record("thought", text=text)
            case Used(id, tool, about, diff):
                if not self._final:
                    self._last.followed()
                self._open[id] = diff
                host.activity("tool", f"{tool}: {about}" if about else tool)
                host.record("tool", id=id, name=tool, about=about)
            case Returned(id, text, status):
                self._open.pop(id, None)
                host.record("result", id=id, text=text, status=status)
                if not self._open:
                    host.activity("generating" if self._task.login == "own" else None)
            case Warned(text):
                host.progress(text)
            case Asks(id, method, params):
                await self._asked(id, method, params)
            case Settled(id):
                self._exchange.withdraw(str(id))
            case _:
                pass

    def _end(self, over: Over) -> None:
        self._host.activity(None)
        if over.failure is None:
            bookmark.put(self._host, self._thread, self._turn)
            self._host.text(self._last.text)
        elif over.spent:
            hint = None if self._task.login == "own" else "aish limit says whether it is a budget of yours"
            raise BudgetError(over.failure, hint=hint)
        else:
            raise UpstreamError(over.failure, status=over.status)

    # --- what it asks -------------------------------------------------------------------------------------------

    async def _asked(self, id: str | int, method: str, params: Fields) -> None:
        wanted = approval.read(method, params, self._open.get(str(params.get("itemId")), ""))
        if wanted is not None:
            self._exchange.answering(str(id), self._approval(id, method, params, wanted))
        elif method == approval.INPUT and (asked := approval.questions(params)):
            self._exchange.answering(str(id), self._questions(id, asked))
        elif method == approval.ELICITATION:
            await self._send(id=id, result={"action": "decline"})
        else:
            await self._send(id=id, error={"code": _NO_SUCH_METHOD, "message": f"{method}: not known here"})

    async def _approval(self, id: str | int, method: str, params: Fields, wanted: approval.Approval) -> None:
        answer = await self._host.ask(wanted.title, body=wanted.body, form=wanted.form, options=wanted.options)
        await self._send(id=id, result=approval.response(method, params, answer))

    async def _questions(self, id: str | int, asked: list[approval.Asked]) -> None:
        answers = {}
        for each in asked:
            answers[each.id] = await self._host.ask(
                each.question, kind="input", body=each.body, options=each.options, words=True
            )
        await self._send(id=id, result=approval.answered(answers))
