"""`tensor stat`: numbers about the elements of each tensor, one block at a time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from aish.tensor.commandline import ADDRESS_HELP, Parser, print_json, print_table, report
from aish.tensor.errors import DataError
from aish.tensor.ls import shape_text, walk_all
from aish.tensor.widen import numbers

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from aish.tensor.sources import Found

__all__ = ["Summary", "run", "summarise"]

_BLOCK_BYTES = 256 << 10  # with its float64 copies it stays in the cache of a core
_EXAMPLES = """min, max, mean and std are those of the finite elements (of the magnitude, for complex numbers);
nan, inf and zeros are counts. The standard deviation is that of the whole, not of a sample.

examples:
  tensor stat model.safetensors
  tensor stat 'model.safetensors::*.bias' --json
  embed notes/*.md |= tensor stat -"""


class Summary:
    """What is known of the elements added so far. min, max, mean, std are None while no finite one was seen."""

    __slots__ = ("_m2", "finite", "inf", "max", "mean", "min", "nan", "zeros")

    def __init__(self) -> None:
        self.finite = 0
        self.nan = 0
        self.inf = 0
        self.zeros = 0
        self.min: float | int | None = None
        self.max: float | int | None = None
        self.mean: float | None = None
        self._m2 = 0.0

    @property
    def std(self) -> float | None:
        """Standard deviation of the finite elements."""
        return None if self.mean is None else math.sqrt(max(0.0, self._m2 / self.finite))

    def add(self, values: NDArray[Any]) -> None:
        """Take in more elements: bool, integers, floats or complex numbers."""
        self.zeros += int(np.count_nonzero(values == 0))
        if values.dtype.kind == "c":
            values = np.abs(values)
        elif values.dtype.kind == "b":
            values = values.view(np.uint8)
        if values.dtype.kind == "f":
            finite = np.isfinite(values)
            if not finite.all():
                nan = int(np.count_nonzero(np.isnan(values)))
                self.nan += nan
                self.inf += values.size - int(np.count_nonzero(finite)) - nan
                values = values[finite]
        if values.size:
            self._merge(values)

    def _merge(self, values: NDArray[Any]) -> None:
        """Chan, Golub and LeVeque's update: exact to rounding, whatever the order of blocks."""
        low, high = values.min().item(), values.max().item()
        self.min = low if self.min is None else min(self.min, low)
        self.max = high if self.max is None else max(self.max, high)
        wide = values.astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):  # sums of squares beyond float64 become inf, and null
            mean = float(wide.mean())
            wide -= mean
            m2 = float(np.einsum("i,i->", wide, wide))  # np.dot would start threads for it
            total = self.finite + values.size
            if self.mean is None:
                self.mean, self._m2 = mean, m2
            else:
                delta = mean - self.mean
                self.mean += delta * values.size / total
                self._m2 += m2 + delta * delta * self.finite * values.size / total
        self.finite = total


def summarise(found: Found) -> Summary:
    """Read the tensor once, with a few MiB of memory. Raises what reading raises; DataError for non-numbers."""
    summary = Summary()
    entry = found.entry
    unit_bytes = max(1, entry.dtype.item_bytes) if entry.dtype else 1
    if not entry.nbytes:
        numbers(memoryview(b""), entry, found.path)  # the type is still checked
    for block in found.blocks(unit_bytes, _BLOCK_BYTES):
        summary.add(numbers(block, entry, found.path))
    return summary


def run(argv: list[str]) -> int:
    """`argv`: the words after `tensor stat`. Raises UsageError."""
    parser = Parser("tensor stat", "Numbers about the elements of tensors.", _EXAMPLES)
    parser.add_argument("address", nargs="+", metavar="ADDRESS", help=ADDRESS_HELP)
    parser.add_argument("--json", action="store_true", help="one JSON object per line; unknown is null")
    options = parser.read(argv)
    status = [0]
    rows = []
    for found in walk_all("tensor stat", options.address, status):
        try:
            summary = summarise(found)
        except DataError as error:
            report("tensor stat", error)
            status[0] = status[0] or error.exit_status
            continue
        entry = found.entry
        if options.json:
            print_json(_as_dict(found, summary))
            continue
        shown = (_shown(value) for value in (summary.min, summary.max, summary.mean, summary.std))
        counts = (str(count) for count in (summary.nan, summary.inf, summary.zeros))
        key = f"{found.path}::{entry.key}" if len(options.address) > 1 else entry.key
        rows.append((key, entry.dtype_name, shape_text(entry.shape), *shown, *counts))
    if rows:
        numeric = ("MIN", "MAX", "MEAN", "STD", "NAN", "INF", "ZEROS")
        print_table(("KEY", "DTYPE", "SHAPE", *numeric), rows, right=numeric)
    return status[0]


def _as_dict(found: Found, summary: Summary) -> dict[str, object]:
    entry = found.entry
    return {
        "file": found.path,
        "key": entry.key,
        "dtype": entry.dtype_name,
        "shape": list(entry.shape),
        "min": _finite(summary.min),
        "max": _finite(summary.max),
        "mean": _finite(summary.mean),
        "std": _finite(summary.std),
        "nan": summary.nan,
        "inf": summary.inf,
        "zeros": summary.zeros,
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.6g}"
