"""Messages to bytes and back. Decoding bad bytes raises InputError with the field, nothing else."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from aish.errors import InputError
from aish.wire.link import FromDaemon, FromGateway
from aish.wire.message import Message, Reply, Request

_encoder: Final = msgspec.msgpack.Encoder()
_request: Final[msgspec.msgpack.Decoder[Request]] = msgspec.msgpack.Decoder(Request)
_reply: Final[msgspec.msgpack.Decoder[Reply]] = msgspec.msgpack.Decoder(Reply)
_from_daemon: Final[msgspec.msgpack.Decoder[FromDaemon]] = msgspec.msgpack.Decoder(FromDaemon)
_from_gateway: Final[msgspec.msgpack.Decoder[FromGateway]] = msgspec.msgpack.Decoder(FromGateway)


def encode(message: Message) -> bytes:
    return _encoder.encode(message)


def decode_request(body: bytes) -> Request:
    with _Refused():
        return _request.decode(body)


def decode_reply(body: bytes) -> Reply:
    with _Refused():
        return _reply.decode(body)


def decode_from_daemon(body: bytes) -> FromDaemon:
    with _Refused():
        return _from_daemon.decode(body)


def decode_from_gateway(body: bytes) -> FromGateway:
    with _Refused():
        return _from_gateway.decode(body)


class _Refused:
    """What msgspec says of malformed bytes, as our error."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> Literal[False]:
        if isinstance(error, (msgspec.DecodeError, RecursionError, UnicodeDecodeError)):
            raise InputError(f"malformed message: {error}", hint="see docs/protocol.md") from error
        return False
