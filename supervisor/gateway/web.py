"""A client's request and what it is answered: whole, or as a stream. Their connection is in visitor.py."""

from __future__ import annotations

import asyncio
import time
import zlib
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import unquote

from multidict import istr

from aish.errors import InputError, LimitError
from aish.supervisor.gateway.fields import encoded, lines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multidict import CIMultiDict

MAX_BODY_BYTES: Final = 64 << 20
_CODING: Final = istr("Content-Encoding")
_PLAIN: Final = ("", "identity")
_PACKED: Final = ("gzip", "x-gzip", "deflate")


class Way(Protocol):
    """The connection, as far as requests and streams need it."""

    def wants_more(self) -> None:
        """The body is read from now on."""

    def proceed(self) -> None:
        """Tell the client that its body is wanted."""

    async def write(self, data: bytes) -> None:
        """Returns once there is room for more. Raises ConnectionError."""

    def keeps(self, request: Request) -> bool:
        """Whether another request may follow this one."""

    def cut(self) -> None:
        """Close it, whatever is on its way."""


class Request:
    """Its head is here, its body comes. `path` is without the query, and decoded; the query is as it came,
    and may hold a key."""

    __slots__ = (
        "_error", "_parts", "_size_bytes", "_waiter", "complete", "headers", "keep", "method", "newer", "path",
        "query", "wanted", "way",
    )  # fmt: skip

    def __init__(self, way: Way, method: str, target: str, headers: CIMultiDict[str], *, newer: bool) -> None:
        self.way = way
        self.method, self.headers = method, headers
        self.path, self.query = _path(target), target.partition("?")[2]
        self.newer = newer
        """It is of HTTP/1.1, not 1.0."""
        self.keep = newer
        """The client does not mean to close the connection after it."""
        self.complete = False
        """All of its body is here."""
        self.wanted = False
        """Somebody reads its body."""
        self._parts: list[bytes] = []
        self._size_bytes = 0
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def read(self) -> bytes:
        """The whole body, as it was before the client packed it. Raises LimitError above the bound, InputError."""
        length = self.headers.get("Content-Length")
        if length is not None and int(length) > MAX_BODY_BYTES:
            raise _too_large()
        if not self.complete:
            await self._rest()
        return self.whole()

    def whole(self) -> bytes:
        """The same, once it is complete."""
        if self._error is not None:
            raise self._error
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        coding = self.headers.get(_CODING)
        if coding is None or (coding := coding.strip().lower()) in _PLAIN:
            return body
        return _unpacked(body, coding)

    async def _rest(self) -> None:
        if self.newer and self.headers.get("Expect", "").lower() == "100-continue":
            self.way.proceed()
        self.wanted = True
        self.way.wants_more()
        while not self.complete and self._error is None:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def cut(self) -> None:
        """Close the client's connection."""
        self.way.cut()

    # --- what the connection tells ------------------------------------------------------------------------------

    def add(self, data: bytes) -> int:
        """A part of the body; returns how many bytes wait now."""
        if self._error is None:
            self._parts.append(data)
            self._size_bytes += len(data)
            if self._size_bytes > MAX_BODY_BYTES:
                self.fail(_too_large())
        return self._size_bytes

    def end(self) -> None:
        self.complete = True
        self._wake()

    def fail(self, error: Exception) -> None:
        self._error = self._error or error
        self._parts.clear()
        self._size_bytes = 0
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Response:
    """A whole answer."""

    __slots__ = ("body", "content_type", "headers", "status")

    def __init__(
        self,
        body: bytes = b"",
        *,
        status: int = 200,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.body, self.status, self.content_type, self.headers = body, status, content_type, headers or {}

    def head(self, request: Request, *, keep: bool) -> bytes:
        told = f"Content-Type: {self.content_type}\r\n{lines(self.headers)}Content-Length: {len(self.body)}\r\n"
        return _head(self.status, told, request, keep=keep)


class Stream:
    """An answer in parts, of which nobody knows how many. Its head goes with the first of them."""

    __slots__ = ("_chunks", "_content_type", "_headers", "_request", "keep")

    def __init__(self, request: Request, *, content_type: str, headers: Mapping[str, str]) -> None:
        self._request = request
        self._content_type, self._headers = content_type, headers
        self._chunks: bool | None = None
        """Whether it is told in chunks; None: it has not begun."""
        self.keep = False

    @property
    def begun(self) -> bool:
        return self._chunks is not None

    async def write(self, data: bytes) -> None:
        """Raises ConnectionError."""
        start = b"" if self.begun else self._begin()
        await self._request.way.write(start + (b"%x\r\n%s\r\n" % (len(data), data) if self._chunks else data))

    def _begin(self) -> bytes:
        request = self._request
        self._chunks = request.newer
        self.keep = request.newer and request.way.keeps(request)  # of HTTP/1.0 only the connection's end ends it
        told = {"Content-Type": self._content_type, **self._headers}
        if self._chunks:
            told["Transfer-Encoding"] = "chunked"
        return _head(200, lines(told), request, keep=self.keep)

    def last(self) -> bytes:
        """What ends it."""
        start = b"" if self.begun else self._begin()
        return start + (b"0\r\n\r\n" if self._chunks else b"")


Answer = Response | Stream


def _head(status: int, fields: str, request: Request, *, keep: bool) -> bytes:
    try:
        start = _STARTS[status]
    except KeyError:
        start = f"HTTP/1.1 {status} \r\n"
    connection = "" if keep == request.newer else "Connection: keep-alive\r\n" if keep else "Connection: close\r\n"
    return encoded(f"{start}{_date()}{fields}{connection}\r\n")


_STARTS: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
_dated: tuple[int, str] = (0, "")


def _date() -> str:
    """The header line, made once a second."""
    global _dated  # noqa: PLW0603  a cache
    now_s = int(time.time())
    if _dated[0] != now_s:
        _dated = now_s, f"Date: {formatdate(now_s, usegmt=True)}\r\n"
    return _dated[1]


def _path(target: str) -> str:
    """Of `/path?query`, or of a whole URL."""
    if not target.startswith("/"):
        target = "/" + target.partition("://")[2].partition("/")[2] if "://" in target else target
    path = target.partition("?")[0]
    return unquote(path) if "%" in path else path


def _unpacked(body: bytes, coding: str) -> bytes:
    """Raises LimitError where it is larger than a body may be, InputError."""
    if coding not in _PACKED:
        raise InputError(f"the body cannot be read: its encoding is {coding[:40]!r}", hint="gzip or none")
    # Some send deflate without the head that zlib gives it: its first byte tells.
    bare = coding == "deflate" and body[:1] != b"" and body[0] & 0x0F != zlib.DEFLATED
    packer = zlib.decompressobj(wbits=-zlib.MAX_WBITS if bare else zlib.MAX_WBITS | 32)
    try:
        found = packer.decompress(body, MAX_BODY_BYTES + 1)
    except zlib.error as error:
        raise InputError(f"the body cannot be read: {error}", hint="is it encoded as its headers say?") from None
    if len(found) > MAX_BODY_BYTES:
        raise _too_large()
    if not packer.eof:
        raise InputError("the body cannot be read: its end is missing", hint="is it encoded as its headers say?")
    return found


def _too_large() -> LimitError:
    return LimitError(f"the body is larger than {MAX_BODY_BYTES >> 20} MiB")
