"""Faults of HTTP itself: slowness, statuses, heads, lengths, chunks, connections. Pure."""

from __future__ import annotations

import gzip
import itertools
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Final

from aish.plugins.simprovider.faults.fault import Ends, Fault
from aish.plugins.simprovider.reply import SSE, Framing, Reply, chunk

HTML: Final = b"<!DOCTYPE html><html><body><h1>Bad \xe2\x80\x9cgateway\xe2\x80\x9d</h1></body></html>\n"
_SLOW_S: Final = 0.1
_BOMB_BYTES: Final = 512 << 20
_PIECE_BYTES: Final = 256 << 10

QUOTA: Final = (
    b'{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}}'
)


def _reply(what: str, ends: Ends, change: Callable[[Reply], Reply]) -> Fault:
    return Fault(what=what, stream=ends, whole=ends, reply=change)


def _status(status: int, message: str, *headers: tuple[str, str]) -> Fault:
    return Fault(
        what=f"status {status}: {message}",
        stream="error",
        whole="error",
        error=(status, message),
        reply=lambda reply: replace(reply, headers=[*reply.headers, *headers]),
    )


def _page(
    status: int, body: bytes = HTML, content_type: str = "text/html; charset=utf-8"
) -> Callable[[Reply], Reply]:
    return lambda _: Reply([body], content_type, status)


def _joined(reply: Reply) -> bytes:
    return b"".join(reply.pieces)


# --- lengths and chunks ---------------------------------------------------------------------------------------------


def _claims(extra_bytes: int) -> Callable[[Reply], Reply]:
    def change(reply: Reply) -> Reply:
        body = _joined(reply)
        closes = extra_bytes > 0  # else nobody would find out
        return replace(reply, pieces=[body], framing="length", claimed_bytes=len(body) + extra_bytes, closes=closes)

    return change


def _raw(frame: Callable[[Iterable[bytes]], Iterable[bytes]], *, closes: bool = True) -> Callable[[Reply], Reply]:
    framing: Framing = "raw chunked"
    return lambda reply: replace(reply, pieces=frame(reply.pieces), framing=framing, closes=closes)


def _bad_size(pieces: Iterable[bytes]) -> Iterator[bytes]:
    for number, piece in enumerate(pieces):
        yield chunk(piece) if number < 2 else b"zz\r\n" + piece + b"\r\n"
    yield b"zz\r\n"


