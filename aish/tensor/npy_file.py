"""NumPy's .npy: a magic, a version, a Python literal that describes one array, its elements. No numpy needed to list.

Format: numpy/lib/format.py. Objects (pickles) are never loaded; records, text and dates are listed and not computed
with.
"""

from __future__ import annotations

from aish.tensor.bytefile import ByteFile
from aish.tensor.dtypes import BY_NAME, Dtype
from aish.tensor.entry import NDIM_LIMIT, Entry, extent_bytes
from aish.tensor.errors import DataError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

__all__ = ["KEY", "MAGIC", "NpyFile", "parse_descr", "read_npy_header"]

MAGIC = b"\x93NUMPY"
KEY = "array"  # the one tensor of a .npy has no name of its own
_HEADER_BYTES_LIMIT = 64 * 1024  # numpy refuses more than 10,000 characters
_KINDS = {"b": "bool", "i": "int", "u": "uint", "f": "float", "c": "complex"}


class NpyFile:
    """An open file whose header was checked."""

    format = "npy"

    def __init__(self, file: ByteFile) -> None:
        """Takes over `file`. Raises DataError."""
        self._file = file
        self.path = file.path
        self.metadata: dict[str, str] = {}
        place = 0

        def read(count: int) -> bytes:
            nonlocal place
            place += count
            return file.read(place - count, count, "header")

        entry = read_npy_header(read, KEY, file.path)
        entry.offset = place
        if place + entry.nbytes != file.size:
            raise DataError(
                f"{file.size - place} bytes, expected {entry.nbytes} for {entry.shape} of {entry.dtype_name}",
                file=file.path,
                field="data",
            )
        self.entries: tuple[Entry, ...] = (entry,)

    def blocks(self, entry: Entry, unit_bytes: int, block_bytes: int) -> Iterator[memoryview]:
        """See TensorFile."""
        assert entry.offset is not None
        return self._file.blocks(entry.offset, entry.nbytes, unit_bytes, block_bytes, "data")

    def close(self) -> None:
        """See TensorFile."""
        self._file.close()


def read_npy_header(read: Callable[[int], bytes], key: str, path: str) -> Entry:
    """The array that the header describes; `read` gives the next bytes, exactly as many. Raises DataError."""
    start = read(8)
    if start[:6] != MAGIC:
        raise DataError(f"begins with {start[:6]!r}, expected {MAGIC!r}", file=path, field="magic")
    version = (start[6], start[7])
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise DataError(f"{start[6]}.{start[7]}, expected 1.0, 2.0 or 3.0", file=path, field="version")
    length = int.from_bytes(read(2 if version == (1, 0) else 4), "little")
    if length > _HEADER_BYTES_LIMIT:
        raise DataError(f"{length} bytes, at most {_HEADER_BYTES_LIMIT} are read", file=path, field="header length")
    return parse_header(read(length), version, key, path)


def parse_header(header: bytes, version: tuple[int, int], key: str, path: str) -> Entry:
    """The array that this header describes, with offset None. Pure. Raises DataError."""
    import ast
    import warnings

    try:
        text = header.decode("utf-8" if version == (3, 0) else "latin-1")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the parser's remarks on odd literals are not for our users
            described = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise DataError(f"not a Python literal: {error}", file=path, field="header") from error
    if not isinstance(described, dict) or described.keys() != {"descr", "fortran_order", "shape"}:
        raise DataError("expected a dict of descr, fortran_order and shape", file=path, field="header")
    fortran = described["fortran_order"]
    if not isinstance(fortran, bool):
        raise DataError(f"{fortran!r:.40}, expected True or False", file=path, field="fortran_order")
    shape = described["shape"]
    natural = isinstance(shape, tuple) and all(type(n) is int and 0 <= n < 1 << 63 for n in shape)
    if not natural or len(shape) > NDIM_LIMIT:
        raise DataError(f"{shape!r:.80}: expected at most {NDIM_LIMIT} whole numbers", file=path, field="shape")
    dtype, name, item_bytes, swapped = parse_descr(described["descr"], path)
    nbytes = extent_bytes(shape, item_bytes * 8)
    if nbytes is None:
        raise DataError(f"{shape!r:.80} of {name} fits no file", file=path, field="shape")
    return Entry(key, dtype, name, shape, nbytes, None, swapped=swapped, fortran=fortran and len(shape) > 1)


def parse_descr(descr: Any, path: str) -> tuple[Dtype | None, str, int, bool]:
    """(element type or None, its name, bytes of one, big-endian) of numpy's '<f4'. Raises DataError."""
    if isinstance(descr, list):
        raise DataError(
            "records (a dtype of several fields)", file=path, field="descr", hint="save each field as an array"
        )
    if not isinstance(descr, str) or len(descr) < 2 or descr[0] not in "<>|=":
        raise DataError(f"{descr!r:.40}, expected the like of '<f4'", file=path, field="descr")
    order, kind, size = descr[0], descr[1], descr[2:].split("[")[0]
    if kind == "O":
        raise DataError(
            "Python objects", file=path, field="descr", hint="they are pickled, which runs code: not read, on purpose"
        )
    if kind not in "biufcSUVmM" or not (size.isascii() and size.isdigit()) or len(size) > 9:
        raise DataError(f"{descr!r:.40}, expected the like of '<f4'", file=path, field="descr")
    item_bytes = int(size) * (4 if kind == "U" else 1)
    name = _KINDS.get(kind)
    if name is None:
        return None, descr, item_bytes, False
    if kind != "b":
        name += str(item_bytes * 8)
    dtype = BY_NAME.get(name)
    if dtype is None and kind == "f" and item_bytes == 16:
        return None, descr, item_bytes, False  # long double: of this machine's own layout
    if dtype is None or (kind == "b" and item_bytes != 1):
        raise DataError(f"{descr!r:.40} is no type of numpy", file=path, field="descr")
    return dtype, name, item_bytes, order == ">" and item_bytes > 1
