"""Reading the head of a GGUF file: what the model is, checked against the size of the file.

A GGUF file is `magic version tensor_count key_count`, key-value pairs, tensor descriptions, padding, tensor data
(ggml's docs/gguf.md). Files come from strangers: each length is compared with what is left in the file before
anything is read or allocated, so that no number in it costs more memory or time than its own bytes.
"""

from __future__ import annotations

import os
import stat
import struct
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

from aish.errors import InputError

if TYPE_CHECKING:
    from typing import BinaryIO

MAGIC: Final = b"GGUF"
VERSIONS: Final = (2, 3)

_TEXT_MOST_BYTES: Final = 16 << 20
"""Chat templates have some ten kilobytes; tokens some bytes."""
_KEYS_MOST: Final = 65_536
_TENSORS_MOST: Final = 1 << 20
_ITEMS_MOST: Final = 1 << 23
"""Over all lists of texts: the largest vocabularies have 300,000 tokens and as many merges."""
_DIMENSIONS_MOST: Final = 4
_CONTEXT_BELOW: Final = 1 << 31
_DEPTH_MOST: Final = 3
_HEAD_BLOCK_BYTES: Final = 1 << 16

_SCALARS: Final = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_SCALAR_BYTES: Final = {kind: struct.calcsize("<" + code) for kind, code in _SCALARS.items()}
_TEXT: Final = 8
_LIST: Final = 9

_BLOCKS: Final = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292),
    16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82),
    23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2),
    34: (256, 54), 35: (256, 66), 39: (32, 17),
}  # fmt: skip
"""ggml type -> (values in a block, bytes of a block), from ggml.h. Newer types are let through unmeasured."""

_FILE_TYPES: Final = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S",
    12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K",
    19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL",
    26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0",
    37: "TQ2_0", 38: "MXFP4",
}  # fmt: skip
"""`general.file_type` -> the name that people use, from llama.h."""


class Listing(NamedTuple):
    """A list value: its items are checked but not kept (a vocabulary has 100,000 of them)."""

    items: int


Value = str | int | float | bool | Listing


class Header(NamedTuple):
    version: int
    metadata: dict[str, Value]
    tensor_count: int
    parameters: int
    """Sum of the tensors' elements."""
    data_offset: int
    size_bytes: int

    def text(self, key: str) -> str | None:
        value = self.metadata.get(key)
        return value if isinstance(value, str) else None

    def number(self, key: str) -> int | None:
        value = self.metadata.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    @property
    def architecture(self) -> str:
        return self.text("general.architecture") or ""

    @property
    def context_tokens(self) -> int | None:
        """What the weights were trained for; None where the file does not say, or says what cannot be."""
        return possible_context(self.number(f"{self.architecture}.context_length"))

    @property
    def chat_template(self) -> str | None:
        return self.text("tokenizer.chat_template")

    @property
    def quantization(self) -> str | None:
        kind = self.number("general.file_type")
        return None if kind is None else _FILE_TYPES.get(kind, f"type {kind}")

    @property
    def embeds(self) -> bool:
        """Whether it was made for embeddings and cannot generate text."""
        return self.metadata.get(f"{self.architecture}.attention.causal") is False


def possible_context(tokens: int | None) -> int | None:
    """`tokens`, or None where no model has such a context: the number is a stranger's, -5 or 2^64-1 for example."""
    return tokens if tokens is not None and 0 < tokens < _CONTEXT_BELOW else None


def read(path: str) -> Header:
    """The head of the file at `path`.

    Raises InputError with field and offset where it is not a whole GGUF file, OSError where it cannot be read.
    """
    with open(path, "rb", buffering=_HEAD_BLOCK_BYTES, opener=_open_now) as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise InputError(f"{path} is not a regular file", field="file", hint="give the path of a GGUF file")
        return _Reader(stream, path).header()


def _open_now(path: str, flags: int) -> int:
    """Without waiting for the other end: opening a FIFO would take until somebody writes into it."""
    return os.open(path, flags | os.O_NONBLOCK)


