"""Rows of vectors with labels, from files, from the tensor edge, from lines of text: what `tensor knn` compares.

A tensor of one dimension is one row, one of two is a matrix of rows. Labels: of a stream, the `label` (one row) or
`labels` (a list) in its meta; of a safetensors file, the JSON list `labels` in its metadata; else the tensor's key,
with [row] where it has several.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from aish.tensor.bytefile import ByteFile
from aish.tensor.errors import DataError
from aish.tensor.sources import Address, walk
from aish.tensor.widen import numbers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from numpy.typing import NDArray

    from aish.tensor.sources import Found

    Matrix = NDArray[np.float32]

__all__ = ["Rows", "read_rows"]

_BLOCK_BYTES = 4 << 20
_LINE_BYTES_LIMIT = 16 << 20
_TEXT_STARTS = b"{[+-.0123456789 \t\r\n#"


class Rows:
    """Some rows: `matrix` [rows, dimensions] of float32, not normalised, with one label each, and their `place`."""

    __slots__ = ("labels", "matrix", "place")

    def __init__(self, labels: list[str], matrix: Matrix, place: str) -> None:
        self.labels = labels
        self.matrix = matrix
        self.place = place


def read_rows(text: str, *, dimensions: int | None, rows_limit: int) -> Iterator[Rows]:
    """The rows that the address names, in blocks of a few MiB and at most `rows_limit` rows.

    Raises DataError for another number of dimensions (of the first row, where None) or elements that are no real
    numbers, and what opening and reading raise.
    """
    address = Address(text)
    blocks = _text_rows(address.path) if _is_text(address) else _tensor_rows(address, dimensions, rows_limit)
    for rows in blocks:
        found = rows.matrix.shape[1]
        dimensions = dimensions or found
        if found != dimensions:
            raise DataError(f"{found} dimensions, expected {dimensions}", file=rows.place, hint=_OTHER_MODEL)
        yield rows


_OTHER_MODEL = "queries and index must come from the same embedding model"


def _tensor_rows(address: Address, dimensions: int | None, rows_limit: int) -> Iterator[Rows]:
    for found in walk(address):
        entry = found.entry
        place = f"{found.path}::{entry.key}"
        if len(entry.shape) not in (1, 2):
            raise DataError(f"{len(entry.shape)} dimensions, expected rows of vectors (1 or 2)", file=place)
        if entry.fortran:
            raise DataError(
                "stored column by column",
                file=place,
                hint="save it with numpy.ascontiguousarray, so that rows are whole",
            )
        if entry.dtype is None or entry.dtype.storage is None or entry.dtype.name.startswith("complex"):
            raise DataError(f"elements of type {entry.dtype_name}, expected real numbers", file=place)
        count, width = entry.shape if len(entry.shape) == 2 else (1, entry.shape[0])
        if not count:
            continue
        if width == 0:
            raise DataError("vectors of no dimensions", file=place)
        if dimensions not in (None, width):  # before a row of any size is read
            raise DataError(f"{width} dimensions, expected {dimensions}", file=place, hint=_OTHER_MODEL)
        labels = _labels(found, count, place)
        row_bytes = width * entry.dtype.item_bytes
        at = 0
        for block in found.blocks(row_bytes, min(_BLOCK_BYTES, rows_limit * row_bytes)):
            values = numbers(block, entry, found.path).reshape(-1, width)
            names = labels[at : at + len(values)] if labels else _numbered(entry.key, at, len(values))
            yield Rows(names, values.astype(np.float32), place)
            at += len(values)


def _numbered(key: str, start: int, count: int) -> list[str]:
    return [f"{key}[{row}]" for row in range(start, start + count)]


def _labels(found: Found, count: int, place: str) -> list[str]:
    """One label per row, or an empty list where they are to be numbered."""
    meta = found.meta
    listed = meta.get("labels")
    if isinstance(listed, str):
        try:
            listed = json.loads(listed)
        except (ValueError, RecursionError) as error:
            raise DataError(f"labels are no JSON: {error}", file=place) from error
    if isinstance(listed, list) and len(found.entry.shape) == 2:
        if len(listed) != count or not all(isinstance(label, str) for label in listed):
            raise DataError(f"{len(listed)} labels for {count} rows: expected one text each", file=place)
        return listed
    return [found.entry.key] if len(found.entry.shape) == 1 else []


def _is_text(address: Address) -> bool:
    """True for lines of numbers or of JSON. Safetensors has a zero among its first 8 bytes, a text has none."""
    if address.stream or address.key is not None:
        return False
    file = ByteFile(address.path)
    try:
        start = file.read(0, min(8, file.size), "start")
    finally:
        file.close()
    return bool(start) and start[0] in _TEXT_STARTS and 0 not in start


def _text_rows(path: str) -> Iterator[Rows]:
    with open(path, "rb") as lines:
        number = 0
        while line := lines.readline(_LINE_BYTES_LIMIT + 1):
            number += 1
            place = f"{path}:{number}"
            if len(line) > _LINE_BYTES_LIMIT:
                raise DataError(f"a line of more than {_LINE_BYTES_LIMIT} bytes", file=place)
            stripped = line.strip()
            if stripped and not stripped.startswith(b"#"):
                label, values = _parse_line(stripped, place)
                yield Rows([label or str(number)], values.reshape(1, -1), place)


def _parse_line(line: bytes, place: str) -> tuple[str, Matrix]:
    """(label or '', vector) of `{"label": .., "embedding": [..]}`, `[..]` or `1.5 2 3`. Raises DataError."""
    label: Any = ""
    values: Any
    try:
        if line[:1] in (b"{", b"["):
            values = json.loads(line)
            if isinstance(values, dict):
                label, values = values.get("label", ""), values.get("embedding")
        else:
            values = [float(word) for word in line.replace(b",", b" ").split()]
        # bool and text would convert silently
        if not isinstance(values, list) or not all(type(value) in (int, float) for value in values):
            raise ValueError("no list of numbers")
        vector = np.array(values, np.float32)
    except (ValueError, OverflowError, RecursionError) as error:
        raise DataError(
            f"{error}: expected numbers, a JSON list of them, or what `embed` prints", file=place
        ) from error
    if not isinstance(label, str) or not vector.size:
        raise DataError('expected {"label": text, "embedding": [numbers]}', file=place)
    return label, vector
