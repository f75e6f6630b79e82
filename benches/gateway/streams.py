"""`python -m benches.gateway.streams`: many streamed answers at a time, by a client that only reads.

The order comes as JSON on stdin, what was found goes to stdout as JSON.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from typing import Final, cast

import msgspec
import uvloop

from benches.gateway import cores, upstream
from benches.gateway.driver import DEADLINE_S, Address

_END: Final = b"0\r\n\r\n"
_DONE: Final = b"data: [DONE]"


class Order(msgspec.Struct):
    """`at_once` streams; each once, or again and again for `seconds`."""

    address: Address
    wish: upstream.Wish
    at_once: int
    seconds: float = 0.0


class Found(msgspec.Struct):
    """`last_s`: how long after its request each first stream had its last chunk, the slowest. `lost`: chunks that
    never came, over the last stream of each connection."""

    streams: int
    spent_s: float
    last_s: float
    lost: int


def read(order: Order, core: int | None) -> Found:
    """In a process of its own on `core`. Raises RuntimeError."""
    with cores.on(core):
        done = subprocess.run(
            [sys.executable, "-m", "benches.gateway.streams"],
            input=msgspec.json.encode(order),
            capture_output=True,
            timeout=order.seconds + DEADLINE_S,
            check=False,
        )
    if done.returncode != 0:
        raise RuntimeError(f"streams: {done.stderr.decode(errors='replace').strip()[-300:]}")
    return msgspec.json.decode(done.stdout, type=Found)


def main() -> None:
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(_read(order))))


async def _read(order: Order) -> Found:
    loop = asyncio.get_running_loop()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{order.address.port}\r\n"
    body = order.address.body(order.wish)
    fields = {**order.address.headers, "Content-Type": "application/json", "Content-Length": str(len(body))}
    request = (head + "".join(f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\n").encode() + body
    readers = []
    for _ in range(order.at_once):
        _, reader = await loop.create_connection(_Reader, "127.0.0.1", order.address.port)
        readers.append(reader)
    begin = time.monotonic()
    for reader in readers:
        reader.begin(request, begin + order.seconds)
    await asyncio.wait_for(asyncio.gather(*(reader.over for reader in readers)), order.seconds + DEADLINE_S)
    return Found(
        streams=sum(reader.streams for reader in readers),
        spent_s=max(reader.ended for reader in readers) - begin,
        last_s=max(reader.first_s for reader in readers),
        lost=sum(missing(bytes(reader.reply), order.wish.chunks) for reader in readers),
    )


class _Reader(asyncio.Protocol):
    """One connection. A stream has ended with the last chunk of its transfer encoding."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.reply = bytearray()
        self.streams, self.first_s, self.ended = 0, 0.0, 0.0
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._request, self._begin, self._until = b"", 0.0, 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is not derived from it

    def begin(self, request: bytes, until: float) -> None:
        self._request, self._until, self._begin = request, until, time.monotonic()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.reply += data
        if not self.reply.endswith(_END) or _DONE not in self.reply[-200:]:
            if not self.reply.startswith(b"HTTP/1.1 200"):
                self._fail(f"answered {bytes(self.reply[:200])!r}")
            return
        self.ended = time.monotonic()
        self.streams += 1
        self.first_s = self.first_s or self.ended - self._begin
        if self.ended < self._until:
            self.reply.clear()
            self.transport.write(self._request)
        elif not self.over.done():
            self.over.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"hung up: {exc}")

    def _fail(self, why: str) -> None:
        if not self.over.done():
            self.over.set_exception(RuntimeError(f"the server {why}"))


def missing(reply: bytes, chunks: int) -> int:
    """How many of the words w0 to w(chunks-1) a streamed answer lacks. Pure."""
    came = set("".join(words(dechunked(reply))).split())
    return sum(f"w{number}" not in came for number in range(chunks))


def dechunked(reply: bytes) -> bytes:
    """The body of a reply in chunked transfer encoding. Pure."""
    _, _, rest = reply.partition(b"\r\n\r\n")
    body = bytearray()
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size.partition(b";")[0], 16)
        if length == 0:
            break
        body += rest[:length]
        rest = rest[length + 2 :]
    return bytes(body)


class _Delta(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta


class _Event(msgspec.Struct):
    choices: list[_Choice] = []


def words(body: bytes) -> list[str]:
    """The texts of the events of a stream. Pure."""
    found = []
    for line in body.splitlines():
        if line.startswith(b"data: {"):
            event = msgspec.json.decode(line.removeprefix(b"data: "), type=_Event)
            found += [choice.delta.content for choice in event.choices if choice.delta.content]
    return found


if __name__ == "__main__":
    main()
