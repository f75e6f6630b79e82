"""Tensors between programs: the library behind `a |= b`.

    from aish.tensor import Writer, Reader

    with Writer.from_env() as out:          # in the stage before |=
        out.write(array, {"label": "a"})

    for array in Reader.from_env():         # in the stage after it
        print(array.shape)

Needs nothing else of aish, and loads numpy only when a Writer or Reader is first named.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from aish.tensor.edge import Edge, create
    from aish.tensor.errors import TensorError
    from aish.tensor.reader import Frame, Reader
    from aish.tensor.stats import EdgeStats, read_stats
    from aish.tensor.writer import Writer

__all__ = ["Edge", "EdgeStats", "Frame", "Reader", "TensorError", "Writer", "create", "read_stats"]

_HOMES = {
    "Edge": "edge",
    "EdgeStats": "stats",
    "Frame": "reader",
    "Reader": "reader",
    "TensorError": "errors",
    "Writer": "writer",
    "create": "edge",
    "read_stats": "stats",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
