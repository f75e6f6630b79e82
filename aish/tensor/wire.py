"""The words that the two ends of an edge exchange: a pure codec. No sockets, no memory, no numpy.

One message is one datagram of a SOCK_SEQPACKET socket, little-endian, at most 16 KiB:

    header   version u8 · type u8 · reserved u16 (0) · length u32 (of the whole datagram)
    HELLO    features u32 · depth u16 · 2 lengths u16 · byte budget u64 · dtype names · device names (with commas)
    NEWSEG   segment u32 · kind u8 · 3 x 0 · size u64 · device uuid 16 B        + exactly one file descriptor
    TENSOR   segment u32 · slot u32 · offset u64 · description
    INLINE   description · the elements themselves (no slot, no credit)
    CREDIT   count u16 · slots u32 ...
    DROPSEG  segment u32
    CANCEL   (nothing)
    ERROR    2 lengths u16 · reason · message
    EOF      count u64: tensors sent, INLINE included

    description: seq u64 · nbytes u64 · time (CLOCK_MONOTONIC, ns) u64 · trace 16 B · flags u16 · dtype code u8 ·
                 bits u8 · lanes u8 · ndim u8 · 4 lengths u16: dtype name, key, meta, payload · shape u64 ... ·
                 dtype name · key · meta

Elements lie in C order: a writer that has another order copies. Every length, count and flag is checked before it is
used, a product of dimensions is compared with the bytes that came with it, and whatever is left over or unknown is
refused with WireError: the other end may be any program.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from aish.tensor.dtypes import BY_NAME, opaque
from aish.tensor.errors import WireError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.tensor.dtypes import Dtype

__all__ = [
    "DATAGRAM_BYTES",
    "DEPTH_LIMIT",
    "FLAG_MORE",
    "INLINE_BYTES",
    "KEY_BYTES",
    "KIND_MEMFD",
    "META_BYTES",
    "NDIM_LIMIT",
    "VERSION",
    "Cancel",
    "Credit",
    "Description",
    "DropSeg",
    "Eof",
    "Error",
    "Hello",
    "Inline",
    "Message",
    "NewSeg",
    "Tensor",
    "decode",
    "encode",
]

VERSION = 1
DATAGRAM_BYTES = 16 * 1024
INLINE_BYTES = 8 * 1024
META_BYTES = 2 * 1024
KEY_BYTES = 256
NAME_BYTES = 32
LIST_BYTES = 1024
TEXT_BYTES = 1024
DEPTH_LIMIT = 64
NDIM_LIMIT = 32
SEGMENT_BYTES_LIMIT = 1 << 48
SLOT_ALIGN_BYTES = 64

FLAG_MORE = 1  # another tensor of the same dict follows
FLAGS = FLAG_MORE

KIND_MEMFD = 0  # cuda_vmm and dmabuf are for later versions

_HEADER = struct.Struct("<BBHI")
_HELLO_BODY = struct.Struct("<IHHHQ")
_NEWSEG_BODY = struct.Struct("<IB3xQ16s")
_PLACE = struct.Struct("<IIQ")
_DESCRIPTION = struct.Struct("<QQQ16sHBBBBHHHH")
_SHAPES = tuple(struct.Struct(f"<{ndim}Q") for ndim in range(NDIM_LIMIT + 1))
_COUNT = struct.Struct("<H")
_U32 = struct.Struct("<I")
_LENGTHS = struct.Struct("<HH")
_U64 = struct.Struct("<Q")


class _Type:
    """The numbers of the messages on the wire."""

    HELLO, NEWSEG, TENSOR, INLINE, CREDIT, DROPSEG, CANCEL, ERROR, EOF = range(1, 10)


class Hello(NamedTuple):
    """First word of each end. `depth` and `byte_budget` are the sender's bounds: the smaller of both hold."""

    features: int
    depth: int
    byte_budget: int
    dtypes: str
    devices: str


class NewSeg(NamedTuple):
    """A segment of `size` bytes whose descriptor travels with this datagram."""

    segment: int
    kind: int
    size: int
    device: bytes


class Description(NamedTuple):
    """What a tensor is, wherever its elements are. `meta` is UTF-8 JSON (an object) or empty."""

    seq: int
    nbytes: int
    time_ns: int
    trace: bytes
    flags: int
    dtype: Dtype
    shape: tuple[int, ...]
    key: str
    meta: bytes


