"""Simulated VRAM for a program that runs on a simulated card.

    memory = allocate(6 << 30)          # None where this process was given no simulated card
    with memory.working(70): ...        # keeps 70 % of the card busy meanwhile
    memory.free()                       # the end of the process does it too

The daemon tells a process its card by $AISH_SIMGPU_DEVICE (SimDriver.environ). Raises LimitError where a real
allocation would fail with out-of-memory.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from aish.errors import NotFoundError
from aish.plugins.simgpu import card as cards
from aish.plugins.simgpu import holding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aish.plugins.simgpu.card import Card


class Allocation:
    """Memory that this process holds on one card. Thread-safe: every change is made under the folder's lock."""

    def __init__(self, folder: str, card: Card, size_bytes: int) -> None:
        self._folder = folder
        self.card = card
        self._pid = os.getpid()
        self.size_bytes = 0
        self.resize(size_bytes)

    def resize(self, size_bytes: int) -> None:
        """Raises LimitError when the card has not enough left; then nothing has changed."""
        holding.change(self._folder, self.card, self._pid, add_bytes=size_bytes - self.size_bytes)
        self.size_bytes = size_bytes

    def busy(self, percent: float) -> None:
        """Keep this share of the card busy from now on: 0 is idle."""
        holding.change(self._folder, self.card, self._pid, busy_percent=min(max(percent, 0.0), 100.0))

    @contextmanager
    def working(self, percent: float) -> Iterator[None]:
        self.busy(percent)
        try:
            yield
        finally:
            self.busy(0)

    def free(self) -> None:
        self.resize(0)


def allocate(size_bytes: int) -> Allocation | None:
    """Memory on the card that this process was given; None where it was given none.

    Raises LimitError (it does not fit), NotFoundError (the card is not there any more), StorageError.
    """
    if not os.environ.get(cards.DEVICE_VARIABLE):
        return None
    folder = cards.folder()
    return Allocation(folder, choose(folder), size_bytes)


def choose(folder: str, wanted: str | None = None) -> Card:
    """The card with the index or uuid `wanted`, else the process's own, else the first. Raises NotFoundError."""
    rack = cards.load(folder).cards
    wanted = wanted or os.environ.get(cards.DEVICE_VARIABLE, "").split(",")[0]
    if not rack:
        raise NotFoundError(
            f"there is no simulated GPU in {folder}", hint="make one: python -m aish.plugins.simgpu create"
        )
    for card in rack:
        if not wanted or wanted in (card.uuid, str(card.index)):
            return card
    raise NotFoundError(
        f"there is no simulated GPU {wanted!r}", hint="there are: " + ", ".join(str(card.index) for card in rack)
    )