def _negative_size(pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        yield b"-" + chunk(piece)


def _huge_size(pieces: Iterable[bytes]) -> Iterator[bytes]:
    yield b"f" * 16 + b"\r\n"
    yield from pieces


def _short_size(pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        yield b"%x\r\n%b\r\n" % (max(1, len(piece) - 5), piece)
    yield b"0\r\n\r\n"


def _extended(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Extensions of chunks, leading zeros, capital digits, fields behind the last chunk: all of it right."""
    for piece in pieces:
        yield b'00%X;sim="a b";x\r\n%b\r\n' % (len(piece), piece)
    yield b"000;last\r\nX-Checksum: 5\r\nServer-Timing: sim\r\n\r\n"


def _no_last(pieces: Iterable[bytes]) -> Iterator[bytes]:
    return map(chunk, pieces)


def _until_close(reply: Reply) -> Reply:
    return replace(reply, framing="close")


# --- heads ----------------------------------------------------------------------------------------------------------


def _headers(*headers: tuple[str, str]) -> Callable[[Reply], Reply]:
    return lambda reply: replace(reply, headers=[*reply.headers, *headers])


def _before_head(raw: bytes) -> Callable[[Reply], Reply]:
    """Something goes out before the head."""

    def change(reply: Reply) -> Reply:
        body = _joined(reply)
        reply = replace(reply, pieces=[body], framing="length")
        return replace(reply, raw_head=raw + reply.head(len(body)))

    return change


def _garbage(reply: Reply) -> Reply:
    return replace(reply, raw_head=b"SSH-2.0-OpenSSH_9.9\r\n\r\n", framing="close")


def _endless_head(reply: Reply) -> Reply:
    lines = (b"X-%d: %s\r\n" % (number, b"y" * 1000) for number in itertools.count())
    return Reply(lines, raw_head=b"HTTP/1.1 200 OK\r\n", framing="close")


def _type(content_type: str) -> Callable[[Reply], Reply]:
    return lambda reply: replace(reply, content_type=content_type)


def _swapped(reply: Reply) -> Reply:
    return replace(reply, content_type="application/json" if reply.content_type == SSE else SSE)


# --- compressed -----------------------------------------------------------------------------------------------------


def _gzip(reply: Reply) -> Reply:
    body = gzip.compress(_joined(reply))
    return replace(reply, pieces=[body], framing="length", headers=[*reply.headers, ("Content-Encoding", "gzip")])


def _bomb(reply: Reply) -> Reply:
    """Half a GiB of spaces in half a MiB."""

    def pieces() -> Iterator[bytes]:
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        for _ in range(_BOMB_BYTES // _PIECE_BYTES):
            yield packer.compress(b" " * _PIECE_BYTES)
        yield packer.flush()

    return replace(reply, pieces=pieces(), framing="chunked", headers=[*reply.headers, ("Content-Encoding", "gzip")])


# --- connections ----------------------------------------------------------------------------------------------------


def _second(reply: Reply) -> Reply:
    """Another reply that nobody asked for, behind the right one."""
    body = b'{"id": "x", "object": "chat.completion", "created": 1, "model": "sim", "choices": []}'
    return replace(reply, extra=Reply([body]).head(len(body)) + body)


def _cut_head(reply: Reply) -> Reply:
    return replace(reply, cut="in the head")


def _cut_silently(reply: Reply) -> Reply:
    return replace(reply, cut="before the head")


def _endless(_: bytes) -> Iterator[bytes]:
    yield b'{"never": "'
    while True:
        yield b"x" * _PIECE_BYTES


HTTP: Final = {
    "slow-first": _reply("the head comes late", "answer", lambda reply: replace(reply, before_s=_SLOW_S)),
    "slow-between": _reply("the pieces come slowly", "answer", lambda reply: replace(reply, between_s=_SLOW_S / 5)),
    "silent": _reply("the connection is closed without a byte", "error", _cut_silently),
    "silent-reset": _reply("the same, by RST", "error", lambda reply: replace(_cut_silently(reply), reset=True)),
    "cut-head": _reply("the connection is closed in the middle of the head", "error", _cut_head),
    "garbage": _reply("what answers speaks no HTTP", "error", _garbage),
    "endless-head": _reply("headers that never end", "error", _endless_head),
    "long-header": _reply("a header of 100 KB", "either", _headers(("X-Long", "y" * 100_000))),
    "many-headers": _reply("1,000 headers", "either", _headers(*((f"X-{n}", "y") for n in range(1000)))),
    "interim": _reply(
        "two interim answers before the right one",
        "answer",
        _before_head(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"),
    ),
    "http-1.0": _reply("HTTP/1.0", "answer", lambda reply: replace(reply, version="HTTP/1.0", framing="close")),
    "until-close": _reply("the body ends with the connection", "answer", _until_close),
    "closes-after": _reply(
        "the connection is closed behind the answer, unsaid", "answer", lambda reply: replace(reply, closes=True)
    ),
    "length-long": Fault(
        what="the length in the head is too large", stream="either", whole="error", reply=_claims(50)
    ),
    "length-short": _reply("the length in the head is too small", "error", _claims(-9)),
    "length-negative": _reply(
        "the length in the head is below 0", "error", lambda r: replace(r, framing="length", claimed_bytes=-5)
    ),
    "length-text": _reply("the length in the head is no number", "error", _headers(("Content-Length", "many"))),
    "lengths": _reply("two lengths that differ", "error", _headers(("Content-Length", "3"), ("Content-Length", "4"))),
    "length-and-chunks": _reply(
        "a length and chunks",
        "either",
        lambda reply: replace(reply, framing="chunked", headers=[*reply.headers, ("Content-Length", "5")]),
    ),
    "chunk-size": _reply("a chunk whose size is no number", "error", _raw(_bad_size)),
    "chunk-negative": _reply("chunks of less than nothing", "error", _raw(_negative_size)),
    "chunk-huge": Fault(what="a chunk of 16 EiB", stream="either", whole="error", reply=_raw(_huge_size)),
    "chunk-short": _reply("chunks that are longer than they say", "error", _raw(_short_size)),
    "chunk-no-last": Fault(what="the last chunk is missing", stream="either", whole="error", reply=_raw(_no_last)),
    "chunk-extended": _reply("extensions of chunks, and trailers", "answer", _raw(_extended, closes=False)),
    "second-reply": _reply("another reply behind the right one", "answer", _second),
    "second-reply-late": _reply(
        "the same a moment later", "answer", lambda reply: replace(_second(reply), late_s=0.02)
    ),
    "gzip": _reply("compressed though nobody asked", "either", _gzip),
    "gzip-bomb": _reply("compressed, and a thousand times larger than it looks", "error", _bomb),
    "type-swapped": _reply("a stream called JSON, JSON called a stream", "error", _swapped),
    "type-none": Fault(what="no content type", stream="error", whole="answer", reply=_type("")),
    "type-text": Fault(what="called plain text", stream="error", whole="answer", reply=_type("text/plain")),
    "type-odd": Fault(
        what="the content type in other letters, with a charset",
        stream="answer",
        whole="answer",
        reply=lambda reply: replace(reply, content_type=reply.content_type.title() + ' ; Charset="UTF-8"'),
    ),
    "status-400": _status(400, "no such thing"),
    "status-429": _status(429, "slow down", ("Retry-After", "7"), ("X-RateLimit-Remaining-Requests", "0")),
    "status-429-hours": _status(429, "usage limit reached", ("Retry-After", "14400")),
    "status-429-quota": _reply("an account without money", "error", _page(429, QUOTA, "application/json")),
    "status-500": _status(500, "the model fell over"),
    "status-503": _status(503, "come back later", ("Retry-After", "3")),
    "status-529": _status(529, "Overloaded", ("Retry-After", "5"), ("X-Should-Retry", "true")),
    "status-204": _reply("no content", "error", lambda _: Reply([], "", 204, "close")),
    "status-302": _reply(
        "a redirection", "error", lambda _: Reply([b""], "text/html", 302, headers=[("Location", "/login")])
    ),
    "status-600": _reply("a status that there is not", "error", _page(600, b"{}", "application/json")),
    "html-200": _reply("a page of HTML", "error", _page(200)),
    "html-500": _reply("a page of HTML with status 500", "error", _page(500)),
    "html-502": _reply("a page of HTML with status 502", "error", _page(502)),
    "empty-500": _reply("nothing, with status 500", "error", _page(500, b"", "")),
    "huge-500": _reply(
        "an error that never ends",
        "error",
        lambda _: Reply(itertools.repeat(b"x" * 4096), "application/json", 500, "chunked"),
    ),
    "huge-500-field": _reply(
        "an error of 60 KB",
        "error",
        lambda _: Reply([b'{"error": {"message": "%s"}}' % (b"e" * 60_000)], "application/json", 500),
    ),
}


def _body(what: str, ends: Ends, change: Callable[[bytes], Iterable[bytes]]) -> Fault:
    return Fault(what=what, whole=ends, body=change)


WHOLES: Final = {
    "body-empty": _body("an empty body", "error", lambda _: [b""]),
    "body-half": _body("half an object, and rightly by HTTP", "error", lambda body: [body[: len(body) // 2]]),
    "body-list": _body("a list", "error", lambda body: [b"[" + body + b"]"]),
    "body-null": _body("null", "error", lambda _: [b"null"]),
    "body-bare": _body("an empty object", "error", lambda _: [b"{}"]),
    "body-wrong-types": _body(
        "an object whose fields have other types",
        "error",
        lambda _: [b'{"id": 5, "model": [], "choices": "x", "content": 3, "data": 1, "output": 7, "usage": "y"}'],
    ),
    "body-more": _body("words behind the object", "error", lambda body: [body + b" and so on"]),
    "body-bom": _body("a byte order mark before it", "answer", lambda body: [b"\xef\xbb\xbf" + body]),
    "body-bytes": _body(
        "every byte on its own", "answer", lambda body: (body[at : at + 1] for at in range(len(body)))
    ),
    "body-endless": _body("a body that never ends", "error", _endless),
}