class Tensor(NamedTuple):
    """Elements in a slot of a segment; the reader gives the slot back with a credit."""

    segment: int
    slot: int
    offset: int
    what: Description


class Inline(NamedTuple):
    """Elements in the datagram itself."""

    what: Description
    payload: bytes


class Credit(NamedTuple):
    """Slots that no view of the reader needs any longer."""

    slots: tuple[int, ...]


class DropSeg(NamedTuple):
    """The writer forgot this segment; no view of it is held."""

    segment: int


class Cancel(NamedTuple):
    """The reader wants no more; not a fault."""


class Error(NamedTuple):
    """The sender failed, and says why. `reason` is a stable word."""

    reason: str
    message: str


class Eof(NamedTuple):
    """The writer is done after that many tensors."""

    tensors: int


Message = Hello | NewSeg | Tensor | Inline | Credit | DropSeg | Cancel | Error | Eof


def encode(message: Message) -> bytes:
    """The datagram of that message. Raises WireError where a field is out of its bounds."""
    try:
        kind, body = _body(message)
    except (struct.error, OverflowError) as error:
        raise WireError(f"{type(message).__name__} has a field out of range: {error}") from error
    length = _HEADER.size + len(body)
    if length > DATAGRAM_BYTES:
        raise WireError(f"{type(message).__name__} of {length} bytes exceeds the datagram of {DATAGRAM_BYTES}")
    return _HEADER.pack(VERSION, kind, 0, length) + body


def _body(message: Message) -> tuple[int, bytes]:
    match message:
        case Tensor(segment, slot, offset, what):
            return _Type.TENSOR, _PLACE.pack(segment, slot, offset) + _pack_description(what, 0)
        case Inline(what, payload):
            return _Type.INLINE, _pack_description(what, len(payload)) + payload
        case Credit(slots):
            return _Type.CREDIT, struct.pack(f"<H{len(slots)}I", len(slots), *slots)
        case NewSeg(segment, kind, size, device):
            return _Type.NEWSEG, _NEWSEG_BODY.pack(segment, kind, size, device)
        case Hello(features, depth, byte_budget, dtypes, devices):
            lists = (_encoded(dtypes, LIST_BYTES, "dtypes"), _encoded(devices, LIST_BYTES, "devices"))
            head = _HELLO_BODY.pack(features, depth, len(lists[0]), len(lists[1]), byte_budget)
            return _Type.HELLO, head + lists[0] + lists[1]
        case DropSeg(segment):
            return _Type.DROPSEG, _U32.pack(segment)
        case Cancel():
            return _Type.CANCEL, b""
        case Error(reason, text):
            texts = (_encoded(reason, NAME_BYTES, "reason"), _encoded(text, TEXT_BYTES, "message"))
            return _Type.ERROR, _LENGTHS.pack(len(texts[0]), len(texts[1])) + texts[0] + texts[1]
        case Eof(tensors):
            return _Type.EOF, _U64.pack(tensors)


def _encoded(text: str, limit_bytes: int, field: str) -> bytes:
    data = text.encode("utf-8", "surrogateescape")
    if len(data) > limit_bytes:
        raise WireError(f"{len(data)} bytes, at most {limit_bytes} fit", field=field)
    return data


def _pack_description(what: Description, payload_bytes: int) -> bytes:
    name = _encoded(what.dtype.name, NAME_BYTES, "dtype")
    key = _encoded(what.key, KEY_BYTES, "key")
    if len(what.meta) > META_BYTES:
        raise WireError(f"{len(what.meta)} bytes, at most {META_BYTES} fit", field="meta")
    if len(what.shape) > NDIM_LIMIT:
        raise WireError(f"{len(what.shape)} dimensions, at most {NDIM_LIMIT}", field="shape")
    head = _DESCRIPTION.pack(
        what.seq,
        what.nbytes,
        what.time_ns,
        what.trace,
        what.flags,
        what.dtype.code,
        what.dtype.bits,
        1,
        len(what.shape),
        len(name),
        len(key),
        len(what.meta),
        payload_bytes,
    )
    return b"".join((head, _SHAPES[len(what.shape)].pack(*what.shape), name, key, what.meta))


