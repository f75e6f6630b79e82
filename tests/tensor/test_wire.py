"""The codec: what goes out comes back, and no bytes at all get past it as something else."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aish.tensor import wire
from aish.tensor.dtypes import TABLE, Dtype
from aish.tensor.errors import WireError

U16, U32, U64 = (st.integers(0, 2**bits - 1) for bits in (16, 32, 64))
STORED = [dtype for dtype in TABLE if dtype.storage]


@st.composite
def descriptions(draw: st.DrawFn, limit_bytes: int = 1 << 40) -> wire.Description:
    dtype = draw(st.sampled_from(STORED))
    shape: list[int] = []
    nbytes = dtype.item_bytes
    for dimension in draw(st.lists(st.integers(1, 300), max_size=wire.NDIM_LIMIT)):
        if nbytes * dimension > limit_bytes:
            break
        nbytes *= dimension
        shape.append(dimension)
    return wire.Description(
        draw(U64),
        nbytes,
        draw(U64),
        draw(st.binary(min_size=16, max_size=16)),
        draw(st.sampled_from([0, wire.FLAG_MORE])),
        dtype,
        tuple(shape),
        draw(st.text(max_size=20)),
        draw(st.binary(max_size=wire.META_BYTES)),
    )


@st.composite
def inlines(draw: st.DrawFn) -> wire.Inline:
    what = draw(descriptions(wire.INLINE_BYTES))
    return wire.Inline(what, draw(st.binary(min_size=what.nbytes, max_size=what.nbytes)))


MESSAGES = st.one_of(
    st.builds(
        wire.Hello, U32, st.integers(1, 64), st.integers(1, 1 << 48), st.just("float32,bfloat16"), st.just("cpu")
    ),
    st.builds(wire.NewSeg, U32, st.just(0), st.integers(1, 1 << 48), st.binary(min_size=16, max_size=16)),
    st.builds(wire.Tensor, U32, U32, st.integers(0, 1 << 40).map(lambda n: n * 64), descriptions()),
    inlines(),
    st.builds(wire.Credit, st.lists(U32, min_size=1, max_size=64).map(tuple)),
    st.builds(wire.DropSeg, U32),
    st.just(wire.Cancel()),
    st.builds(wire.Error, st.text(max_size=8), st.text(max_size=200)),
    st.builds(wire.Eof, U64),
)


def tensor(**changes: object) -> wire.Tensor:
    what = wire.Description(0, 48, 0, bytes(16), 0, dtype("float32"), (3, 4), "", b"")
    return wire.Tensor(0, 0, 0, what._replace(**changes))  # type: ignore[arg-type]


def dtype(name: str) -> Dtype:
    return next(d for d in TABLE if d.name == name)


@given(MESSAGES)
def test_every_message_survives_the_wire(message: wire.Message) -> None:
    datagram = wire.encode(message)
    assert len(datagram) <= wire.DATAGRAM_BYTES
    assert wire.decode(datagram) == message


@settings(max_examples=400)
@given(st.binary(max_size=400))
def test_garbage_is_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        wire.decode(data)


@settings(max_examples=400)
@given(MESSAGES, st.data())
def test_a_damaged_message_is_refused_or_still_a_message(message: wire.Message, data: st.DataObject) -> None:
    """Never another exception, and never a description that lies about its own size."""
    datagram = bytearray(wire.encode(message))
    for _ in range(data.draw(st.integers(1, 4))):
        datagram[data.draw(st.integers(0, len(datagram) - 1))] = data.draw(st.integers(0, 255))
    try:
        read = wire.decode(bytes(datagram))
    except WireError:
        return
    if isinstance(read, wire.Tensor | wire.Inline):
        count = 1
        for dimension in read.what.shape:
            count *= dimension
        assert count * read.what.dtype.item_bytes == read.what.nbytes


@given(MESSAGES, st.integers(0, 400))
def test_a_cut_message_is_refused(message: wire.Message, keep: int) -> None:
    datagram = wire.encode(message)
    cut = bytearray(datagram[: min(keep, len(datagram) - 1)])
    with pytest.raises(WireError):
        wire.decode(bytes(cut))
    if len(cut) >= 8:
        struct.pack_into("<I", cut, 4, len(cut))  # even where the length was made to agree
        with pytest.raises(WireError):
            wire.decode(bytes(cut))


@given(MESSAGES)
def test_bytes_after_a_message_are_refused(message: wire.Message) -> None:
    longer = bytearray(wire.encode(message) + b"\0")
    struct.pack_into("<I", longer, 4, len(longer))
    with pytest.raises(WireError):
        wire.decode(bytes(longer))


def test_the_largest_message_fits_a_datagram() -> None:
    what = wire.Description(
        1, 8192, 1, bytes(16), 0, dtype("uint8"), (1,) * 31 + (8192,), "k" * 256, b"m" * wire.META_BYTES
    )
    assert len(wire.encode(wire.Inline(what, bytes(8192)))) <= wire.DATAGRAM_BYTES


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("nbytes", {"nbytes": 47}),
        ("nbytes", {"nbytes": 0}),
        ("shape", {"shape": (2**62, 2**62)}),
        ("shape", {"shape": (0, 2**62, 2**62), "nbytes": 0}),
        ("nbytes", {"shape": (0, 4)}),
        ("flags", {"flags": 6}),
        ("dtype", {"dtype": Dtype("float32", 2, 64, None, "float64")}),
        ("dtype", {"dtype": Dtype("float4_e2m1fn", 17, 4, None, None)}),
        ("dtype", {"dtype": Dtype("future", 99, 24, None, None)}),
        ("dtype", {"dtype": Dtype("../../x", 99, 8, None, None)}),
    ],
)
def test_says_which_field_is_wrong(field: str, changes: dict[str, object]) -> None:
    with pytest.raises(WireError) as caught:
        wire.decode(wire.encode(tensor(**changes)))
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("at", "value", "field"),
    [(0, 2, "version"), (2, 1, "header"), (1, 77, "type"), (1, 0, "type"), (4, 9, "length")],
)
def test_says_which_part_of_the_header_is_wrong(at: int, value: int, field: str) -> None:
    datagram = bytearray(wire.encode(tensor()))
    datagram[at] = value
    with pytest.raises(WireError) as caught:
        wire.decode(bytes(datagram))
    assert caught.value.field == field


def test_another_version_says_what_to_do() -> None:
    with pytest.raises(WireError, match="version 9") as caught:
        wire.decode(b"\x09" + wire.encode(wire.Cancel())[1:])
    assert caught.value.hint


def test_an_element_type_of_a_newer_writer_is_readable_as_integers() -> None:
    future = Dtype("float16_e6m9", 40, 16, None, None)
    what = wire.Description(0, 8, 0, bytes(16), 0, future, (4,), "", b"")
    read = wire.decode(wire.encode(wire.Inline(what, bytes(8))))
    assert isinstance(read, wire.Inline)
    assert (read.what.dtype.name, read.what.dtype.storage) == ("float16_e6m9", "uint16")


@pytest.mark.parametrize("slots", [(), tuple(range(65))])
def test_credits_are_bounded(slots: tuple[int, ...]) -> None:
    with pytest.raises(WireError):
        wire.decode(wire.encode(wire.Credit(slots)))


def test_what_does_not_fit_is_refused_before_it_is_sent() -> None:
    with pytest.raises(WireError, match="meta"):
        wire.encode(tensor(meta=b"x" * 2049))
    with pytest.raises(WireError, match="key"):
        wire.encode(tensor(key="k" * 257))
    with pytest.raises(WireError, match="range"):
        wire.encode(wire.Eof(-1))
    with pytest.raises(WireError, match="33 dimensions"):
        wire.encode(tensor(shape=(1,) * 33))
