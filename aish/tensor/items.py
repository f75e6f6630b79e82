"""What a program asks a Writer to send, checked and turned into tensors of the wire. No sockets, no shared memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from aish.tensor import wire
from aish.tensor.dtypes import TABLE, Dtype, from_numpy, lookup
from aish.tensor.errors import UsageError

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import ArrayLike, DTypeLike, NDArray

    from aish.tensor.pool import Slot

__all__ = ["DTYPES", "Item", "dtype_of", "item_of", "nbytes_of", "pack_meta", "parse_bytes", "parts_of"]

DTYPES = ",".join(dtype.name for dtype in TABLE if dtype.storage)
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


class Item:
    """One tensor on its way: `slot` where it was built in place."""

    __slots__ = ("array", "dtype", "key", "slot")

    def __init__(self, key: str, array: NDArray[Any], dtype: Dtype, slot: Slot | None) -> None:
        self.key = key
        self.array = array
        self.dtype = dtype
        self.slot = slot

    @property
    def inline(self) -> bool:
        """True where the elements travel in the datagram."""
        return self.slot is None and self.array.nbytes <= wire.INLINE_BYTES


def parts_of(value: ArrayLike | Mapping[Any, ArrayLike]) -> list[tuple[str, ArrayLike]]:
    """(key, array-like) of each tensor; the key is empty for a bare array. Raises UsageError for a bad key."""
    if not isinstance(value, Mapping):
        return [("", value)]
    if not value:
        raise UsageError("an empty dict: there is nothing to send")
    for key in value:
        if not isinstance(key, str) or not key:
            raise UsageError(f"key {key!r}: expected text that is not empty")
        try:
            length = len(key.encode("utf-8", "surrogateescape"))
        except UnicodeEncodeError as error:
            raise UsageError(f"key {key!r} is not text: {error.reason}") from error
        if length > wire.KEY_BYTES:
            raise UsageError(f"key {key[:40]!r}...: {length} bytes, at most {wire.KEY_BYTES}")
    return list(value.items())


def item_of(key: str, value: ArrayLike) -> Item:
    """One tensor from anything numpy takes for an array. Raises UsageError for what no tensor can hold."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{key or 'value'}: not an array: {error}") from error
    dtype = from_numpy(array.dtype)
    if dtype is None:
        raise UsageError(
            f"{key or 'value'}: elements of type {array.dtype} cannot go into a tensor",
            hint="booleans, integers, floats (bfloat16 and fp8 by ml_dtypes) and complex numbers can",
        )
    if array.ndim > wire.NDIM_LIMIT:
        raise UsageError(f"{key or 'value'}: {array.ndim} dimensions, at most {wire.NDIM_LIMIT}")
    return Item(key, array, dtype, None)


def parse_bytes(text: str, what: str) -> int:
    """A size such as 4096, 512M or 4G, in bytes. Raises UsageError naming `what`."""
    number, unit = (text[:-1], text[-1:].upper()) if text[-1:].isalpha() else (text, "")
    if not (number.isascii() and number.isdigit()) or len(number) > 15 or unit not in _UNITS:
        raise UsageError(f"{what}={text!r}: expected bytes, or a number with K, M, G or T (such as 4G)")
    return int(number) * _UNITS[unit]


def dtype_of(dtype: DTypeLike | str) -> Dtype:
    """The element type of that name or numpy dtype. Raises UsageError for one that no tensor has."""
    known = lookup(dtype) if isinstance(dtype, str) else None
    if known is None:
        try:
            known = from_numpy(np.dtype(dtype))
        except TypeError:
            known = None
    if known is None or known.storage is None:
        raise UsageError(f"{dtype!r} is no element type of a tensor", hint=f"one of {DTYPES}")
    return known


def nbytes_of(shape: tuple[int, ...], dtype: Dtype) -> int:
    """Bytes of such an array. Raises UsageError for a shape that no tensor has."""
    if len(shape) > wire.NDIM_LIMIT or any(n < 0 for n in shape):
        raise UsageError(f"shape {shape}: expected at most {wire.NDIM_LIMIT} dimensions, none negative")
    nbytes = dtype.item_bytes
    for dimension in shape:
        nbytes *= dimension
    return nbytes


def pack_meta(meta: Mapping[str, object] | None) -> bytes:
    """The JSON that travels with a tensor, empty for none. Raises UsageError if it is none, or above 2 KiB."""
    if not meta:
        return b""
    try:
        packed = json.dumps(dict(meta), ensure_ascii=False, separators=(",", ":")).encode()
    except (TypeError, ValueError) as error:
        raise UsageError(f"meta is not JSON: {error}") from error
    if len(packed) > wire.META_BYTES:
        raise UsageError(f"meta of {len(packed)} bytes: at most {wire.META_BYTES} fit")
    return packed
