"""One turn of the built-in agent: requests and tool calls, until the model answers without a call."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

from pydantic_ai import Agent
from pydantic_ai.capabilities import ProcessHistory
from pydantic_ai.exceptions import UnexpectedModelBehavior
from pydantic_ai.messages import (
    ModelRequest,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ToolCallPart,
    ToolReturnPart,
)
from pydantic_ai.usage import UsageLimits

from aish.agents.failure import ContextError
from aish.agents.upstream import Counted, Upstream
from aish.errors import AishError, LimitError, RefusedError, UnavailableError
from aish.plugins.builtin import conversation, history, structured, tools
from aish.plugins.builtin import model as models
from aish.plugins.builtin.bound import bounded
from aish.plugins.builtin.compaction import CHARS_PER_TOKEN, UNKNOWN_TOKENS, Compaction
from aish.plugins.builtin.guard import RESULT_CHARS, Record
from aish.plugins.builtin.repeats import ENDED_AT, TOLD_AT, Repeats
from aish.plugins.builtin.wish import one_line
from aish.spi.acting import Acting

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelMessage, ModelResponse

    from aish.plugins.builtin.model import AskedModel
    from aish.spi.agent_adapter import Host, Task

REQUESTS_MOST: Final = 300
"""Of one turn: who is still at it then goes round in a circle that nobody has seen."""
CUTS_MOST: Final = 3
"""How often in a row a request is made again whose answer was cut off before anything of it was told or done."""
RETRIES: Final = 1000
"""Calls that are wrong are counted by `Repeats` and by REQUESTS_MOST, not by the library."""
_TOLD: Final = "\n[You have made this very call {} times, with this very result. Do something else, or answer.]"
_WORKING: Final = "You work in {}. Use the tools for the task; then answer with the result alone."
_HERE: Final = "one folder, to which paths are relative"
"""Without its name: what a fork in another folder is told begins as it did, and so its model has read it already."""


class LoopError(LimitError):
    """The same call with the same result, too often."""

    code = "loop"


async def run(task: Task, host: Host) -> None:
    """Raises AishError."""
    model = models.AskedModel(task.model or "default", host)
    turn = _Turn(task, host, model)
    try:
        await turn.run()
    except AishError:
        raise
    except Exception as error:
        denied = turn.record.last_denied
        if denied is not None and isinstance(error, UnexpectedModelBehavior):  # it has nothing to say to that
            raise RefusedError(f"it did nothing more: it was not allowed to {denied}") from error
        root = _root(error)
        known = root if isinstance(root, AishError) else models.failed(root, model)
        if known is None:
            raise
        raise known from error
    finally:
        await model.close()


def _root(error: Exception) -> Exception:
    """Servers are started side by side: the first thing that went wrong there."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


class _TooLongError(Exception):
    """A request is longer than the model's context; the conversation until then."""

    def __init__(self, why: ContextError, messages: list[ModelMessage]) -> None:
        super().__init__(str(why))
        self.why, self.messages = why, messages


class _CutError(Exception):
    """The connection to the gateway ended in the middle of an answer of which nobody has heard; the conversation
    until then."""

    def __init__(self, why: UnavailableError, messages: list[ModelMessage]) -> None:
        super().__init__(str(why))
        self.why, self.messages = why, messages


