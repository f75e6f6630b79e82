"""The element types that aish.tensor knows: one table, read by the wire, the files and the commands.

A type is named by its numpy (or ml_dtypes) name and by DLPack's (code, bits, lanes): `dtype.str` is ambiguous for
bfloat16 and every 8-bit float ('<V2', '<V1'), so neither numpy's letters nor a size alone may travel. `storage` is
the plain numpy type of the same width through which the bits can always be read, with no ml_dtypes installed.

Codes: dlpack.h, DLDataTypeCode. Safetensors names: the format's README and its `Dtype` enumeration.
Imports nothing at run time: the header-only commands load this file.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "BY_NAME",
    "BY_SAFETENSORS",
    "TABLE",
    "Dtype",
    "as_storage",
    "from_numpy",
    "lookup",
    "opaque",
    "to_numpy",
]

_INT, _UINT, _FLOAT, _BFLOAT, _COMPLEX, _BOOL = 0, 1, 2, 4, 5, 6


class Dtype:
    """One element type. `bits` may be below 8 (packed, files only); `storage` is None where numpy has no width."""

    __slots__ = ("bits", "code", "name", "safetensors", "storage")

    def __init__(self, name: str, code: int, bits: int, safetensors: str | None, storage: str | None) -> None:
        self.name = name
        self.code = code
        self.bits = bits
        self.safetensors = safetensors
        self.storage = storage

    @property
    def native(self) -> bool:
        """True where numpy itself computes with the type, so that no ml_dtypes is needed."""
        return self.storage == self.name

    @property
    def item_bytes(self) -> int:
        """Whole bytes of one element; 0 for a packed type."""
        return self.bits // 8

    def __repr__(self) -> str:
        return f"Dtype({self.name!r})"


def _native(name: str, code: int, bits: int, safetensors: str | None) -> Dtype:
    return Dtype(name, code, bits, safetensors, name)


TABLE: tuple[Dtype, ...] = (
    _native("bool", _BOOL, 8, "BOOL"),
    _native("int8", _INT, 8, "I8"),
    _native("int16", _INT, 16, "I16"),
    _native("int32", _INT, 32, "I32"),
    _native("int64", _INT, 64, "I64"),
    _native("uint8", _UINT, 8, "U8"),
    _native("uint16", _UINT, 16, "U16"),
    _native("uint32", _UINT, 32, "U32"),
    _native("uint64", _UINT, 64, "U64"),
    _native("float16", _FLOAT, 16, "F16"),
    _native("float32", _FLOAT, 32, "F32"),
    _native("float64", _FLOAT, 64, "F64"),
    _native("complex64", _COMPLEX, 64, "C64"),
    _native("complex128", _COMPLEX, 128, None),
    Dtype("bfloat16", _BFLOAT, 16, "BF16", "uint16"),
    Dtype("float8_e3m4", 7, 8, None, "uint8"),
    Dtype("float8_e4m3", 8, 8, None, "uint8"),
    Dtype("float8_e4m3b11fnuz", 9, 8, None, "uint8"),
    # Safetensors' F8_E4M3 is the finite flavour that PyTorch calls float8_e4m3fn, not IEEE-like float8_e4m3.
    Dtype("float8_e4m3fn", 10, 8, "F8_E4M3", "uint8"),
    Dtype("float8_e4m3fnuz", 11, 8, "F8_E4M3FNUZ", "uint8"),
    Dtype("float8_e5m2", 12, 8, "F8_E5M2", "uint8"),
    Dtype("float8_e5m2fnuz", 13, 8, "F8_E5M2FNUZ", "uint8"),
    Dtype("float8_e8m0fnu", 14, 8, "F8_E8M0", "uint8"),
    Dtype("float6_e2m3fn", 15, 6, "F6_E2M3", None),
    Dtype("float6_e3m2fn", 16, 6, "F6_E3M2", None),
    Dtype("float4_e2m1fn", 17, 4, "F4", None),
)
BY_NAME: dict[str, Dtype] = {dtype.name: dtype for dtype in TABLE}
BY_SAFETENSORS: dict[str, Dtype] = {dtype.safetensors: dtype for dtype in TABLE if dtype.safetensors}

_OPAQUE = {8: "uint8", 16: "uint16", 32: "uint32", 64: "uint64"}


def lookup(name: str) -> Dtype | None:
    """The type of that numpy name, None if it is not in the table."""
    return BY_NAME.get(name)


def opaque(name: str, code: int, bits: int) -> Dtype | None:
    """A type that a newer writer knows and we do not: readable as unsigned integers. None if no width fits."""
    storage = _OPAQUE.get(bits)
    return None if storage is None else Dtype(name, code, bits, None, storage)


# numpy computes a dtype's name anew each time, and finding ml_dtypes is an import: both are looked up once.
_from_numpy: dict[np.dtype[Any], Dtype | None] = {}
_to_numpy: dict[str, np.dtype[Any]] = {}


def from_numpy(dtype: np.dtype[Any]) -> Dtype | None:
    """The table's entry for a numpy or ml_dtypes dtype (any byte order), None for objects, text, records, dates."""
    try:
        return _from_numpy[dtype]
    except KeyError:
        plain = not dtype.hasobject and dtype.names is None and dtype.subdtype is None
        found = BY_NAME.get(dtype.name) if plain else None
        if found is not None and found.storage is None:
            found = None
        if plain:
            _from_numpy[dtype] = found
        return found


def to_numpy(dtype: Dtype) -> np.dtype[Any]:
    """The numpy dtype to view the bits with: ml_dtypes' where installed, else the unsigned type of that width.

    `dtype.storage` must not be None.
    """
    found = _to_numpy.get(dtype.name)
    if found is None:
        found = _find_numpy(dtype)
        if dtype.name in BY_NAME:
            _to_numpy[dtype.name] = found
    return found


def _find_numpy(dtype: Dtype) -> np.dtype[Any]:
    import numpy as np

    if dtype.native:
        return np.dtype(dtype.name)
    try:
        import ml_dtypes
    except ImportError:
        return np.dtype(dtype.storage)
    return np.dtype(getattr(ml_dtypes, dtype.name, dtype.storage))


def as_storage(array: NDArray[Any], dtype: Dtype) -> NDArray[Any]:
    """The same bits seen through `dtype.storage`; no copy. For types that numpy cannot copy or export itself."""
    import numpy as np

    return array if dtype.native else array.view(np.dtype(dtype.storage))
