"""`python -m benches.gateway.upstream`: a model server that does nothing but answer, as fast as Python can.

It speaks OpenAI's dialect on a free port of the loopback, which its first line on stdout tells. The last message of a
streamed chat says what comes: `{"chunks": 200, "pace_ms": 10}`; without a pace all chunks come at once.
"""

from __future__ import annotations

import asyncio
import re
import signal
from functools import cache
from typing import Final, cast

import msgspec
import uvloop

MODEL: Final = "bench"
PROMPT_TOKENS: Final = 12
WORDS: Final = 64
"""Of a whole answer."""
_HEAD: Final = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\n"
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED: Final = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_STREAM: Final = re.compile(rb'"stream": ?true')
_LAST: Final = b"0\r\n\r\n"


class _Message(msgspec.Struct):
    content: str


class _Options(msgspec.Struct):
    include_usage: bool = False


class _Chat(msgspec.Struct):
    messages: list[_Message]
    stream_options: _Options | None = None


class Wish(msgspec.Struct):
    """What the last message of a streamed chat asks for."""

    chunks: int
    pace_ms: float = 0.0


def main() -> None:
    uvloop.run(_serve())


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = await loop.create_server(_Connection, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await stop.wait()


class _Connection(asyncio.Protocol):
    """One client; requests of one connection come one after the other."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._read = b""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is not derived from it

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._read = self._read + data if self._read else data
        while self._read:
            head, mark, rest = self._read.partition(b"\r\n\r\n")
            if not mark:
                return
            if _CHUNKED.search(head):
                body, mark, rest = rest.partition(b"\r\n" + _LAST)
                if not mark:
                    return
            else:
                found = _LENGTH.search(head)
                length = int(found[1]) if found else 0
                if len(rest) < length:
                    return
                body, rest = rest[:length], rest[length:]
            self._read = rest
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"GET"):
            self.transport.write(MODELS if b"/models" in head[:64] else NOTHING)
        elif not _STREAM.search(body):
            self.transport.write(WHOLE)
        else:
            chat = _decode_chat(body[body.index(b"{") : body.rindex(b"}") + 1])
            wish = _decode_wish(chat.messages[-1].content)
            usage = chat.stream_options is not None and chat.stream_options.include_usage
            self._stream(wish, stream(wish.chunks, usage=usage))

    def _stream(self, wish: Wish, parts: tuple[bytes, ...]) -> None:
        if not wish.pace_ms:
            self.transport.writelines(parts)
            return
        loop = asyncio.get_running_loop()
        begin_s, pace_s, last = loop.time(), wish.pace_ms / 1000, len(parts) - 1

        def send(number: int) -> None:
            if number < wish.chunks - 1:
                self.transport.write(parts[number])
                self._timer = loop.call_at(begin_s + (number + 1) * pace_s, send, number + 1)
            else:
                self.transport.write(b"".join(parts[number : last + 1]))

        send(0)


_decode_chat: Final = msgspec.json.Decoder(_Chat).decode
_decode_wish: Final = msgspec.json.Decoder(Wish).decode


def _reply(status: bytes, value: object) -> bytes:
    body = msgspec.json.encode(value)
    head = b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return head % (status, len(body)) + body


def _usage(output_tokens: int) -> dict[str, int]:
    return {
        "prompt_tokens": PROMPT_TOKENS,
        "completion_tokens": output_tokens,
        "total_tokens": PROMPT_TOKENS + output_tokens,
    }


def _choice(**fields: object) -> dict[str, object]:
    return {"index": 0, "logprobs": None, "finish_reason": None, **fields}


def _chat(kind: str, **fields: object) -> dict[str, object]:
    return {"id": "chatcmpl-bench", "object": kind, "created": 1_760_000_000, "model": MODEL, **fields}


@cache
def stream(chunks: int, *, usage: bool) -> tuple[bytes, ...]:
    """The writes of a streamed answer: one for each text chunk (the head with the first), then the rest."""
    kind = "chat.completion.chunk"
    parts = [
        _event(_chat(kind, choices=[_choice(delta={"role": "assistant", "content": f"w{number} "})]))
        for number in range(chunks)
    ]
    parts[0] = _HEAD % b"text/event-stream" + b"transfer-encoding: chunked\r\n\r\n" + parts[0]
    parts.append(_event(_chat(kind, choices=[_choice(delta={}, finish_reason="stop")])))
    if usage:
        parts.append(_event(_chat(kind, choices=[], usage=_usage(chunks))))
    parts.append(_chunk(b"data: [DONE]\n\n") + _LAST)
    return tuple(parts)


def _event(value: object) -> bytes:
    return _chunk(b"data: " + msgspec.json.encode(value) + b"\n\n")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


_TEXT: Final = " ".join(f"w{number}" for number in range(WORDS))
WHOLE: Final = _reply(
    b"200 OK",
    _chat(
        "chat.completion",
        choices=[_choice(message={"role": "assistant", "content": _TEXT}, finish_reason="stop")],
        usage=_usage(WORDS),
    ),
)
MODELS: Final = _reply(
    b"200 OK",
    {"object": "list", "data": [{"id": MODEL, "object": "model", "created": 1_760_000_000, "owned_by": "bench"}]},
)
NOTHING: Final = _reply(b"404 Not Found", {"error": {"message": "no such path", "type": "invalid_request_error"}})


if __name__ == "__main__":
    main()
