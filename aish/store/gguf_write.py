"""Writing a GGUF file: header, metadata, tensors, padded as llama.cpp expects (version 3, little-endian).

The format is described in ggml's docs/gguf.md. Only what the embedded recipes need: text, whole numbers, decimals,
booleans and lists of them.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import BinaryIO

ALIGNMENT: Final = 32
F32: Final = 0
F16: Final = 1

_U32: Final = 4
_I32: Final = 5
_FLOAT: Final = 6
_BOOL: Final = 7
_TEXT: Final = 8
_LIST: Final = 9

Value = str | int | float | bool | list[str] | list[int]


class Tensor(NamedTuple):
    """`shape` as numpy has it, slowest dimension first; `data` little-endian, C order."""

    name: str
    shape: tuple[int, ...]
    type: int
    data: bytes


def write(stream: BinaryIO, metadata: dict[str, Value], tensors: Sequence[Tensor]) -> None:
    """Write a whole file. The same input gives the same bytes, so that the result can be pinned by its digest."""
    stream.write(struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(metadata)))
    for key, value in metadata.items():
        stream.write(_text(key))
        stream.write(b"".join(_value(value)))
    offset = 0
    for tensor in tensors:
        dimensions = tensor.shape[::-1]
        stream.write(_text(tensor.name))
        stream.write(struct.pack(f"<I{len(dimensions)}Q", len(dimensions), *dimensions))
        stream.write(struct.pack("<IQ", tensor.type, offset))
        offset += len(tensor.data) + _padding(len(tensor.data))
    stream.write(bytes(_padding(stream.tell())))
    for tensor in tensors:
        stream.write(tensor.data)
        stream.write(bytes(_padding(len(tensor.data))))


def _padding(size_bytes: int) -> int:
    return -size_bytes % ALIGNMENT


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(value: Value) -> Iterable[bytes]:
    """A metadata value with its type in front."""
    match value:
        case bool():
            yield struct.pack("<I?", _BOOL, value)
        case int():
            yield struct.pack("<II", _U32, value)
        case float():
            yield struct.pack("<If", _FLOAT, value)
        case str():
            yield struct.pack("<I", _TEXT)
            yield _text(value)
        case list():
            of = _TEXT if value and isinstance(value[0], str) else _I32
            yield struct.pack("<IIQ", _LIST, of, len(value))
            for item in value:
                yield _text(item) if isinstance(item, str) else struct.pack("<i", item)
