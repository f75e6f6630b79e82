"""Allowing all of a folder but something in it, where only allowing can be said (Landlock): its other entries."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from aish.sandbox import paths

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence


def entries(folder: str) -> list[str]:
    """Of a folder, without links: what one leads to is allowed where it lies, or not."""
    try:
        with os.scandir(folder) as found:
            return sorted(entry.path for entry in found if not entry.is_symlink())
    except OSError:
        return []


def carve(roots: Iterable[str], hide: Sequence[str], listed: Callable[[str], list[str]] = entries) -> Iterator[str]:
    """What of `roots` is not hidden. What comes into a folder that was carved later is not there."""
    for root in roots:
        if paths.covered(root, hide):
            continue
        if any(paths.within(path, root) for path in hide):
            yield from carve(listed(root), hide, listed)
        else:
            yield root
