"""Faults of streams: events that are cut, malformed, too large, too many, out of place; and odd but right ones. Pure.

Source of what is right: the HTML standard, 9.2.6 (interpreting an event stream).
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Final

from aish.plugins.simprovider.faults.fault import Ends, Fault
from aish.plugins.simprovider.reply import Cut, Reply
from aish.plugins.simprovider.said import Event, Said

HUGE_BYTES: Final = 32 << 20
DEEP: Final = 100_000
WIDE: Final = 1_000_000
_PIECE_BYTES: Final = 256 << 10
BOM: Final = b"\xef\xbb\xbf"


# --- cut ------------------------------------------------------------------------------------------------------------


def _until(kinds: tuple[str, ...]) -> Callable[[list[Event]], Iterable[Event]]:
    def events(all_: list[Event]) -> Iterable[Event]:
        return itertools.takewhile(lambda event: event.kind not in kinds, all_)

    return events


def _mid_event(pieces: list[bytes]) -> Iterable[bytes]:
    """The second half of them is missing, and half of the last that is there."""
    there = pieces[: max(1, len(pieces) // 2)]
    return [*there[:-1], there[-1][: len(there[-1]) // 2]]


def _cut(reply: Reply) -> Reply:
    cut: Cut = "in the body"
    if reply.framing == "chunked":
        return replace(reply, cut=cut)
    return replace(reply, cut=cut, claimed_bytes=sum(map(len, reply.pieces)) + 50)


def _reset(reply: Reply) -> Reply:
    return replace(_cut(reply), reset=True)


# --- the form of events ---------------------------------------------------------------------------------------------


def _each(change: Callable[[bytes], bytes]) -> Callable[[list[bytes]], Iterable[bytes]]:
    return lambda pieces: map(change, pieces)


def _mixed(pieces: list[bytes]) -> Iterator[bytes]:
    """Every way to end a line, one after the other."""
    for piece, end in zip(pieces, itertools.cycle((b"\n", b"\r\n", b"\r")), strict=False):
        yield piece.replace(b"\n", end)


def _lines(piece: bytes) -> bytes:
    """The data on several lines, as pretty JSON."""
    head, _, data = piece.rpartition(b"data: ")
    try:
        pretty = json.dumps(json.loads(data), indent=1)
    except ValueError:
        return piece  # [DONE]
    return head + b"".join(b"data: " + line.encode() + b"\n" for line in pretty.splitlines()) + b"\n"


def _between(extra: bytes) -> Callable[[list[bytes]], Iterable[bytes]]:
    """Something between every two events, and before the first."""
    return lambda pieces: itertools.chain.from_iterable((extra, piece) for piece in pieces)


def _after_first(extra: bytes) -> Callable[[list[bytes]], Iterable[bytes]]:
    """In the middle of the answer."""

    def sse(pieces: list[bytes]) -> Iterable[bytes]:
        middle = len(pieces) // 2
        return [*pieces[:middle], extra, *pieces[middle:]]

    return sse


def _bytes(pieces: list[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        for at in range(len(piece)):
            yield piece[at : at + 1]


def _endless(pieces: list[bytes]) -> Iterator[bytes]:
    yield pieces[0]
    yield b'data: {"never": "'
    while True:
        yield b"x" * _PIECE_BYTES


# --- what is in them ------------------------------------------------------------------------------------------------


def _words(*words: str) -> Callable[[Said], Said]:
    return lambda said: replace(said, words=[*said.words, *words], output=len(said.thoughts) + len(said.words) + 2)


def _huge(said: Said) -> Said:
    return replace(said, words=[*said.words, "h" * HUGE_BYTES])


def within(data: bytes, field: bytes) -> bytes:
    """A JSON object, or an event with one, that has this field first."""
    return data.replace(b"{", b"{" + field + b", ", 1)


def deep(data: bytes) -> bytes:
    return within(data, b'"deep": ' + b"[" * DEEP + b"]" * DEEP)


def wide(data: bytes) -> bytes:
    return within(data, b", ".join(b'"f%d": 0' % number for number in range(WIDE)))


def bad_utf8(data: bytes) -> bytes:
    return data.replace(b"w1 ", b"w\xff1 ")


def _first(change: Callable[[bytes], bytes]) -> Callable[[list[bytes]], Iterable[bytes]]:
    return lambda pieces: [change(pieces[0]), *pieces[1:]]


def _late(change: Callable[[bytes], bytes]) -> Callable[[list[bytes]], Iterable[bytes]]:
    """In the last event but one: that may be read by then as what it is."""
    return lambda pieces: [*pieces[:-2], change(pieces[-2]), pieces[-1]]


def _without_end(pieces: list[bytes]) -> Iterable[bytes]:
    return [*pieces[:-1], pieces[-1].rstrip(b"\n")]


def _twice(events: list[Event]) -> Iterable[Event]:
    return [*events, events[-1]]


def _goes_on(events: list[Event]) -> Iterable[Event]:
    return [*events, *(event for event in events if event.kind == "content"), events[-1]]


def _only_end(events: list[Event]) -> Iterable[Event]:
    return events[-1:]


def _sse(what: str, stream: Ends, sse: Callable[[list[bytes]], Iterable[bytes]]) -> Fault:
    return Fault(what=what, stream=stream, sse=sse)


_UNKNOWN: Final = b'event: sim.new\ndata: {"type": "sim.new", "object": "sim.new", "value": 1}\n\n'
STREAMS: Final = {
    "cut-first": Fault(
        what="the connection ends behind the head",
        stream="error",
        whole="error",
        sse=lambda _: [],
        body=lambda _: [],
        reply=_cut,
    ),
    "cut-event": Fault(
        what="the connection ends in the middle of an event, or of a whole answer",
        stream="error",
        whole="error",
        sse=_mid_event,
        body=lambda body: [body[: len(body) // 2]],
        reply=_cut,
    ),
    "cut-reset": Fault(
        what="the same, by RST",
        stream="error",
        whole="error",
        sse=_mid_event,
        body=lambda body: [body[: len(body) // 2]],
        reply=_reset,
    ),
    "cut-event-cleanly": _sse("the stream ends in the middle of an event, and rightly by HTTP", "error", _mid_event),
    "cut-between": Fault(
        what="the connection ends between two events",
        stream="error",
        sse=lambda pieces: pieces[: len(pieces) // 2],
        reply=_cut,
    ),
    "cut-before-usage": Fault(
        what="the connection ends behind the last words, before the figures",
        stream="error",
        events=_until(("usage", "end")),
        reply=_cut,
    ),
    "cut-before-end": Fault(
        what="the stream lacks its last event, and ends rightly by HTTP", stream="error", events=_until(("end",))
    ),
    "no-events": _sse("a stream without an event", "error", lambda _: []),
    "only-end": Fault(what="a stream of its last event alone", stream="either", events=_only_end),
    "crlf": _sse("lines end in CR LF", "answer", _each(lambda piece: piece.replace(b"\n", b"\r\n"))),
    "cr": _sse("lines end in CR", "answer", _each(lambda piece: piece.replace(b"\n", b"\r"))),
    "mixed-ends": _sse("lines end in all three ways", "answer", _mixed),
    "bom": _sse("a byte order mark before the first event", "answer", lambda pieces: [BOM, *pieces]),
    "comments": _sse("comments between events", "answer", _between(b": still here\n\n:\n\n")),
    "blank-events": _sse(
        "events without data, and blank lines", "answer", _between(b"event: ping\n\nid: 7\nretry: 9\n\n\n\n")
    ),
    "bare-lines": _sse(
        "fields that nobody knows, or without a colon",
        "answer",
        _each(lambda piece: b"data\n\nid\n\nnovel: 1\nx\n" + piece),
    ),
    "many-lines": _sse("data on many lines", "answer", _each(_lines)),
    "no-space": _sse("no space behind the colon", "answer", _each(lambda piece: piece.replace(b": ", b":", 2))),
    "bytes": _sse("every byte on its own", "answer", _bytes),
    "one-write": _sse("all events at once", "answer", lambda pieces: [b"".join(pieces)]),
    "no-blank-line": _sse("no blank lines between events", "error", _each(lambda piece: piece[:-1])),
    "no-last-blank-line": _sse("the last event lacks its blank line", "answer", _without_end),
    "not-json": _sse("an event that is no JSON", "error", _after_first(b"data: {this is not JSON}\n\n")),
    "half-json": _sse("an event with half an object", "error", _after_first(b'data: {"id": "a", "choices": [\n\n')),
    "no-object": _sse("an event that is a number", "error", _after_first(b"data: 7\n\n")),
    "no-event": _sse("words that are no event", "error", _after_first(b"<html>what now?</html>\n\n")),
    "raw-nul": _sse("a NUL inside a string", "either", _each(lambda piece: piece.replace(b"w1 ", b"w\x001 "))),
    "unknown-events": _sse("events of a kind that nobody knows", "answer", _between(_UNKNOWN)),
    "wrong-types": _sse(
        "an event whose fields have other types",
        "either",
        _after_first(b'data: {"type": 5, "model": {}, "choices": 3, "delta": [], "usage": "x"}\n\n'),
    ),
    "end-twice": Fault(what="the last event comes twice", stream="answer", events=_twice),
    "goes-on": Fault(what="more words behind the end", stream="answer", events=_goes_on),
    "endless-line": _sse("a line that never ends", "error", _endless),
    "nul": Fault(what="NUL in the words", stream="answer", whole="answer", said=_words("\x00", "n\x00 ")),
    "surrogates": Fault(
        what="half characters, as escapes", stream="answer", whole="answer", said=_words("\ud83d", "x \ude00")
    ),
    "bad-utf8": Fault(
        what="bytes that are no UTF-8",
        stream="answer",
        whole="answer",
        sse=_each(bad_utf8),
        body=lambda body: [bad_utf8(body)],
    ),
    "huge": Fault(what="words of 32 MiB in one event", stream="error", whole="answer", said=_huge),
    "deep": Fault(
        what="100,000 lists in each other",
        stream="either",
        whole="either",
        sse=_first(deep),
        body=lambda body: [deep(body)],
    ),
    "deep-late": _sse("the same in a later event", "either", _late(deep)),
    "wide": Fault(
        what="a million fields that nobody knows",
        stream="either",
        whole="either",
        sse=_first(wide),
        body=lambda body: [wide(body)],
    ),
    "told-error": Fault(
        what="an error inside the stream, or as a whole answer with status 200",
        stream="error",
        whole="error",
        told_error=True,
    ),
    "flipped": Fault(
        what="a whole answer to who wants a stream, and the other way round",
        stream="either",
        whole="either",
        flips=True,
    ),
}