class _Reader:
    def __init__(self, stream: BinaryIO, path: str) -> None:
        self.stream = stream
        self.path = path
        self.size_bytes = os.fstat(stream.fileno()).st_size
        self.offset = 0
        self.items = 0
        self.field = "magic"

    def header(self) -> Header:
        version, tensor_count, key_count = self._preamble()
        metadata: dict[str, Value] = {}
        for number in range(key_count):
            self.field = f"key {number + 1} of {key_count}"
            key = self._text()
            if not key or key in metadata:
                self._fail(f"the key {key[:80]!r} is there twice" if key else "the key is empty")
            self.field = key[:80]
            metadata[key] = self._value(self._u32())
        if not isinstance(metadata.get("general.architecture"), str):
            self.field = "general.architecture"
            self._fail("the key is missing: the file does not say what kind of model it is")
        alignment = metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or alignment < 8 or alignment > 1 << 20 or alignment & (alignment - 1):
            self.field = "general.alignment"
            self._fail(f"must be a power of two from 8 to {1 << 20}, not {alignment!r}")
        parameters, end = self._tensors(tensor_count, alignment)
        data_offset = -(-self.offset // alignment) * alignment
        if data_offset + end > self.size_bytes:
            self.field = "tensor data"
            missing = data_offset + end - self.size_bytes
            self._fail(f"the file ends {missing:,} bytes too early: an incomplete download?")
        return Header(version, metadata, tensor_count, parameters, data_offset, self.size_bytes)

    def _preamble(self) -> tuple[int, int, int]:
        magic = self._take(4)
        if magic != MAGIC:
            self.offset = 0
            self._fail(f"expected {MAGIC!r}, found {magic!r}: this is not a GGUF file")
        self.field = "version"
        version = self._u32()
        if version not in VERSIONS:
            if int.from_bytes(struct.pack("<I", version), "big") in VERSIONS:
                self._fail("the file is big-endian, for another kind of machine")
            self._fail(f"version {version} is not known (known: 2 and 3)")
        self.field = "tensor count"
        tensor_count = self._u64()
        if tensor_count > _TENSORS_MOST:
            self._fail(f"{tensor_count:,} tensors are more than {_TENSORS_MOST:,}")
        self.field = "key count"
        key_count = self._u64()
        if key_count > _KEYS_MOST:
            self._fail(f"{key_count:,} keys are more than {_KEYS_MOST:,}")
        return version, tensor_count, key_count

    def _value(self, kind: int, depth: int = 0) -> Value:
        if kind in _SCALARS:
            value: int | float | bool = struct.unpack("<" + _SCALARS[kind], self._take(_SCALAR_BYTES[kind]))[0]
            return value
        if kind == _TEXT:
            return self._text()
        if kind != _LIST:
            self._fail(f"value type {kind} is not known")
        return self._list(depth)

    def _list(self, depth: int) -> Listing:
        if depth == _DEPTH_MOST:
            self._fail(f"lists are nested more than {_DEPTH_MOST} deep")
        kind, count = self._u32(), self._u64()
        if kind in _SCALARS:
            self._skip(count * _SCALAR_BYTES[kind])
            return Listing(count)
        if kind not in (_TEXT, _LIST):
            self._fail(f"list of value type {kind}, which is not known")
        least_bytes = 8 if kind == _TEXT else 12
        if count * least_bytes > self.size_bytes - self.offset:
            self._fail(f"a list of {count:,} items does not fit into the rest of the file")
        self.items += count
        if self.items > _ITEMS_MOST:
            self._fail(f"{self.items:,} list items are more than {_ITEMS_MOST:,}")
        for _ in range(count):
            if kind == _TEXT:
                self._skip(self._u64())
            else:
                self._list(depth + 1)
        return Listing(count)

    def _tensors(self, count: int, alignment: int) -> tuple[int, int]:
        """Check all descriptions; (sum of elements, end of the last tensor within the data)."""
        names: set[str] = set()
        parameters = end = 0
        for number in range(count):
            self.field = f"tensor {number + 1} of {count}"
            name = self._text()
            if name in names:
                self._fail(f"the tensor {name[:80]!r} is there twice")
            names.add(name)
            self.field = f"tensor {name[:80]}"
            dimensions = self._u32()
            if dimensions > _DIMENSIONS_MOST:
                self._fail(f"{dimensions:,} dimensions are more than {_DIMENSIONS_MOST}")
            elements = 1
            for _ in range(dimensions):
                elements *= self._u64()
            kind, at = self._u32(), self._u64()
            if at % alignment:
                self._fail(f"its data begins at {at:,}, which is no multiple of {alignment}")
            size_bytes = self._tensor_bytes(kind, elements)
            if at + size_bytes > self.size_bytes:
                self._fail(
                    f"its data ({size_bytes:,} bytes at {at:,}) is not within the file of {self.size_bytes:,}: "
                    "an incomplete download?"
                )
            parameters += elements
            end = max(end, at + size_bytes)
        return parameters, end

    def _tensor_bytes(self, kind: int, elements: int) -> int:
        if kind not in _BLOCKS:
            return 0
        per_block, block_bytes = _BLOCKS[kind]
        if elements % per_block:
            self._fail(f"{elements:,} elements are no multiple of its type's block of {per_block}")
        return elements // per_block * block_bytes

    def _text(self) -> str:
        length = self._u64()
        if length > _TEXT_MOST_BYTES:
            self._fail(f"a text of {length:,} bytes is longer than {_TEXT_MOST_BYTES:,}")
        return self._take(length).decode(errors="replace")

    def _u32(self) -> int:
        return int.from_bytes(self._take(4), "little")

    def _u64(self) -> int:
        return int.from_bytes(self._take(8), "little")

    def _take(self, count: int) -> bytes:
        if count > self.size_bytes - self.offset:
            self._fail(f"{count:,} bytes are wanted, {self.size_bytes - self.offset:,} are left")
        data = self.stream.read(count)
        if len(data) != count:
            self._fail("the file became shorter while it was read")
        self.offset += count
        return data

    def _skip(self, count: int) -> None:
        if count <= 64:
            self._take(count)
            return
        if count > self.size_bytes - self.offset:
            self._fail(f"{count:,} bytes are wanted, {self.size_bytes - self.offset:,} are left")
        self.offset += count
        self.stream.seek(self.offset)

    def _fail(self, what: str) -> NoReturn:
        raise InputError(
            f"{self.path}: byte {self.offset:,}, {self.field}: {what}",
            field=self.field,
            hint="the file is damaged or not a GGUF model: get it again, and compare its checksum",
        )
