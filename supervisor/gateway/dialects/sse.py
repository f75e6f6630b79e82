"""A stream of OpenAI's events on its way through: usage is read, the model's name put back, a usage chunk that the
client did not ask for taken out; everything else passes byte for byte.

Whole events are passed on as they complete; at most one incomplete event is kept, up to MAX_EVENT_BYTES.
"""

from __future__ import annotations

import re
from typing import Final

from aish.errors import InputError, UpstreamError
from aish.supervisor.gateway.dialects import openai
from aish.supervisor.gateway.meter import Stream, Used

MAX_EVENT_BYTES: Final = 16 << 20
CONTENT_TYPE: Final = "text/event-stream"
DONE: Final = b"[DONE]"
# The text of an answer, of its reasoning or of a tool call. Quotes inside strings are escaped, so this finds fields.
# Possessive (++, *+): without, the matcher keeps a hundred bytes for every byte of text in case it has to go back.
_TEXT: Final = re.compile(rb'"(?:content|text|arguments|reasoning_content|reasoning)":\s*"((?:[^"\\]++|\\.)++)"')


class Frames:
    """The bytes of a stream as whole events, each given to `_event`. `asked` is the name that the client knows the
    model by."""

    def __init__(self, asked: str) -> None:
        self._asked = asked
        self._parts: list[bytes] = []
        self._pending_bytes = 0
        self.begun = False
        """An event came."""
        self.count = Stream()
        self.used: Used | None = None
        self.prompt: int | None = None
        """Input tokens, where the server tells them before the answer."""
        self.done = False
        """The server said that this was all."""
        self.error = False
        """The server told an error inside the stream."""

    def feed(self, data: bytes) -> bytes:
        """What to pass on now, maybe nothing. Raises UpstreamError on what is not a stream of events."""
        if b"\n\n" not in data and b"\r" not in data and not self._closes(data):
            self._keep(data)
            return b""
        data = b"".join([*self._parts, data])
        self._parts, self._pending_bytes = [], 0
        if b"\r" in data:
            data = _unix(data)
        block, separator, rest = data.rpartition(b"\n\n")
        self._keep(rest)
        if not separator:
            return b""
        return b"".join([self._event(event) for event in block.split(b"\n\n")])

    def finish(self) -> bytes:
        """The stream ended: what is left. Raises UpstreamError when it ended before it was complete."""
        rest = b"".join(self._parts).strip(b"\r\n")
        self._parts, self._pending_bytes = [], 0
        out = b""
        if rest and self._is_last(rest):  # some leave out the last blank line
            out = self._event(rest)
        if not (self.done or self.error):
            raise UpstreamError(f"the server of {self._asked} closed the stream before its end")
        return out

    def _closes(self, data: bytes) -> bool:
        """Whether the blank line that ends an event is split between the last read and this one."""
        return bool(self._parts) and data.startswith(b"\n") and self._parts[-1].endswith((b"\n", b"\r"))

    def _keep(self, data: bytes) -> None:
        if not data:
            return
        self._parts.append(data)
        self._pending_bytes += len(data)
        if self._pending_bytes > MAX_EVENT_BYTES:
            raise UpstreamError(f"the server of {self._asked} sent an event of more than {MAX_EVENT_BYTES} bytes")

    def _event(self, event: bytes) -> bytes:
        """What to pass on for one event. Raises UpstreamError."""
        raise NotImplementedError

    def _is_last(self, event: bytes) -> bool:
        """Whether this event says that it was all."""
        raise NotImplementedError

    def _malformed(self, why: str) -> UpstreamError:
        return UpstreamError(f"the server of {self._asked} sent a malformed stream: {why}")

    def _checked(self, data: bytes) -> bytes:
        """Raises UpstreamError for what is no JSON object."""
        if not (data.startswith(b"{") and data.endswith(b"}")):
            raise self._malformed("an event is not a JSON object")
        return data


class Relay(Frames):
    """A stream of OpenAI's dialect. `keep_usage`: the client asked for the chunk with the usage."""

    def __init__(self, asked: str, *, keep_usage: bool) -> None:
        super().__init__(asked)
        self._keep_usage = keep_usage
        self._told: str | None = None

    def _event(self, event: bytes) -> bytes:
        event = event.lstrip(b"\n")
        if not event:
            return b""
        data = payload(event)
        if data is None:
            return event + b"\n\n"  # a comment that keeps the connection awake, an event without data
        if data == DONE:
            self.done = True
            return event + b"\n\n"
        if data == b"null":
            return b""  # llama.cpp's first word on several prompts; clients would stumble over it
        self._checked(data)
        self.begun = True
        if data.startswith((b'{"error"', b'{ "error"')):
            self.error = True
        worth_reading = not self._told or b'"usage"' in data
        if worth_reading and not self._read(data):
            return b""
        text_bytes = sum(map(len, _TEXT.findall(data)))
        if text_bytes:
            self.count.count(text_bytes)
        if self._told and self._told != self._asked:
            event = renamed(event, data, self._told, self._asked)
        return event + b"\n\n"

    def _is_last(self, event: bytes) -> bool:
        return payload(event) == DONE

    def _read(self, data: bytes) -> bool:
        """Read an event in full; False if it is to be left out."""
        try:
            found = openai.read(data)
        except InputError as error:
            raise self._malformed(str(error)) from None
        self._told = self._told or found.model or ""
        if found.used is None:
            return True
        self.used = found.used
        return self._keep_usage or found.choices != ()


def payload(event: bytes) -> bytes | None:
    """The data of an event; None if it has none."""
    if event.startswith(b"data:") and b"\n" not in event:
        return event[5:].strip()
    lines = [line[5:].strip() for line in event.split(b"\n") if line.startswith(b"data:")]
    if not lines and not all(_field(line) for line in event.split(b"\n")):
        return event  # not an event at all: the caller sees that it is no JSON object either
    return b"\n".join(lines) if lines else None


def renamed(event: bytes, data: bytes, told: str, asked: str, within: str | None = None) -> bytes:
    """The event whose payload is `data`, with the model's name put back: see openai.rename."""
    changed = openai.rename(told, asked, data, within)
    if changed == data:
        return event
    if data in event:
        return event.replace(data, changed, 1)
    kept = [line for line in event.split(b"\n") if not line.startswith(b"data:")]  # the data came on several lines
    return b"\n".join([*kept, *(b"data: " + line for line in changed.split(b"\n"))])


def _field(line: bytes) -> bool:
    return line.startswith((b":", b"event:", b"id:", b"retry:"))


def _unix(data: bytes) -> bytes:
    """Line ends as \\n. A \\r at the very end may be half of one and stays."""
    tail = b"\r" if data.endswith(b"\r") else b""
    body = data[: len(data) - len(tail)]
    return body.replace(b"\r\n", b"\n").replace(b"\r", b"\n") + tail