def decode(datagram: bytes) -> Message:
    """The message in that datagram. Raises WireError, naming the field, for anything that is not exactly one."""
    if len(datagram) < _HEADER.size:
        raise WireError(f"{len(datagram)} bytes, a header has {_HEADER.size}", field="header")
    if len(datagram) > DATAGRAM_BYTES:
        raise WireError(f"{len(datagram)} bytes, at most {DATAGRAM_BYTES}", field="length")
    version, kind, reserved, length = _HEADER.unpack_from(datagram)
    if version != VERSION:
        raise WireError(
            f"wire version {version}, this end speaks {VERSION}",
            field="version",
            hint="both stages must use the same aish.tensor: upgrade the older one",
        )
    if reserved != 0:
        raise WireError(f"reserved bits are {reserved:#x}, expected 0", field="header")
    if length != len(datagram):
        raise WireError(f"says {length} bytes, came with {len(datagram)}", field="length")
    cursor = _Cursor(datagram, _HEADER.size)
    message = _decode_body(kind, cursor)
    if cursor.at != len(datagram):
        raise WireError(f"{len(datagram) - cursor.at} bytes too many", field="length")
    return message


class _Cursor:
    """A position in a datagram that cannot leave it."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes, at: int) -> None:
        self.data = data
        self.at = at

    def unpack(self, layout: struct.Struct, field: str) -> tuple[int, ...]:
        if self.at + layout.size > len(self.data):
            raise WireError(f"ends {self.at + layout.size - len(self.data)} bytes early", field=field)
        values = layout.unpack_from(self.data, self.at)
        self.at += layout.size
        return values

    def take(self, count: int, limit: int, field: str) -> bytes:
        if count > limit:
            raise WireError(f"{count} bytes, at most {limit}", field=field)
        if self.at + count > len(self.data):
            raise WireError(f"ends {self.at + count - len(self.data)} bytes early", field=field)
        part = self.data[self.at : self.at + count]
        self.at += count
        return part

    def text(self, count: int, limit: int, field: str) -> str:
        try:
            return self.take(count, limit, field).decode("utf-8", "surrogateescape")
        except UnicodeDecodeError as error:  # pragma: no cover - surrogateescape takes every byte
            raise WireError(f"is not UTF-8: {error.reason}", field=field) from error


def _decode_body(kind: int, cursor: _Cursor) -> Message:
    match kind:
        case _Type.TENSOR:
            segment, slot, offset = cursor.unpack(_PLACE, "place")
            if offset % SLOT_ALIGN_BYTES:
                raise WireError(f"{offset} is not a multiple of {SLOT_ALIGN_BYTES}", field="offset")
            what, payload_bytes = _decode_description(cursor)
            if payload_bytes:
                raise WireError("TENSOR carries a payload", field="payload")
            if not what.nbytes:
                raise WireError("TENSOR is empty: expected INLINE", field="nbytes")
            return Tensor(segment, slot, offset, what)
        case _Type.INLINE:
            what, payload_bytes = _decode_description(cursor)
            if payload_bytes != what.nbytes:
                raise WireError(f"{payload_bytes} bytes for {what.nbytes} of elements", field="payload")
            return Inline(what, cursor.take(payload_bytes, INLINE_BYTES, "payload"))
        case _Type.CREDIT:
            (count,) = cursor.unpack(_COUNT, "count")
            if not 0 < count <= DEPTH_LIMIT:
                raise WireError(f"{count} slots, expected 1 to {DEPTH_LIMIT}", field="count")
            return Credit(cursor.unpack(struct.Struct(f"<{count}I"), "slots"))
        case _Type.NEWSEG:
            return _decode_newseg(cursor)
        case _Type.HELLO:
            return _decode_hello(cursor)
        case _Type.DROPSEG:
            return DropSeg(cursor.unpack(_U32, "segment")[0])
        case _Type.CANCEL:
            return Cancel()
        case _Type.ERROR:
            reason, text = cursor.unpack(_LENGTHS, "lengths")
            return Error(cursor.text(reason, NAME_BYTES, "reason"), cursor.text(text, TEXT_BYTES, "message"))
        case _Type.EOF:
            return Eof(cursor.unpack(_U64, "count")[0])
        case _:
            raise WireError(f"unknown message type {kind}", field="type")


def _decode_hello(cursor: _Cursor) -> Hello:
    features, depth, dtypes, devices, byte_budget = cursor.unpack(_HELLO_BODY, "hello")
    if not 0 < depth <= DEPTH_LIMIT:
        raise WireError(f"{depth}, expected 1 to {DEPTH_LIMIT}", field="depth")
    if not 0 < byte_budget <= SEGMENT_BYTES_LIMIT:
        raise WireError(f"{byte_budget}, expected 1 to {SEGMENT_BYTES_LIMIT}", field="byte budget")
    names = cursor.text(dtypes, LIST_BYTES, "dtypes")
    return Hello(features, depth, byte_budget, names, cursor.text(devices, LIST_BYTES, "devices"))


def _decode_newseg(cursor: _Cursor) -> NewSeg:
    start = cursor.at
    segment, kind, size, _ = cursor.unpack(_NEWSEG_BODY, "segment")
    if kind != KIND_MEMFD:
        raise WireError(f"memory of kind {kind}, this end takes {KIND_MEMFD} (memfd)", field="kind")
    if not 0 < size <= SEGMENT_BYTES_LIMIT:
        raise WireError(f"{size} bytes, expected 1 to {SEGMENT_BYTES_LIMIT}", field="size")
    if any(cursor.data[start + 5 : start + 8]):
        raise WireError("padding is not 0", field="segment")
    return NewSeg(segment, kind, size, cursor.data[cursor.at - 16 : cursor.at])


def _decode_description(cursor: _Cursor) -> tuple[Description, int]:
    """The description and the payload's length, which is the caller's to check."""
    start = cursor.at
    values = cursor.unpack(_DESCRIPTION, "description")
    seq, nbytes, time_ns, _, flags, code, bits, lanes, ndim, name_bytes, key_bytes, meta_bytes, payload_bytes = values
    if flags & ~FLAGS:
        raise WireError(f"unknown flags {flags & ~FLAGS:#x}", field="flags")
    if lanes != 1:
        raise WireError(f"{lanes} lanes, this end takes 1", field="lanes")
    if ndim > NDIM_LIMIT:
        raise WireError(f"{ndim} dimensions, at most {NDIM_LIMIT}", field="ndim")
    shape = cursor.unpack(_SHAPES[ndim], "shape")
    name = cursor.text(name_bytes, NAME_BYTES, "dtype")
    dtype = _dtype(name, code, bits)
    key = cursor.text(key_bytes, KEY_BYTES, "key")
    meta = cursor.take(meta_bytes, META_BYTES, "meta")
    _check_size(shape, dtype, nbytes)
    trace = cursor.data[start + 24 : start + 40]
    return Description(seq, nbytes, time_ns, trace, flags, dtype, shape, key, meta), payload_bytes


def _dtype(name: str, code: int, bits: int) -> Dtype:
    known = BY_NAME.get(name)
    if known is None:
        if not (name.isascii() and name.replace("_", "").isalnum()):
            raise WireError(f"{name!r} is not the name of a dtype", field="dtype")
        unknown = opaque(name, code, bits)
        if unknown is None:
            raise WireError(f"{name} of {bits} bits fits no integer of this end", field="dtype")
        return unknown
    if known.storage is None or (known.code, known.bits) != (code, bits):
        raise WireError(f"{name} has code {known.code} and {known.bits} bits, not {code} and {bits}", field="dtype")
    return known


def _check_size(shape: tuple[int, ...], dtype: Dtype, nbytes: int) -> None:
    """A shape whose bytes are not `nbytes` is refused; Python's integers do not overflow.

    numpy multiplies the dimensions other than 0 as well, so (0, 2**62, 2**62) is refused too.
    """
    extent = dtype.item_bytes
    for dimension in shape:
        extent *= dimension or 1
    if extent > SEGMENT_BYTES_LIMIT:
        raise WireError(f"{'x'.join(map(str, shape))} is too large", field="shape")
    expected = 0 if 0 in shape else extent
    if expected != nbytes:
        raise WireError(f"{nbytes} bytes for a shape of {expected}", field="nbytes")
