"""One tensor as a file's header or a stream describes it, before any of its elements is read."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    from aish.tensor.dtypes import Dtype

    class TensorFile(Protocol):
        """An open file of tensors whose header was checked."""

        path: str
        format: str
        entries: tuple[Entry, ...]
        metadata: dict[str, str]

        def blocks(self, entry: Entry, unit_bytes: int, block_bytes: int) -> Iterator[memoryview]:
            """The elements' bytes in order, in blocks of at most `block_bytes` (at least one unit).

            Each block is a whole number of `unit_bytes` long and valid only until the next one. Raises DataError if
            the file ends early or is damaged, StorageError if it cannot be read.
            """

        def close(self) -> None:
            """Close the file."""


__all__ = ["NDIM_LIMIT", "Entry", "extent_bytes"]

NDIM_LIMIT = 64  # numpy's own
_LIMIT_BYTES = 1 << 62


class Entry:
    """key: its name in the file. dtype: None for elements that are no numbers; `dtype_name` still names them.

    shape, nbytes: checked to agree. offset: where its bytes begin in the file, None where they are compressed or on
    a stream. swapped: big-endian. fortran: the first index runs fastest.
    """

    __slots__ = ("dtype", "dtype_name", "fortran", "key", "nbytes", "offset", "shape", "swapped")

    def __init__(
        self,
        key: str,
        dtype: Dtype | None,
        dtype_name: str,
        shape: tuple[int, ...],
        nbytes: int,
        offset: int | None,
        *,
        swapped: bool = False,
        fortran: bool = False,
    ) -> None:
        self.key = key
        self.dtype = dtype
        self.dtype_name = dtype_name
        self.shape = shape
        self.nbytes = nbytes
        self.offset = offset
        self.swapped = swapped
        self.fortran = fortran

    @property
    def count(self) -> int:
        """Number of elements."""
        count = 1
        for dimension in self.shape:
            count *= dimension
        return count


def extent_bytes(shape: tuple[int, ...], bits: int) -> int | None:
    """Bytes of that many elements; None if no file can be that large, or a packed type leaves part of a byte.

    Dimensions other than 0 count even where one is 0, since numpy multiplies them all.
    """
    extent = bits
    for dimension in shape:
        extent *= dimension or 1
        if extent > _LIMIT_BYTES * 8:
            return None
    if 0 in shape:
        return 0
    return None if extent % 8 else extent // 8
