"""Safetensors: a header of JSON, then the elements.

    u64 length of the header (little-endian)
    JSON {"name": {"dtype": .., "shape": .., "data_offsets": [begin, end]}, "__metadata__": {"text": "text"}}
    elements, in C order, without gaps

Why an own reader and not the `safetensors` package: `ls` must answer from the header alone without numpy or torch
(the package hands out arrays of one of them), the errors must name file, field and what was expected, stat and knn
read blocks with pread so that a file that is truncated meanwhile is an error (the package maps it: SIGBUS), and
bfloat16 and fp8 must be readable with no torch. What is accepted is tested against the package.

Checked before anything is used, as the format demands: the header's length against the file, the JSON's types, each
product of dimensions against its offsets, and that the tensors cover the data exactly: no overlap, no gap.
"""

from __future__ import annotations

import json

from aish.tensor.bytefile import ByteFile
from aish.tensor.dtypes import BY_SAFETENSORS
from aish.tensor.entry import NDIM_LIMIT, Entry, extent_bytes
from aish.tensor.errors import DataError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

__all__ = ["SafetensorsFile", "parse_header"]

# The reference takes 100 MB; parsed, that is gigabytes of Python objects. The largest header of a published model
# that we know of has a few MiB.
HEADER_BYTES_LIMIT = 32 << 20
_FIELDS = {"dtype", "shape", "data_offsets"}


class SafetensorsFile:
    """An open file whose header was checked."""

    format = "safetensors"

    def __init__(self, file: ByteFile) -> None:
        """Takes over `file`. Raises DataError."""
        self._file = file
        self.path = file.path
        if file.size < 8:
            raise DataError(f"{file.size} bytes, expected at least 8", file=file.path, field="header length")
        length = int.from_bytes(file.read(0, 8, "header length"), "little")
        if length > file.size - 8:
            raise DataError(
                f"says {length} bytes, the file has {file.size - 8} after it", file=file.path, field="header length"
            )
        if length > HEADER_BYTES_LIMIT:
            raise DataError(
                f"{length} bytes, at most {HEADER_BYTES_LIMIT} are read", file=file.path, field="header length"
            )
        header = file.read(8, length, "header")
        self._start = 8 + length
        self.entries, self.metadata = parse_header(header, file.size - self._start, file.path)

    def blocks(self, entry: Entry, unit_bytes: int, block_bytes: int) -> Iterator[memoryview]:
        """See TensorFile."""
        assert entry.offset is not None
        return self._file.blocks(self._start + entry.offset, entry.nbytes, unit_bytes, block_bytes, entry.key)

    def close(self) -> None:
        """See TensorFile."""
        self._file.close()


def parse_header(header: bytes, data_bytes: int, path: str) -> tuple[tuple[Entry, ...], dict[str, str]]:
    """The tensors, by offset (which counts from the end of the header), and the metadata. Pure. Raises DataError."""
    parsed = _load(header, path)
    metadata = parsed.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise DataError("expected an object of strings", file=path, field="__metadata__")
    entries = [_entry(key, value, data_bytes, path) for key, value in parsed.items()]
    entries.sort(key=_place)
    end = 0
    before = "the header"
    for entry in entries:
        start = _place(entry)[0]
        if start != end:
            kind = "overlaps" if start < end else "leaves a gap after"
            raise DataError(
                f"begins at {start} and {kind} {before}, which ends at {end}",
                file=path,
                field=f"{entry.key}.data_offsets",
            )
        end = start + entry.nbytes
        before = entry.key
    if end != data_bytes:
        raise DataError(f"the tensors end at {end}, the data at {data_bytes}", file=path, field="data")
    return tuple(entries), metadata


def _place(entry: Entry) -> tuple[int, int]:
    assert entry.offset is not None
    return entry.offset, entry.nbytes


def _load(header: bytes, path: str) -> dict[str, Any]:
    try:
        parsed = json.loads(header.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise DataError(f"not UTF-8 at byte {error.start}", file=path, field="header") from error
    except RecursionError as error:
        raise DataError("nested too deeply", file=path, field="header") from error
    except ValueError as error:
        raise DataError(f"not JSON: {error}", file=path, field="header") from error
    if not isinstance(parsed, dict):
        raise DataError(f"a JSON {type(parsed).__name__}, expected an object", file=path, field="header")
    return parsed


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} is there twice")
    return found


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is no JSON")


def _entry(key: str, value: Any, data_bytes: int, path: str) -> Entry:
    if not isinstance(value, dict) or value.keys() != _FIELDS:
        raise DataError(f"expected an object of {', '.join(sorted(_FIELDS))}", file=path, field=key)
    name = value["dtype"]
    dtype = BY_SAFETENSORS.get(name) if isinstance(name, str) else None
    if dtype is None:
        known = ", ".join(BY_SAFETENSORS)
        raise DataError(f"{name!r} is unknown", file=path, field=f"{key}.dtype", hint=f"known are {known}")
    shape = value["shape"]
    if not _naturals(shape) or len(shape) > NDIM_LIMIT:
        raise DataError(
            f"{_brief(shape)}: expected at most {NDIM_LIMIT} whole numbers", file=path, field=f"{key}.shape"
        )
    offsets = value["data_offsets"]
    if not _naturals(offsets) or len(offsets) != 2:
        raise DataError(f"{_brief(offsets)}: expected [begin, end]", file=path, field=f"{key}.data_offsets")
    begin, end = offsets
    if not begin <= end <= data_bytes:
        raise DataError(
            f"[{begin}, {end}] leaves the data of {data_bytes} bytes", file=path, field=f"{key}.data_offsets"
        )
    expected = extent_bytes(tuple(shape), dtype.bits)
    if expected is None:
        raise DataError(f"{_brief(shape)} of {name} fits no file", file=path, field=f"{key}.shape")
    if end - begin != expected:
        raise DataError(
            f"{end - begin} bytes for {_brief(shape)} of {name}, expected {expected}",
            file=path,
            field=f"{key}.data_offsets",
        )
    return Entry(key, dtype, dtype.name, tuple(shape), expected, begin)


def _naturals(value: Any) -> bool:
    return isinstance(value, list) and all(type(n) is int and 0 <= n < 1 << 63 for n in value)


def _brief(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."
