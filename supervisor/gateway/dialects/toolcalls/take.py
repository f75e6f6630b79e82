"""What a model wrote under the grammar of offer.py, as words and calls. Pure.

It is read while it comes: a call's name and its arguments go on as they are written. What is cut by the output limit
ends where it is; that it is not whole is told by `finish_reason`.
"""

from __future__ import annotations

import secrets
from typing import Final, Literal

import msgspec

from aish.supervisor.gateway.dialects import chunk, sse
from aish.supervisor.gateway.dialects.toolcalls.offer import BETWEEN, CLOSING, OPENING
from aish.supervisor.gateway.dialects.worked import Worked

State = Literal["start", "words", "name", "arguments", "closing"]
_CALLED: Final = "tool_calls"

_encode: Final = msgspec.json.Encoder().encode


class Reader:
    """One answer: text in, deltas of OpenAI's chunks out."""

    def __init__(self) -> None:
        self._state: State = "start"
        self._held = ""
        self._calls = 0
        self._depth = 0
        self._in_string = self._escaped = False

    @property
    def called(self) -> bool:
        """Whether a call has begun."""
        return self._calls > 0

    @property
    def whole(self) -> bool:
        """Whether nothing is left unfinished: neither a call nor what might become one."""
        return self._state == "words" or (self._state == "start" and not self._held.strip())

    def feed(self, text: str) -> list[dict[str, object]]:
        out: list[dict[str, object]] = []
        self._held += text
        while self._step(out):
            pass
        return out

    def end(self) -> list[dict[str, object]]:
        """There is no more. What looked like a call's beginning and is none was words."""
        if self._state != "start" or not self._held or self.called:
            return []
        held, self._held = self._held, ""
        return [] if held.startswith(OPENING[: len(held)]) and held.strip() else [{"content": held}]

    def _step(self, out: list[dict[str, object]]) -> bool:
        """Whether there is more to be read of what is held."""
        match self._state:
            case "start":
                return self._start()
            case "words":
                if self._held:
                    out.append({"content": self._held})
                    self._held = ""
                return False
            case "name":
                return self._name(out)
            case "arguments":
                return self._arguments(out)
            case "closing":
                return self._close()

    def _start(self) -> bool:
        held = self._held.lstrip("\n") if self.called else self._held
        if held.startswith(OPENING):
            self._held, self._state = held[len(OPENING) :], "name"
            return True
        if OPENING.startswith(held):
            self._held = held
            return False
        self._state = "words"
        return True

    def _name(self, out: list[dict[str, object]]) -> bool:
        name, found, rest = self._held.partition(BETWEEN)
        if not found:
            return False
        self._held, self._state = rest, "arguments"
        self._depth, self._in_string, self._escaped = 0, False, False
        call = {
            "index": self._calls,
            "id": f"call_{secrets.token_hex(12)}",
            "type": "function",
            "function": {"name": name, "arguments": ""},
        }
        self._calls += 1
        out.append({_CALLED: [call]})
        return True

    def _arguments(self, out: list[dict[str, object]]) -> bool:
        end = self._object_end()
        part = self._held if end is None else self._held[:end]
        self._held = "" if end is None else self._held[end:]
        if part:
            out.append({_CALLED: [{"index": self._calls - 1, "function": {"arguments": part}}]})
        if end is None:
            return False
        self._state = "closing"
        return True

    def _object_end(self) -> int | None:
        """Where the object that is being read ends."""
        for place, char in enumerate(self._held):
            if self._in_string:
                if self._escaped:
                    self._escaped = False
                elif char == "\\":
                    self._escaped = True
                elif char == '"':
                    self._in_string = False
            elif char == '"':
                self._in_string = True
            elif char in "{[":
                self._depth += 1
            elif char in "}]":
                self._depth -= 1
                if self._depth == 0:
                    return place + 1
        return None

    def _close(self) -> bool:
        if len(self._held) < len(CLOSING):
            return False
        self._held, self._state = self._held[len(CLOSING) :], "start"
        return bool(self._held)


class Relay(sse.Relay):
    """A stream whose words are read so."""

    def __init__(
        self, asked: str, *, keep_usage: bool, worked: Worked | None = None, keep_timings: bool = True
    ) -> None:
        super().__init__(asked, keep_usage=keep_usage, worked=worked, keep_timings=keep_timings)
        self._readers: dict[int, Reader] = {}

    def _event(self, event: bytes) -> bytes:
        passed = super()._event(event)
        data = sse.payload(passed.rstrip(b"\n")) if passed else None
        if data is None or data == sse.DONE or b'"choices"' not in data:
            return passed
        told = chunk.read(data, self._asked)
        if told.failed or not told.choices:
            return passed
        fields = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        return b"".join(
            b"data: " + _encode(fields | {"choices": [choice]}) + b"\n\n"
            for each in told.choices
            for choice in self._choices(each)
        )

    def _choices(self, choice: chunk.Choice) -> list[dict[str, object]]:
        """One chunk for each part of what this one says."""
        reader = self._readers.setdefault(choice.index, Reader())
        said = choice.delta or chunk.Words()
        deltas = reader.feed(said.content) if said.content else []
        if choice.finish_reason is not None:
            deltas += reader.end()
        head: dict[str, object] = {}
        if said.role is not None:
            head["role"] = said.role
        if said.thought:
            head["reasoning_content"] = said.thought
        found: list[dict[str, object]] = [
            {"index": choice.index, "delta": delta, "finish_reason": None} for delta in deltas
        ]
        if head:
            found.insert(0, {"index": choice.index, "delta": {"content": None, **head}, "finish_reason": None})
        if choice.finish_reason is not None:
            why = _CALLED if choice.finish_reason == "stop" and reader.called else choice.finish_reason
            found.append({"index": choice.index, "delta": {}, "finish_reason": why})
        return found
