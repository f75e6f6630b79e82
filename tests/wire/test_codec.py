"""Messages: what goes in comes out; what is malformed is an InputError with the field, whatever the bytes."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aish.errors import InputError
from aish.wire import codec, message, spec


def test_arguments_of_any_bytes_survive() -> None:
    spawn = message.Spawn(
        token="0" * 32,
        spec=spec.SpecPart(argv=[b"/bin/echo", bytes(range(1, 256))], cwd=b"/\xff"),
        launch=spec.LaunchPart(environ=[b"A=\xfe"], rlimits={"NOFILE": (1024, -1)}),
        targets=[0, 1, 2],
    )
    assert codec.decode_request(codec.encode(spawn)) == spawn


@given(st.binary(max_size=400))
def test_junk_is_an_input_error(body: bytes) -> None:
    for decode in (
        codec.decode_request,
        codec.decode_reply,
        codec.decode_from_daemon,
        codec.decode_from_gateway,
    ):
        with pytest.raises(InputError):
            decode(body)


@settings(max_examples=300)
@given(st.data())
def test_a_flipped_byte_is_an_input_error_or_another_message(data: st.DataObject) -> None:
    body = bytearray(codec.encode(message.Wait(target="p1", timeout_s=1.5)))
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        codec.decode_request(bytes(body))
    except InputError:
        pass


def test_a_wrong_type_names_its_field() -> None:
    body = msgspec.msgpack.encode({"op": "Wait", "target": 7})
    with pytest.raises(InputError, match=r"\$\.target"):
        codec.decode_request(body)


def test_nesting_bombs_are_refused() -> None:
    with pytest.raises(InputError):
        codec.decode_request(b"\x81\xa2op" + b"\x91" * 200_000)


@pytest.mark.parametrize("request_", [message.Stop(target="\udcff"), message.Events(since=1 << 64)])
def test_what_cannot_be_said_is_an_input_error(request_: message.Message) -> None:
    """`aish stop $'\\xff'` was 'a fault in aish'."""
    with pytest.raises(InputError, match=r"not UTF-8: \\xff|larger than 64 bits"):
        codec.encode(request_)
