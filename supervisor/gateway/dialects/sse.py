"""A stream of OpenAI's events on its way through: usage is read, the model's name put back, a usage chunk that the
client did not ask for taken out; everything else passes byte for byte.

Whole events are passed on as they complete; at most one incomplete event is kept, up to MAX_EVENT_BYTES.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from aish.errors import InputError, UpstreamError
from aish.supervisor.gateway.dialects import openai, text
from aish.supervisor.gateway.dialects.call import AnyObject
from aish.supervisor.gateway.dialects.worked import Worked, untimed
from aish.supervisor.gateway.meter import Stream, Used

MAX_EVENT_BYTES: Final = 16 << 20
CONTENT_TYPE: Final = "text/event-stream"
DONE: Final = b"[DONE]"
# The text of an answer, of its reasoning or of a tool call. Quotes inside strings are escaped, so this finds fields.
# Possessive (++, *+): without, the matcher keeps a hundred bytes for every byte of text in case it has to go back.
_TEXT: Final = re.compile(rb'"(?:content|text|arguments|reasoning_content|reasoning)":\s*"((?:[^"\\]++|\\.)++)"')

_object: Final = msgspec.json.Decoder(AnyObject)


class Frames:
    """The bytes of a stream as whole events, each given to `_event`. `asked` is the name that the client knows the
    model by."""

    def __init__(self, asked: str) -> None:
        self._asked = asked
        self._parts: list[bytes] = []
        self._pending_bytes = 0
        self._looked = False
        """Whether there was a byte order mark is known."""
        self.begun = False
        """An event came."""
        self.count = Stream()
        self.used: Used | None = None
        self.prompt: int | None = None
        """Input tokens, where the server tells them before the answer."""
        self.stored: tuple[str, ...] = ()
        """Under which the server has stored the answer."""
        self.done = False
        """The server said that this was all: nothing is read behind it."""
        self.error: bytes | None = None
        """What the server told inside the stream: that it failed."""
        self.worked: Worked | None = None
        """What it has worked by its own word, where it tells that all the time."""

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
        return self._events(block) if separator else b""

    def _events(self, block: bytes) -> bytes:
        """Whole events. What comes behind the last one is none of the answer."""
        if not self._looked:
            self._looked, block = True, block.removeprefix(text.BOM)
        out: list[bytes] = []
        for event in text.mended(block).split(b"\n\n"):
            out.append(self._event(event))
            if self.done:
                break
        return b"".join(out)

    def finish(self) -> bytes:
        """The stream ended: what is left. Raises UpstreamError when it ended before it was complete."""
        rest = b"".join(self._parts).strip(b"\r\n")
        self._parts, self._pending_bytes = [], 0
        out = b""
        if rest and self._is_last(rest):  # some leave out the last blank line
            out = self._event(rest)
        if not self.done and self.error is None:
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
        try:
            _object.decode(data)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            raise self._malformed("an event is not a JSON object") from None
        return data

    def _ended(self) -> None:
        """The server says that this was all. Raises UpstreamError where it was nothing."""
        if not self.begun:
            raise UpstreamError(f"the server of {self._asked} ended its stream without an answer")
        self.done = True


class Relay(Frames):
    """A stream of OpenAI's dialect. `keep_usage`: the client asked for the chunk with the usage. `worked`: takes
    llama.cpp's own figures, with which every event comes; `keep_timings`: the client asked for them, too."""

    def __init__(
        self, asked: str, *, keep_usage: bool, worked: Worked | None = None, keep_timings: bool = True
    ) -> None:
        super().__init__(asked)
        self._keep_usage = keep_usage
        self._keep_timings = keep_timings
        self._told: str | None = None
        self.worked = worked

    def _event(self, event: bytes) -> bytes:
        event = event.lstrip(b"\n")
        if not event:
            return b""
        data = payload(event)
        if data is None:
            return awake(event)
        if data == DONE:
            self._ended()
            return event + b"\n\n"
        if data == b"null":
            return b""  # llama.cpp's first word on several prompts; clients would stumble over it
        self._checked(data)
        self.begun = True
        worth_reading = not self._told or b'"usage"' in data or b'"error"' in data
        if worth_reading and not self._read(data):
            return b""
        if self.error:
            return b"data: " + openai.told_failure(data, self._asked) + b"\n\n"
        if self.worked is not None and b'"timings"' in data:
            event, data = self._timed(event, data, self.worked)
        text_bytes = sum(map(len, _TEXT.findall(data)))
        if text_bytes:
            self.count.count(text_bytes)
        if self._told and self._told != self._asked:
            event = renamed(event, data, self._told, self._asked)
        return event + b"\n\n"

    def _timed(self, event: bytes, data: bytes, worked: Worked) -> tuple[bytes, bytes]:
        """The event and its data, without the figures that only we have asked for: those at an answer's end come
        unasked."""
        try:
            worked.take(data)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise self._malformed(str(error)) from None
        if self._keep_timings or b'"usage"' in data:
            return event, data
        changed = untimed(data)
        return replaced(event, data, changed), changed

    def _is_last(self, event: bytes) -> bool:
        return payload(event) == DONE

    def _read(self, data: bytes) -> bool:
        """Read an event in full; False if it is to be left out."""
        try:
            found = openai.read(data)
        except InputError as error:
            raise self._malformed(str(error)) from None
        if found.failed:
            self.error, self.done = data, True
            return True
        self._told = self._told or found.model or ""
        if found.used is None:
            return True
        self.used = found.used
        return self._keep_usage or found.choices != ()


def awake(event: bytes) -> bytes:
    """What goes on of an event without data: a comment. By the standard nobody is told of others, and some clients
    would take their nothing for JSON."""
    comments = [line for line in event.split(b"\n") if line.startswith(b":")]
    return b"\n".join(comments or [b":"]) + b"\n\n"


def payload(event: bytes) -> bytes | None:
    """The data of an event; None if it has none."""
    if event.startswith(b"data:") and b"\n" not in event:
        return event[5:].strip() or None
    lines = [line[5:].strip() for line in event.split(b"\n") if line.startswith(b"data:")]
    if not lines and not all(_field(line) for line in event.split(b"\n")):
        return event  # not an event at all: the caller sees that it is no JSON object either
    return b"\n".join(lines) or None


def renamed(event: bytes, data: bytes, told: str, asked: str, within: str | None = None) -> bytes:
    """The event whose payload is `data`, with the model's name put back: see openai.rename."""
    return replaced(event, data, openai.rename(told, asked, data, within))


def replaced(event: bytes, data: bytes, changed: bytes) -> bytes:
    """The event with other data."""
    if changed == data:
        return event
    if data in event:
        return event.replace(data, changed, 1)
    kept = [line for line in event.split(b"\n") if not line.startswith(b"data:")]  # the data came on several lines
    return b"\n".join([*kept, *(b"data: " + line for line in changed.split(b"\n"))])


def _field(line: bytes) -> bool:
    return line.startswith((b":", b"event:", b"id:", b"retry:")) or line in (b"", b"data", b"event", b"id")


def _unix(data: bytes) -> bytes:
    """Line ends as \\n. A \\r at the very end may be half of one and stays."""
    tail = b"\r" if data.endswith(b"\r") else b""
    body = data[: len(data) - len(tail)]
    return body.replace(b"\r\n", b"\n").replace(b"\r", b"\n") + tail
