"""In which order entries are started: what is needed comes first. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    Needs = Mapping[str, Collection[str]]
    """Name -> names that it needs; what is not a key is not looked at."""


def levels(needs: Needs) -> list[list[str]]:
    """Names in levels: all of one may be started together, once those before have begun. Those of a cycle, and what
    needs them, come last, together."""
    left = {name: {need for need in wanted if need in needs} for name, wanted in needs.items()}
    found: list[list[str]] = []
    while left:
        level = [name for name, wanted in left.items() if not wanted] or list(left)
        found.append(level)
        for name in level:
            del left[name]
        for wanted in left.values():
            wanted.difference_update(level)
    return found


def cycle(needs: Needs) -> list[str] | None:
    """Names that need each other in a circle, the first again at the end; None: there is none."""
    done: set[str] = set()
    for start in needs:
        trail: dict[str, None] = {}
        pending = [iter([start])]
        while pending:
            name = next(pending[-1], None)
            if name is None:
                pending.pop()
                if trail:
                    done.add(trail.popitem()[0])
            elif name in trail:
                names = list(trail)
                return [*names[names.index(name) :], name]
            elif name not in done and name in needs:
                trail[name] = None
                pending.append(iter(needs[name]))
    return None


def closure(names: Iterable[str], needs: Needs) -> set[str]:
    """The names, and all that they need."""
    found: set[str] = set()
    pending = list(names)
    while pending:
        name = pending.pop()
        if name not in found and name in needs:
            found.add(name)
            pending += needs[name]
    return found
