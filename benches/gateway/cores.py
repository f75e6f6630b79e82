"""Which core who runs on: load and upstream share one, the gateway under test has the other."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple


class Cores(NamedTuple):
    """None: this machine has one core alone, and nobody is pinned."""

    load: int | None
    gateway: int | None


def chosen() -> Cores:
    """The first two that we may use."""
    usable = sorted(os.sched_getaffinity(0))
    return Cores(usable[0], usable[1]) if len(usable) > 1 else Cores(None, None)


@contextmanager
def on(core: int | None) -> Iterator[None]:
    """What is started meanwhile stays on `core`, with all that it starts."""
    before = os.sched_getaffinity(0)
    if core is not None:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def words(where: Cores) -> str:
    """For people."""
    if where.load is None:
        return "one core for all of them"
    return f"load and upstream on core {where.load}, gateways on core {where.gateway}"
