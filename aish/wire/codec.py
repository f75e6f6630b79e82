"""Messages to bytes and back. What cannot be encoded, and bad bytes, raise InputError, nothing else."""

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
    """Raises InputError: a name on a command line may be no UTF-8, a number there longer than 64 bits."""
    try:
        return _encoder.encode(message)
    except OverflowError as error:
        raise InputError("a number is larger than 64 bits", hint="give a smaller one") from error
    except UnicodeEncodeError as error:
        text = error.object.encode(errors="surrogateescape").decode(errors="backslashreplace")
        raise InputError(f"not UTF-8: {text[:80]}", hint="names and words for aish itself are UTF-8") from error


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
