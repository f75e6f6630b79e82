"""An agent that speaks the Agent Client Protocol, by the library: its prompt is its script, word by word.

say=TEXT think=TEXT plan usage       it tells (session/update)
tool=TITLE                           a call of a tool, begun and over
ask=COMMAND edit=PATH                it asks for a permission, and says what was answered
write=PATH:TEXT read=PATH            by its client
session                              says which one it is
hang                                 until it is cancelled, which it says
die=STATUS garbage huge stray error  what may befall a program
refuse max turns odd                 stop reasons

Its words: --mute never answers, --die ends at once, --auth wants a login, --version, --models, --bare cannot go on,
--branches has session/fork.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import sys
from typing import Any

import acp
from acp import schema
from acp.exceptions import RequestError

OPTIONS = [
    schema.PermissionOption(option_id="once", name="Allow once", kind="allow_once"),
    schema.PermissionOption(option_id="always", name="Always allow", kind="allow_always"),
    schema.PermissionOption(option_id="no", name="Reject", kind="reject_once"),
]
STOPS = {"refuse": "refusal", "max": "max_tokens", "turns": "max_turn_requests", "odd": "cancelled"}


class Scripted:
    client: Any

    def __init__(self, words: list[str]) -> None:
        self.words = words
        self.model = "one"
        self.cancelled = asyncio.Event()

    def on_connect(self, client: Any) -> None:
        self.client = client

    async def initialize(self, protocol_version: int, **_: Any) -> schema.InitializeResponse:
        if "--mute" in self.words:
            await asyncio.Event().wait()
        able = schema.AgentCapabilities(load_session="--bare" not in self.words)
        if "--branches" in self.words:
            able.session_capabilities = schema.SessionCapabilities(fork=schema.SessionForkCapabilities())
        version = 7 if "--version" in self.words else protocol_version
        return schema.InitializeResponse(protocol_version=version, agent_capabilities=able)

    async def new_session(self, cwd: str, **_: Any) -> schema.NewSessionResponse:
        if "--auth" in self.words:
            raise RequestError.auth_required()
        return schema.NewSessionResponse(session_id="s1", config_options=self._options())

    async def load_session(self, cwd: str, session_id: str, **_: Any) -> schema.LoadSessionResponse:
        if session_id == "lost":
            raise RequestError.resource_not_found(session_id)
        await self._say(session_id, "what was said before")
        self.late = asyncio.create_task(self._say(session_id, "and told late"))  # as Gemini CLI does
        return schema.LoadSessionResponse(config_options=self._options())

    async def fork_session(self, cwd: str, session_id: str, **_: Any) -> schema.ForkSessionResponse:
        await self._say(session_id, "what was said before")
        return schema.ForkSessionResponse(session_id=f"{session_id}+")

    def _options(self) -> Any:
        if "--models" not in self.words:
            return None
        select = [schema.SessionConfigSelectOption(value=name, name=name) for name in ("p/one", "p/two")]
        kind = {"type": "select", "current_value": "p/one", "options": select}
        return [schema.SessionConfigOptionSelect(id="model", name="Model", category="model", **kind)]

    async def set_config_option(self, config_id: str, session_id: str, value: Any, **_: Any) -> Any:
        self.model = f"{config_id}:{value}"
        return schema.SetSessionConfigOptionResponse(config_options=[])

    async def cancel(self, session_id: str, **_: Any) -> None:
        self.cancelled.set()

    async def prompt(self, session_id: str, prompt: list[Any], **_: Any) -> schema.PromptResponse:
        stop = "end_turn"
        for number, word in enumerate(prompt[0].text.split()):
            verb, _, value = word.partition("=")
            stop = STOPS.get(verb, stop)
            await self._do(session_id, verb, value, f"c{number}")
            if self.cancelled.is_set():
                return schema.PromptResponse(stop_reason="cancelled")
        usage = schema.Usage(total_tokens=9, input_tokens=7, output_tokens=2)
        return schema.PromptResponse(stop_reason=stop, usage=usage)  # type: ignore[arg-type]

    async def _do(self, session: str, verb: str, value: str, call: str) -> None:
        match verb:
            case "say":
                await self._say(session, value)
            case "session":
                await self._say(session, session)
            case "model":
                await self._say(session, self.model)
            case "think":
                for piece in (value[:2], value[2:]):
                    await self.client.session_update(session, acp.update_agent_thought_text(piece))
            case "plan":
                entries = [acp.plan_entry("look", status="completed"), acp.plan_entry("do it", status="in_progress")]
                await self.client.session_update(session, acp.update_plan(entries))
            case "usage":
                usage = schema.UsageUpdate(session_update="usage_update", used=10, size=100)
                await self.client.session_update(session, usage)
            case "tool":
                await self._tool(session, value, call)
            case "ask" | "edit":
                await self._ask(session, verb, value, call)
            case "write":
                path, _, text = value.partition(":")
                await self._by_client(
                    session, self.client.write_text_file(session_id=session, path=path, content=text)
                )
            case "read":
                await self._by_client(session, self.client.read_text_file(session_id=session, path=value))
            case "hang":
                await self.cancelled.wait()
                await self._say(session, "cancelled")
            case "deaf":
                await asyncio.Event().wait()
            case _:
                self._befalls(verb, value)

    def _befalls(self, verb: str, value: str) -> None:
        match verb:
            case "die":
                os._exit(int(value))
            case "garbage":
                os.write(1, b'\xff\x00 no message\n[1]\n{"id": [], "result": 1}\n"x"\n{"jsonrpc"\n')
                os.write(1, b'{"method": "session/update"}\n{"method": "session/update", "params": {"update": 3}}\n')
                os.write(1, b'{"method": 5, "id": 6}\n{"id": 99, "error": "x"}\n')
            case "huge":
                _put(b'{"x": "' + b"x" * (17 << 20) + b'"}\n')
            case "stray":
                while _put(b"noise\n" * 1000):
                    pass
            case "error":
                raise RequestError.internal_error({"details": "its model is away"})

    async def _say(self, session: str, text: str) -> None:
        await self.client.session_update(session, acp.update_agent_message_text(f"{text} "))

    async def _tool(self, session: str, title: str, call: str) -> None:
        begun = acp.start_tool_call(call, title, kind="execute", status="in_progress", raw_input={"command": title})
        await self.client.session_update(session, begun)
        content = [acp.tool_content(acp.text_block(f"output of {title}"))]
        await self.client.session_update(session, acp.update_tool_call(call, status="completed", content=content))

    async def _ask(self, session: str, verb: str, value: str, call: str) -> None:
        if verb == "ask":
            wanted = schema.ToolCallUpdate(
                tool_call_id=call, title=value, kind="execute", status="pending", raw_input={"command": value}
            )
        else:
            content = [acp.tool_diff_content(value, "new\n", "old\n")]
            wanted = schema.ToolCallUpdate(tool_call_id=call, title=value, kind="edit", content=content)
        answer = await self.client.request_permission(session_id=session, tool_call=wanted, options=OPTIONS)
        chosen = getattr(answer.outcome, "option_id", answer.outcome.outcome)
        if not self.cancelled.is_set() and chosen != "no":
            await self._say(session, f"{value}:{chosen}")
        if self.cancelled.is_set():
            await self._say(session, f"outcome:{chosen}")

    async def _by_client(self, session: str, request: Any) -> None:
        try:
            answer = await request
            await self._say(session, getattr(answer, "content", "written"))
        except RequestError as error:
            await self._say(session, f"client: {error} {error.data or ''}")


def _put(data: bytes) -> bool:
    """False: nobody reads it any more."""
    view = memoryview(data)
    with contextlib.suppress(BrokenPipeError):
        while view:
            try:
                view = view[os.write(1, view) :]
            except BlockingIOError:
                select.select([], [1], [])
        return True
    return False


async def main(words: list[str]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for all of its group: it waits to be told by its client
    await acp.run_agent(Scripted(words), use_unstable_protocol=True)  # type: ignore[arg-type]


if __name__ == "__main__":
    if "--die" in sys.argv:
        print("unknown option --die", file=sys.stderr)
        sys.exit(9)
    asyncio.run(main(sys.argv[1:]))
