"""One turn of an agent by the Agent Client Protocol: we are its client.

greet   initialize: does it speak the protocol, and what can it do
turn    session/new (or resume, load, fork), its model, session/prompt; meanwhile it tells (session/update) and asks
        (session/request_permission, fs/…); cancelled: session/cancel, and a moment for its farewell
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final

from acp.connection import Connection
from acp.exceptions import RequestError
from acp.meta import PROTOCOL_VERSION

from aish.agents.host import bookmark
from aish.errors import AishError, UnavailableError, UpstreamError, UsageError
from aish.plugins.acp import failure, model, permission
from aish.plugins.acp import update as updates
from aish.plugins.acp.files import Files
from aish.plugins.acp.messages import Messages
from aish.plugins.acp.teller import Teller
from aish.spi.agent_adapter import ProgramError
from aish.wire import question as q

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Self

    from aish.spi.agent_adapter import Host, Program, Task
    from aish.wire.question import AnswerPart

READY_S: Final = 90.0
"""To answer initialize, and again to begin a session: programs of Node load for seconds, and look for updates."""
FAREWELL_S: Final = 3.0
"""For the end of a turn that was cancelled."""
QUIET_S: Final = 0.5
"""After session/load and fork: an agent may tell what was said before when it has answered (Gemini CLI does)."""
ENDED_S: Final = 2.0
"""From the end of its output to the program's own."""


