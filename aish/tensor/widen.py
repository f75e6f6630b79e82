"""Elements as numbers: from the bytes of a block to an array that numpy computes with.

bfloat16 is the upper half of a float32; an 8-bit float has 256 values, which are looked up. So neither needs
ml_dtypes (whose values the tests compare), and both are as fast as a memory access.

Formats: OCP 8-bit Floating Point Specification (e4m3fn, e5m2), OCP Microscaling (e8m0fnu), and the `fnuz` ones of
Noune et al., arXiv:2206.02915: no infinities, no negative zero, whose pattern is the one NaN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aish.tensor.errors import DataError

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from aish.tensor.entry import Entry

__all__ = ["numbers"]

_IEEE, _FN, _FNUZ = "ieee", "fn", "fnuz"
# name: (bits of the exponent, of the mantissa, bias, what the highest patterns mean)
_FLOAT8 = {
    "float8_e3m4": (3, 4, 3, _IEEE),
    "float8_e4m3": (4, 3, 7, _IEEE),
    "float8_e4m3b11fnuz": (4, 3, 11, _FNUZ),
    "float8_e4m3fn": (4, 3, 7, _FN),
    "float8_e4m3fnuz": (4, 3, 8, _FNUZ),
    "float8_e5m2": (5, 2, 15, _IEEE),
    "float8_e5m2fnuz": (5, 2, 16, _FNUZ),
}
_tables: dict[str, NDArray[np.float32]] = {}


def numbers(block: memoryview, entry: Entry, path: str) -> NDArray[Any]:
    """The elements in `block`: bool, integers, floats or complex numbers; bfloat16 and fp8 as float32.

    A view of the block where its bits are numbers already. Raises DataError for elements that are none.
    """
    dtype = entry.dtype
    if dtype is None or dtype.storage is None:
        raise DataError(
            f"elements of type {entry.dtype_name} are not computed with",
            file=path,
            field=entry.key,
            hint="`tensor ls` lists them; packed and non-numeric types need converting first",
        )
    raw = np.frombuffer(block, np.dtype(dtype.storage).newbyteorder(">" if entry.swapped else "<"))
    if dtype.native:
        return raw
    if dtype.name == "bfloat16":
        return (raw.astype(np.uint32) << 16).view(np.float32)
    widened: NDArray[np.float32] = _table(dtype.name)[raw]
    return widened


def _table(name: str) -> NDArray[np.float32]:
    """The 256 values of an 8-bit float."""
    table = _tables.get(name)
    if table is None:
        patterns = np.arange(256)
        if name == "float8_e8m0fnu":
            values = np.ldexp(1.0, patterns - 127)
            values[255] = np.nan
        else:
            values = _float8(patterns, *_FLOAT8[name])
        table = _tables[name] = values.astype(np.float32)
    return table


def _float8(patterns: NDArray[Any], exponent_bits: int, mantissa_bits: int, bias: int, kind: str) -> NDArray[Any]:
    sign = np.where(patterns & 0x80, -1.0, 1.0)
    exponent = (patterns >> mantissa_bits) & ((1 << exponent_bits) - 1)
    mantissa = patterns & ((1 << mantissa_bits) - 1)
    fraction = mantissa / (1 << mantissa_bits)
    values = sign * np.where(exponent == 0, np.ldexp(fraction, 1 - bias), np.ldexp(1 + fraction, exponent - bias))
    highest = exponent == (1 << exponent_bits) - 1
    if kind == _IEEE:
        values[highest] = np.where(mantissa[highest], np.nan, sign[highest] * np.inf)
    elif kind == _FN:
        values[highest & (mantissa == (1 << mantissa_bits) - 1)] = np.nan
    else:
        values[0x80] = np.nan
    return values
