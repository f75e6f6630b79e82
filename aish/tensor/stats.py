"""The statistics page of an edge: one page that only the writer writes and every view may read.

The page is an array of 64-bit words in the machine's own byte order (it never leaves the host). Each word is stored
by one 8-byte copy, so a reader sees old or new, never a mixture; `UPDATES` is odd while the writer changes several,
and a reader that met a change tries again. A writer that was killed in mid-change leaves it odd for ever: then the
words are taken as they are.

The maker of the edge writes the bounds (depth, byte budget) before any stage starts.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "BLOCKED",
    "BLOCKED_NS",
    "BLOCKED_SINCE_NS",
    "BROKEN",
    "BYTES",
    "BYTE_BUDGET",
    "DEPTH",
    "DROPPED",
    "ENDED",
    "FAILED",
    "IN_FLIGHT",
    "NEW",
    "OPEN",
    "OPENED_NS",
    "PAGE_BYTES",
    "PID",
    "POOL_BYTES",
    "STATE",
    "TENSORS",
    "UPDATES",
    "WORDS",
    "EdgeStats",
    "blank_page",
    "parse_stats",
    "read_stats",
]

PAGE_BYTES = 4096
MAGIC = int.from_bytes(b"aishedge", "little")
VERSION = 1
_ATTEMPTS = 8

# Word numbers. 0 is the magic, 1 the version.
UPDATES, STATE, DEPTH, BYTE_BUDGET, IN_FLIGHT, TENSORS, BYTES, BLOCKED_NS, BLOCKED_SINCE_NS = range(2, 11)
DROPPED, POOL_BYTES, PID, OPENED_NS = range(11, 15)
WORDS = 15

# States: what the writer is doing.
NEW, OPEN, BLOCKED, ENDED, FAILED, BROKEN = range(6)
_STATES = ("new", "open", "blocked", "ended", "failed", "broken")


class EdgeStats:
    """One look at an edge.

    state: new (no writer yet), open, blocked (waits for the reader), ended (EOF sent), failed (the writer said so),
    broken (the reader left), unknown. A writer that was killed stays in the state it had.
    tensors, nbytes: sent so far. in_flight: slots that the writer has not got back, as of its last look.
    blocked_ns: time spent waiting, without a wait that is going on; that one began at `blocked_since_ns`
    (CLOCK_MONOTONIC), None if none is. opened_ns, pid: of the writer, None before it opened.
    """

    __slots__ = (
        "blocked_ns",
        "blocked_since_ns",
        "byte_budget",
        "depth",
        "dropped",
        "in_flight",
        "nbytes",
        "opened_ns",
        "pid",
        "pool_bytes",
        "state",
        "tensors",
    )

    def __init__(self, words: memoryview) -> None:
        state = words[STATE]
        self.state: str = _STATES[state] if state < len(_STATES) else "unknown"
        self.tensors: int = words[TENSORS]
        self.nbytes: int = words[BYTES]
        self.dropped: int = words[DROPPED]
        self.depth: int = words[DEPTH]
        self.in_flight: int = words[IN_FLIGHT]
        self.byte_budget: int = words[BYTE_BUDGET]
        self.pool_bytes: int = words[POOL_BYTES]
        self.blocked_ns: int = words[BLOCKED_NS]
        self.blocked_since_ns: int | None = words[BLOCKED_SINCE_NS] or None
        self.opened_ns: int | None = words[OPENED_NS] or None
        self.pid: int | None = words[PID] or None

    def blocked_total_ns(self, now_ns: int) -> int:
        """Time spent waiting until `now_ns` (CLOCK_MONOTONIC), a wait that is going on included."""
        if self.blocked_since_ns is None:
            return self.blocked_ns
        return self.blocked_ns + max(0, now_ns - self.blocked_since_ns)

    def to_dict(self) -> dict[str, int | str | None]:
        """For --json."""
        return {name: getattr(self, name) for name in sorted(self.__slots__)}

    def __repr__(self) -> str:
        return f"EdgeStats({', '.join(f'{name}={value!r}' for name, value in self.to_dict().items())})"


def blank_page(words: Mapping[int, int]) -> bytes:
    """A page in state `new` with these words set: what the maker of an edge writes."""
    page = bytearray(PAGE_BYTES)
    cells = memoryview(page).cast("Q")
    cells[0], cells[1] = MAGIC, VERSION
    for number, value in words.items():
        cells[number] = value
    cells.release()
    return bytes(page)


def parse_stats(page: bytes) -> EdgeStats | None:
    """The statistics in a page's bytes. None if it is not a page of this version."""
    if len(page) < WORDS * 8:
        return None
    words = memoryview(page)[: WORDS * 8].cast("Q")
    if (words[0], words[1]) != (MAGIC, VERSION):
        return None
    return EdgeStats(words)


def read_stats(fd: int) -> EdgeStats | None:
    """One look at the edge whose statistics page is `fd`; None if that is not a page of this version.

    Never blocks. Raises OSError for a bad descriptor.
    """
    page = b""
    for _ in range(_ATTEMPTS):
        page = os.pread(fd, WORDS * 8, 0)
        after = os.pread(fd, 8, UPDATES * 8)
        odd = int.from_bytes(after, sys.byteorder) & 1
        if not odd and after == page[UPDATES * 8 : UPDATES * 8 + 8]:
            break
    return parse_stats(page)
