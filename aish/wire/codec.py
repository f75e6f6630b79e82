"""Messages to bytes and back. What cannot be encoded, and bad bytes, raise InputError, nothing else."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from aish.errors import InputError
from aish.wire.message import Message, Request
from aish.wire.reply import Reply

if TYPE_CHECKING:
    from aish.wire.egress import FromEgress, ToEgress
    from aish.wire.link import FromDaemon, FromGateway

_encoder: Final = msgspec.msgpack.Encoder()


# Each program decodes one or two of these. Making a decoder looks at every field of every message, so it is made when
# it is used: a third of what it takes a client to import this.


@cache
def _requests() -> msgspec.msgpack.Decoder[Request]:
    return msgspec.msgpack.Decoder(Request)


@cache
def _replies() -> msgspec.msgpack.Decoder[Reply]:
    return msgspec.msgpack.Decoder(Reply)


@cache
def _from_daemon() -> msgspec.msgpack.Decoder[FromDaemon]:
    from aish.wire.link import FromDaemon

    return msgspec.msgpack.Decoder(FromDaemon)


@cache
def _from_gateway() -> msgspec.msgpack.Decoder[FromGateway]:
    from aish.wire.link import FromGateway

    return msgspec.msgpack.Decoder(FromGateway)


@cache
def _to_egress() -> msgspec.msgpack.Decoder[ToEgress]:
    from aish.wire.egress import ToEgress

    return msgspec.msgpack.Decoder(ToEgress)


@cache
def _from_egress() -> msgspec.msgpack.Decoder[FromEgress]:
    from aish.wire.egress import FromEgress

    return msgspec.msgpack.Decoder(FromEgress)


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
        return _requests().decode(body)


def decode_reply(body: bytes) -> Reply:
    with _Refused():
        return _replies().decode(body)


def decode_from_daemon(body: bytes) -> FromDaemon:
    with _Refused():
        return _from_daemon().decode(body)


def decode_from_gateway(body: bytes) -> FromGateway:
    with _Refused():
        return _from_gateway().decode(body)


def decode_to_egress(body: bytes) -> ToEgress:
    with _Refused():
        return _to_egress().decode(body)


def decode_from_egress(body: bytes) -> FromEgress:
    with _Refused():
        return _from_egress().decode(body)


class _Refused:
    """What msgspec says of malformed bytes, as our error."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> Literal[False]:
        if isinstance(error, (msgspec.DecodeError, RecursionError, UnicodeDecodeError)):
            raise InputError(f"malformed message: {error}", hint="see docs/protocol.md") from error
        return False