class _Turn:
    def __init__(self, task: Task, host: Host, model: AskedModel) -> None:
        self.task, self.host, self.model = task, host, model
        self.acting = task.acting or Acting()
        self.record, self.repeats = Record(), Repeats()
        self.schema = structured.Schema(self.acting.schema) if self.acting.schema else None
        self.settings: Any = models.settings(self.acting.settings)
        self._streamed = False
        self._requests, self._cuts = 0, 0
        self._calls: dict[str, ToolCallPart] = {}
        self._before: list[ModelMessage] | None = None
        """The middle of this turn, from which it goes on."""
        if host.midway is not None:
            self._before, self.record, self._requests, self.repeats = history.of_midway(host.midway)

    @property
    def has_tools(self) -> bool:
        return bool(self.acting.tools or self.acting.mcp_servers)

    async def run(self) -> None:
        context = await self._context_tokens()
        prompt = self._fitting(self.task.prompt, context)
        if self.schema is not None and not self.has_tools:
            instructions, before = self.task.instructions, history.of(self.host.conversation)
            text, messages = await structured.answer(
                self.schema, self.model.chat, prompt, before, instructions, self.settings
            )
            self.host.keep(history.kept(messages))
            self._end(text)
            return
        await self._loop(prompt, context)

    async def _loop(self, prompt: str, context: int | None) -> None:
        chars = min(RESULT_CHARS, (context or UNKNOWN_TOKENS) * CHARS_PER_TOKEN // 4)
        guard = tools.guarded(self.acting, self.task, self.host, self.record, chars)
        compaction = Compaction(self.model.chat, self.host, context)
        agent: Agent[None, str] = Agent(
            self.model.chat,
            deps_type=type(None),
            instructions=self._instructions() or None,
            toolsets=[guard] if self.has_tools else [],
            model_settings=self.settings,
            retries={"tools": RETRIES, "output": 2},
            capabilities=[ProcessHistory(compaction)],
        )
        messages, answer = await self._answered(agent, compaction, prompt)
        if self.schema is not None:
            ready = self.schema.read(answer)
            if ready is None:
                ready, messages = await structured.answer(
                    self.schema, self.model.chat, structured.ASKED, messages, self._instructions(), self.settings
                )
            answer = ready
        self.host.keep(history.kept(messages))
        self._end(answer)

    async def _answered(
        self, agent: Agent[None, str], compaction: Compaction, prompt: str
    ) -> tuple[list[ModelMessage], str]:
        """The conversation, and what it came to. A request that the server finds too long, for nobody had told how
        long its context is, is sent again once the conversation was made shorter; one whose answer was cut off (the
        gateway was killed) as it is: with tools nothing of an answer is told or done before its end."""
        asked: str | None = prompt
        before = history.of(self.host.conversation)
        if self._before is not None:
            self.host.progress("it goes on in the middle of the turn in which it was parked")
            asked, before = None, self._before
        while True:
            try:
                return await self._going(agent, asked, before)
            except _TooLongError as error:
                if not compaction.tighten(error.why.context_tokens, error.messages):
                    raise error.why from error
                asked, before = None, error.messages
            except _CutError as error:
                self._cuts += 1
                if self._cuts > CUTS_MOST:
                    raise error.why from error
                self.host.progress(f"{error.why}: asked again")
                asked, before = None, error.messages

    async def _going(
        self, agent: Agent[None, str], prompt: str | None, before: list[ModelMessage]
    ) -> tuple[list[ModelMessage], str]:
        """Raises _TooLongError, _CutError."""
        limits = UsageLimits(request_limit=None)
        async with AsyncExitStack() as stack:
            stack.enter_context(Agent.parallel_tool_call_execution_mode("sequential"))  # a person is asked one by one
            going = await stack.enter_async_context(
                agent.iter(prompt, message_history=before or None, usage_limits=limits)
            )
            try:
                async for node in going:
                    if Agent.is_model_request_node(node):
                        self._count_request()
                        self._look_back(node.request)
                        self._keep_midway([*going.all_messages(), node.request])
                        async with node.stream(going.ctx) as stream:
                            await self._hear(stream)
                        self._cuts = 0
                    elif Agent.is_call_tools_node(node):
                        self._calls = self._said(node.model_response)
            except Exception as error:
                known = models.failed(_root(error), self.model)
                if isinstance(known, ContextError):
                    raise _TooLongError(known, going.all_messages()) from error
                if isinstance(known, UnavailableError) and models.is_cut(_root(error)) and not self._streamed:
                    raise _CutError(known, conversation.without_half(going.all_messages())) from error
                raise
            return going.all_messages(), going.result.output if going.result else ""

    def _keep_midway(self, messages: list[ModelMessage]) -> None:
        """Before a request that brings results: what was done until then is not done again."""
        brings = any(isinstance(part, ToolReturnPart) for part in messages[-1].parts)
        if self.host.keeps_midway and brings:
            done = self._requests - 1  # this one is made again
            self.host.keep_midway(history.midway(history.Middle(messages, self.record, done, self.repeats)))

    def _count_request(self) -> None:
        self._requests += 1
        if self._requests > REQUESTS_MOST:
            raise LimitError(f"{REQUESTS_MOST} requests, and it has no answer", hint="give it a smaller task")

    async def _hear(self, stream: Any) -> None:
        """Without tools every word is of the answer, and shown as it comes; else that is known at its end."""
        at_once = not self.has_tools and self.schema is None
        async for event in stream:
            match event:
                case (
                    PartStartEvent(part=TextPart(content=text))
                    | PartDeltaEvent(delta=TextPartDelta(content_delta=text))
                ) if at_once and text:
                    self._streamed = True
                    self.host.text(text)
                case _:
                    pass

    def _said(self, response: ModelResponse) -> dict[str, ToolCallPart]:
        """Its calls. What it said beside them is no answer, and told apart from it."""
        calls = {part.tool_call_id: part for part in response.parts if isinstance(part, ToolCallPart)}
        text = "".join(part.content for part in response.parts if isinstance(part, TextPart))
        if calls and text.strip():
            self.host.record("said", text=text)
            self.host.progress(one_line(text, 500))
        if not calls:
            cut = self.model.check_end(response.finish_reason)
            if cut is not None:
                self.host.progress(cut)
        return calls

    def _look_back(self, request: ModelRequest) -> None:
        """Results of the last calls: are they news? Raises LoopError."""
        calls, self._calls = self._calls, {}
        parts = list(request.parts)
        for place, part in enumerate(parts):
            if not isinstance(part, ToolReturnPart) or part.tool_call_id not in calls:
                continue
            call, result = calls[part.tool_call_id], conversation.said(part)
            if part.outcome == "retried":
                self.host.record("result", name=one_line(call.tool_name), status="wrong call", text=result[:2000])
            times = self.repeats.count(call.tool_name, call.args, result)
            if times >= ENDED_AT:
                self.host.record("loop", name=one_line(call.tool_name), times=times)
                raise LoopError(
                    f"it called {one_line(call.tool_name)} {times} times with the same result",
                    hint="`aish transcript` shows how it came to that; another model, or a clearer task",
                )
            if times >= TOLD_AT:
                parts[place] = conversation.with_result(part, result + _TOLD.format(times))
        request.parts = parts

    def _end(self, answer: str) -> None:
        if not self._streamed:
            self.host.text(answer)
        if self.record.refused:
            raise RefusedError("all that it wanted to do was denied", hint="permissions in its file, or allow it")

    def _instructions(self) -> str:
        folder = (
            f"the folder {self.task.cwd}" if self.acting.mcp_servers else _HERE
        )  # servers have paths of their own
        working = _WORKING.format(folder) if self.has_tools else ""
        return "\n\n".join(text for text in (self.task.instructions, working) if text)

    async def _context_tokens(self) -> int | None:
        """That of the model, or less where the file says so."""
        gateway = self.host.gateway
        upstream = Upstream(gateway.base_url, gateway.key, out_fd=1)
        counted: Counted = await asyncio.to_thread(upstream.count, self.model.name, "x")
        known = [most for most in (counted.context_tokens, self.acting.context_tokens) if most is not None]
        return min(known) if known else None

    def _fitting(self, prompt: str, context: int | None) -> str:
        """A prompt of half the context at most: what is left is for the work."""
        most = (context or UNKNOWN_TOKENS) * CHARS_PER_TOKEN // 2
        if len(prompt) > most:
            self.host.progress(f"the input is {len(prompt):,} characters: cut to {most:,}, its beginning and its end")
        return bounded(prompt, most)
