"""The writer's side of the statistics page: a few 8-byte stores per tensor."""

from __future__ import annotations

import os
import time

from aish.tensor import stats
from aish.tensor.errors import NoEdgeError, StorageError
from aish.tensor.mapping import map_for_writing
from aish.tensor.memfd import seal

__all__ = ["Gauge"]


class Gauge:
    """Counters that views read (aish.tensor.stats). Takes over the descriptor; without one it counts privately."""

    __slots__ = ("_cells",)

    def __init__(self, fd: int | None) -> None:
        if fd is None:
            page: memoryview = memoryview(bytearray(stats.blank_page({})))
        else:
            page = _map_page(fd)
        self._cells = page.cast("Q")
        self._cells[stats.PID] = os.getpid()
        self._cells[stats.OPENED_NS] = time.monotonic_ns()
        self._cells[stats.STATE] = stats.OPEN

    def bounds(self) -> tuple[int, int]:
        """(depth, byte budget) as the maker of the edge wrote them; 0 where it wrote none."""
        return self._cells[stats.DEPTH], self._cells[stats.BYTE_BUDGET]

    def set_bounds(self, depth: int, byte_budget: int) -> None:
        """What both ends agreed on."""
        self._cells[stats.DEPTH] = depth
        self._cells[stats.BYTE_BUDGET] = byte_budget

    def sent(self, nbytes: int, in_flight: int, pool_bytes: int) -> None:
        """One more tensor."""
        cells = self._cells
        cells[stats.UPDATES] += 1
        cells[stats.TENSORS] += 1
        cells[stats.BYTES] += nbytes
        cells[stats.IN_FLIGHT] = in_flight
        cells[stats.POOL_BYTES] = pool_bytes
        cells[stats.UPDATES] += 1

    def dropped(self) -> None:
        """One more value that the policy did not send."""
        self._cells[stats.DROPPED] += 1

    def in_flight(self, count: int) -> None:
        """Slots that the reader still has."""
        self._cells[stats.IN_FLIGHT] = count

    def state(self, state: int) -> None:
        """One of the states of aish.tensor.stats."""
        self._cells[stats.STATE] = state

    def blocked(self) -> None:
        """A wait for the reader begins."""
        cells = self._cells
        cells[stats.UPDATES] += 1
        cells[stats.BLOCKED_SINCE_NS] = time.monotonic_ns()
        cells[stats.STATE] = stats.BLOCKED
        cells[stats.UPDATES] += 1

    def unblocked(self) -> None:
        """The wait is over."""
        cells = self._cells
        cells[stats.UPDATES] += 1
        cells[stats.BLOCKED_NS] += time.monotonic_ns() - cells[stats.BLOCKED_SINCE_NS]
        cells[stats.BLOCKED_SINCE_NS] = 0
        cells[stats.STATE] = stats.OPEN
        cells[stats.UPDATES] += 1

    def private_copy(self) -> None:
        """In a forked child: count on, but not in the parent's page."""
        self._cells = memoryview(bytearray(stats.PAGE_BYTES)).cast("Q")


def _map_page(fd: int) -> memoryview:
    try:
        page = memoryview(map_for_writing(fd, stats.PAGE_BYTES))
        seal(fd)
    except (OSError, ValueError) as error:
        raise NoEdgeError(
            f"descriptor {fd} is not a fresh statistics page of a tensor edge: {error}",
            hint="an edge has one writer: a program that ran before this one in the same stage used it up",
        ) from error
    except StorageError as error:
        raise NoEdgeError(f"descriptor {fd} is not the statistics page of a tensor edge") from error
    finally:
        os.close(fd)
    if stats.parse_stats(bytes(page)) is None:
        raise NoEdgeError("the statistics page is of another version of aish.tensor")
    return page
