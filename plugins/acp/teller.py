"""What the host is told of a turn: its last text as the answer, thoughts joined, each call of a tool and its result
once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aish.agents.host.last_text import LastText
from aish.model import state
from aish.plugins.acp import update as u
from aish.plugins.acp.call import Call

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aish.spi.agent_adapter import Host

THOUGHT_CHARS: Final = 1 << 16
"""A longer one is several."""
CALLS_MOST: Final = 1000
"""Calls that are not over: of one that tells of more, the oldest are forgotten."""


class Teller:
    def __init__(self, host: Host, cwd: str) -> None:
        self._host, self._cwd = host, cwd
        self._thought: list[str] = []
        self._thought_chars = 0
        self._calls: dict[str, Call] = {}
        self._last = LastText(host)
        """The answer, if no tool follows it: the protocol does not say which text that is."""
        self._plan = ""
        self._usage: u.Usage | None = None
        self.denied: str | None = None
        """What was not allowed, as long as nothing came after it."""

    def update(self, update: u.Update) -> None:
        if not isinstance(update, u.Thought):
            self.flush()
        match update:
            case u.Text():
                self._text(update.piece)
            case u.Thought():
                self._think(update.piece)
            case u.Tool():
                self._tool(update.fields, update.begins)
            case u.Plan():
                if update.line != self._plan:
                    self._plan = update.line
                    self._host.progress(update.line)
            case u.Usage():
                self._used(update)

    def call(self, fields: Mapping[str, Any], *, begins: bool = False) -> Call:
        """What is known of a call, with what these fields add."""
        id_ = str(fields.get("toolCallId", ""))
        call = self._calls.pop(id_, None)
        if call is None or (begins and (call.over or call.refused)):
            call = Call(id_, self._cwd)
        self._calls[id_] = call
        call.learn(fields)
        if len(self._calls) > CALLS_MOST:
            del self._calls[next(iter(self._calls))]
        return call

    def wanted(self, call: Call) -> None:
        """A person is asked whether it may run: all that is known of it is entered before the question."""
        self.flush()
        self._last.followed()
        self._enter(call)

    def answered(self, call: Call, *, allowed: bool) -> None:
        call.refused = not allowed
        self.denied = None if allowed else call.title
        self._shown()

    def flush(self) -> None:
        """Thoughts are an entry when something else comes, or the end."""
        thought, self._thought, self._thought_chars = "".join(self._thought), [], 0
        if thought.strip():
            self._host.record("thought", text=thought)

    def end(self) -> None:
        self.flush()
        for call in self._calls.values():
            self._enter(call)
        if self._last.text:
            self._host.text(self._last.text)

    # --- each kind ------------------------------------------------------------------------------------------------

    def _text(self, piece: str) -> None:
        if piece.strip():
            self.denied = None
        self._last.text += piece
        self._host.activity(state.GENERATING)

    def _think(self, piece: str) -> None:
        self._thought.append(piece)
        self._thought_chars += len(piece)
        if self._thought_chars > THOUGHT_CHARS:
            self.flush()
        self._host.activity(state.GENERATING)

    def _tool(self, fields: Mapping[str, Any], begins: bool) -> None:
        call = self.call(fields, begins=begins)
        if begins:
            self._last.followed()
        if call.status == "in_progress" or call.over:
            self._enter(call)
        if call.over:
            del self._calls[call.id]
            if call.status == "completed":
                self.denied = None
            self._host.record("result", id=call.id, title=call.title, status=call.status, text=call.result())
        self._shown()

    def _shown(self) -> None:
        """The newest call that is under way; else its model is asked what next."""
        newest = next((call for call in reversed(self._calls.values()) if not call.refused), None)
        if newest is None:
            self._host.activity(state.GENERATING)
        else:
            self._host.activity(state.TOOL, newest.title)

    def _enter(self, call: Call) -> None:
        if not call.entered:
            call.entered = True
            self._host.record("tool", id=call.id, name=call.kind, title=call.title, input=call.shown_input())

    def _used(self, usage: u.Usage) -> None:
        if usage != self._usage:
            self._usage = usage
            self._host.record(
                "usage",
                context_tokens=usage.used,
                context_size=usage.size,
                cost=usage.cost,
                currency=usage.currency,
            )