class Conversation:
    """`files`: it is offered that we read and write for it."""

    def __init__(self, program: Program, task: Task, host: Host, *, name: str, files: bool, login_hint: str) -> None:
        self._program, self._task, self._host = program, task, host
        self._name, self._login_hint = name, login_hint
        self._offers_files = files
        self._messages = Messages(program, name, host.progress)
        self._connection = Connection(self._asked, self._messages)
        self._teller = Teller(host, task.cwd)
        self._files = Files(host, task.cwd)
        self._able: dict[str, Any] = {}
        """What the agent can do, as it says."""
        self._session = ""
        self._heard = asyncio.Event()
        self._prompted = False
        """Before it, what is told is of turns before this one."""
        self._cancelled = False
        self._questions: set[asyncio.Task[AnswerPart]] = set()
        self._number = 0
        self._fault: BaseException | None = None
        """What a telling or an asking has come upon: it ends the turn."""
        self._faulted = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()

    async def greet(self) -> None:
        """Raises UpstreamError, ProgramError where it has ended by itself, UnavailableError where it says nothing."""
        files = {"readTextFile": self._offers_files, "writeTextFile": self._offers_files}
        answer = await self._ready(
            self._request(
                "initialize",
                {
                    "protocolVersion": PROTOCOL_VERSION,
                    "clientCapabilities": {"fs": files, "terminal": False},
                    "clientInfo": {"name": "aish", "title": "aish", "version": "1"},
                },
            )
        )
        if answer.get("protocolVersion") != PROTOCOL_VERSION:
            raise UpstreamError(
                f"{self._name} speaks another version of the Agent Client Protocol than aish ({PROTOCOL_VERSION}): "
                f"{str(answer.get('protocolVersion'))[:20]}",
                hint="install a version of either that speaks the other's",
            )
        able = answer.get("agentCapabilities")
        self._able = able if isinstance(able, dict) else {}

    async def turn(self) -> None:
        """Raises AishError."""
        await self._ready(self._begin())
        parts = (part for part in (self._task.instructions.strip(), self._task.prompt) if part)
        content = [{"type": "text", "text": "\n\n".join(parts)}]
        self._prompted = True
        prompt = asyncio.ensure_future(
            self._request("session/prompt", {"sessionId": self._session, "prompt": content})
        )
        try:
            answer = await self._answer(prompt)
        except BaseException:
            if not prompt.done():
                await self._cancel(prompt)
            raise
        finally:
            prompt.cancel()
            self._teller.end()
        self._over(answer)

    # --- its parts ------------------------------------------------------------------------------------------------

    async def _ready(self, step: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
        try:
            async with asyncio.timeout(READY_S):
                return await step
        except TimeoutError:
            raise UnavailableError(
                f"{self._name} was not ready within {READY_S:g} s",
                hint="does it speak the Agent Client Protocol, with these arguments?",
            ) from None

    async def _begin(self) -> dict[str, Any]:
        task = self._task
        where: dict[str, Any] = {"cwd": task.cwd, "mcpServers": []}
        branch = bookmark.branch(task, self._host)
        if branch is not None:
            session = await self._request("session/fork", {**where, "sessionId": branch.session})
            self._session = str(session.get("sessionId") or "")
            await self._quiet()
        elif task.session is None:
            session = await self._request("session/new", where)
            self._session = str(session.get("sessionId") or "")
        else:
            method = self._going_on()
            session = await self._request(method, {**where, "sessionId": task.session})
            self._session = task.session
            if method == "session/load":
                await self._quiet()
        if not self._session:
            raise UpstreamError(f"{self._name} began a session without an id", hint="its fault: report it there")
        self._host.session(self._session)
        if task.model is not None:
            chosen = model.choice(session, task.model)
            if chosen is not None:
                await self._request(chosen[0], {"sessionId": self._session, **chosen[1]})
            elif task.login == "own" and not model.has(session, task.model):
                known = ", ".join(model.names(session)[:20])
                hint = f"it has: {known}" if known else "it lets nobody choose"
                raise UsageError(f"{self._name} has no model {task.model}", hint=hint)
        return session

    @property
    def _branches(self) -> bool:
        able = self._able.get("sessionCapabilities")
        return isinstance(able, dict) and able.get("fork") is not None

    async def _quiet(self) -> None:
        """Until it tells nothing more."""
        with contextlib.suppress(TimeoutError):
            while True:
                self._heard.clear()
                await asyncio.wait_for(self._heard.wait(), QUIET_S)

    def _going_on(self) -> str:
        """The method that goes on with a session; resume, which does not tell all of it again, where there is one."""
        able = self._able.get("sessionCapabilities")
        if isinstance(able, dict) and able.get("resume") is not None:
            return "session/resume"
        if self._able.get("loadSession") is True:
            return "session/load"
        raise UpstreamError(f"{self._name} cannot go on with a session", hint="begin a new one")

    async def _answer(self, prompt: asyncio.Future[dict[str, Any]]) -> dict[str, Any]:
        fault = asyncio.ensure_future(self._faulted.wait())
        try:
            await asyncio.wait((prompt, fault), return_when=asyncio.FIRST_COMPLETED)
        finally:
            fault.cancel()
        if self._fault is not None:
            raise self._fault
        return prompt.result()

    def _over(self, answer: dict[str, Any]) -> None:
        usage, reason = answer.get("usage"), answer.get("stopReason")
        if isinstance(usage, dict):
            self._host.record(
                "usage",
                input_tokens=updates.count(usage.get("inputTokens")),
                output_tokens=updates.count(usage.get("outputTokens")),
            )
        error = failure.stopped(reason, name=self._name, denied=self._teller.denied)
        if error is not None:
            raise error
        if self._branches:
            bookmark.put(self._host, self._session)
        if reason == "max_tokens":
            self._host.progress("the answer is cut: its model may not say more at once")

    async def _cancel(self, prompt: asyncio.Future[dict[str, Any]]) -> None:
        """It is let know, and may end in its own way. A second cancellation cuts that short."""
        self._cancelled = True
        with contextlib.suppress(TimeoutError, AishError, ConnectionError):
            async with asyncio.timeout(FAREWELL_S):
                await self._connection.send_notification("session/cancel", {"sessionId": self._session})
                for question in self._questions:
                    question.cancel()
                await asyncio.wait((prompt,))
        if prompt.done():
            prompt.exception()  # nobody asks what became of it: it was cancelled

    async def _request(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        try:
            answer = await self._connection.send_request(method, params)
        except RequestError as error:
            raise failure.of(
                error.code, str(error), error.data, name=self._name, doing=method, login_hint=self._login_hint
            ) from error
        except (ConnectionError, UpstreamError) as error:
            raise await self._ended(method) from error
        return answer if isinstance(answer, dict) else {}

    async def _ended(self, method: str) -> AishError:
        """Why it does not answer any more."""
        if self._messages.failure is not None:
            return self._messages.failure
        when = {"initialize": "before it said a word", "session/prompt": "in the middle of its turn"}.get(
            method, f"at {method}"
        )
        try:
            async with asyncio.timeout(ENDED_S):
                status = await self._program.ended()
        except TimeoutError:
            return UpstreamError(f"{self._name} closed its output {when}", hint="its fault: report it there")
        hint = "what it said of it stands above, if anything"
        if method == "initialize":
            hint = f"{hint}; does it speak the Agent Client Protocol, with these arguments?"
        if status == 0:
            return UpstreamError(f"{self._name} ended {when}", hint=hint)
        return ProgramError(f"{self._name} ended with {status} {when}", ended=status, hint=hint)

    # --- what it tells and asks -----------------------------------------------------------------------------------

    async def _asked(self, method: str, params: object, is_notification: bool) -> dict[str, Any] | None:
        """Every message of it. Raises RequestError, for requests alone: that is the answer. What ends the turn is
        kept for the one who waits for its end."""
        fields = params if isinstance(params, dict) else {}
        try:
            if is_notification:
                if method == "session/update":
                    self._told(fields)
                return None
            match method:
                case "session/request_permission":
                    return await self._permission(fields)
                case "fs/read_text_file":
                    return self._files.read(fields)
                case "fs/write_text_file":
                    return await self._write(fields)
                case _:
                    raise RequestError.method_not_found(method)
        except RequestError:
            raise
        except asyncio.CancelledError:
            if is_notification:
                raise
            return permission.CANCELLED
        except Exception as error:  # nobody's reader, a full disk, a daemon that refuses
            self._fault = self._fault or error
            self._faulted.set()
            if is_notification:
                return None
            raise RequestError.internal_error({"details": str(error)}) from error

    def _told(self, fields: dict[str, Any]) -> None:
        self._heard.set()
        if self._prompted and fields.get("sessionId") == self._session:
            update = updates.read(fields.get("update"))
            if update is not None:
                self._teller.update(update)

    async def _permission(self, fields: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(fields.get("toolCall"), dict):
            raise RequestError.invalid_params({"details": "no toolCall"})
        call = self._teller.call(fields["toolCall"])
        asked = permission.asked(call, fields.get("options"))
        if not asked.options:
            raise RequestError.invalid_params({"details": "no option to choose"})
        self._teller.wanted(call)
        if self._cancelled or not asked.answerable(self._task.permissions):
            self._teller.answered(call, allowed=False)
            return permission.CANCELLED
        question = asyncio.ensure_future(
            self._host.ask(
                asked.title, body=asked.body, form=asked.form, options=asked.options, token=self._token(call.id)
            )
        )
        option = (await self._until_answered(question)).option
        allowed = asked.meaning(option) not in permission.DENYING
        if allowed:
            self._files.allow(call.paths(), always=call.kind == "edit" and asked.meaning(option) == q.ALLOW_ALWAYS)
        self._teller.answered(call, allowed=allowed)
        return permission.CANCELLED if option is None else permission.selected(option)

    async def _write(self, fields: dict[str, Any]) -> dict[str, Any]:
        if self._cancelled:
            raise RequestError.internal_error({"details": "the turn is cancelled"})
        return await self._files.write(fields, self._until_answered, self._token("write"))

    def _token(self, call: str) -> str:
        self._number += 1
        return permission.token(self._session, call, self._number)

    async def _until_answered(self, question: asyncio.Task[AnswerPart]) -> AnswerPart:
        """Raises CancelledError where the turn was cancelled meanwhile; the question is withdrawn then."""
        self._questions.add(question)
        try:
            return await question
        finally:
            self._questions.discard(question)
