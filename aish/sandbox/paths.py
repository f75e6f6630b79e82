"""Sets of paths that stand for all that is below them. Pure: words, not files; all absolute, without links."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def within(path: str, root: str) -> bool:
    """Whether `path` is `root` or below it."""
    return path == root or root == "/" or path.startswith(f"{root}/")


def covered(path: str, roots: Iterable[str]) -> bool:
    return any(within(path, root) for root in roots)


def tidy(paths: Iterable[str]) -> tuple[str, ...]:
    """The same set in as few paths as there can be, sorted."""
    kept: list[str] = []
    for path in sorted(set(paths)):
        if not covered(path, kept):
            kept.append(path)
    return tuple(kept)


def meet(one: Iterable[str], other: Iterable[str]) -> tuple[str, ...]:
    """What is in both sets."""
    others = list(other)
    found = []
    for a in one:
        found += [a if within(a, b) else b for b in others if within(a, b) or within(b, a)]
    return tidy(found)
