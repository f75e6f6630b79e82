"""The writer's shared memory: segments cut into slots, reused by size class, within a budget.

First touch of fresh pages costs ten times a copy into warm ones, so what comes back is kept and used again, the
latest first. Every reference count lives here, in the writer's private memory: no reader can spoil it.

A slot is held by the writer (an array from `alloc` that still lives), by the reader (sent, not credited), by both or
by none, and only then is it free. Segments with no held slot may be dropped to make room for another size.

The budget is split: one tensor, with what the writer holds unsent, takes at most half of it; the reader copies what
it would hold beyond the other half (see reader.py). So neither can starve the other for ever.
"""

from __future__ import annotations

import os

from aish.tensor.errors import BudgetError, StorageError
from aish.tensor.mapping import map_for_writing
from aish.tensor.memfd import make_memfd, seal

TYPE_CHECKING = False
if TYPE_CHECKING:
    import mmap

__all__ = ["SEGMENTS_LIMIT", "Pool", "Segment", "Slot", "class_bytes"]

SEGMENTS_LIMIT = 128  # each may cost a descriptor in either process
_PAGE_BYTES = 4096
_ARENA_SLOT_BYTES = 64 * 1024  # up to this size several slots share a segment
_ARENA_SLOTS = 16


class Segment:
    """One memfd, mapped. `fd` is open until the segment was announced to the reader, then -1."""

    __slots__ = ("fd", "held", "number", "size_bytes", "slot_bytes", "slots", "view", "work")

    def __init__(self, number: int, size_bytes: int, slot_bytes: int, first_slot: int) -> None:
        self.number = number
        self.size_bytes = size_bytes
        self.slot_bytes = slot_bytes
        self.fd = make_memfd("aish-tensor", size_bytes)
        try:
            self.view: mmap.mmap = map_for_writing(self.fd, size_bytes)
            seal(self.fd)
        except OSError as error:
            os.close(self.fd)
            raise StorageError(f"cannot map {size_bytes} bytes of shared memory: {error.strerror}") from error
        except StorageError:
            os.close(self.fd)
            raise
        self.held = 0
        self.work = 0  # when it was last given out, in the pool's own count
        offsets = range(0, size_bytes, slot_bytes)
        self.slots = [Slot(self, first_slot + index, offset) for index, offset in enumerate(offsets)]

    def forget(self) -> None:
        """No slot of it will be given out again; the memory lasts as long as arrays over it."""
        self.forget_fd()
        self.slots.clear()  # no cycle: the mapping must go with its last user, not with a later collection

    def forget_fd(self) -> None:
        """Close the descriptor; the mapping stays."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


class Slot:
    """Room for one tensor. `number` is unique for the life of the writer."""

    __slots__ = ("by_reader", "by_writer", "number", "offset", "segment")

    def __init__(self, segment: Segment, number: int, offset: int) -> None:
        self.segment = segment
        self.number = number
        self.offset = offset
        self.by_writer = False
        self.by_reader = False


def class_bytes(nbytes: int) -> int:
    """The slot size for a tensor of `nbytes`: whole pages, four sizes to a doubling, so at most a quarter is idle."""
    pages = max(1, -(-nbytes // _PAGE_BYTES))
    step = max(1, 1 << max(0, (pages - 1).bit_length() - 3))
    return -(-pages // step) * step * _PAGE_BYTES


class Pool:
    """All slots of one writer. Not thread-safe: the writer's lock guards it."""

    def __init__(self, byte_budget: int) -> None:
        self.byte_budget = byte_budget
        self.total_bytes = 0
        self.dropped: list[int] = []  # announced segments that the reader has not been told to forget yet
        self._segments: dict[int, Segment] = {}
        self._free: dict[int, list[Slot]] = {}
        self._next_segment = 0
        self._next_slot = 0
        self._work = 0

    def take(self, nbytes: int) -> Slot | None:
        """A slot of at least `nbytes`, held by the writer; None if one fits once the reader gives something back.

        Raises BudgetError if it can never fit, StorageError where the system has no memory or descriptor left.
        """
        slot_bytes = self._slot_bytes(nbytes)
        free = self._free.get(slot_bytes)
        if not free:
            if not self._grow(slot_bytes, nbytes):
                return None
            free = self._free[slot_bytes]
        slot = free.pop()
        slot.by_writer = True
        segment = slot.segment
        segment.held += 1
        self._work += 1
        segment.work = self._work
        return slot

    def has_free(self, nbytes: int) -> bool:
        """True if `take` needs no new memory for it."""
        return bool(self._free.get(self._slot_bytes(nbytes)))

    def release_writer(self, slot: Slot) -> None:
        """The writer's own array is gone, or its copy is made."""
        slot.by_writer = False
        self._settle(slot)

    def release_reader(self, slot: Slot) -> None:
        """The reader gave the slot back, or is gone."""
        slot.by_reader = False
        self._settle(slot)

    def close(self) -> None:
        """Forget everything; memory lasts as long as arrays of it do."""
        for segment in self._segments.values():
            segment.forget()
        self._segments.clear()
        self._free.clear()
        self.total_bytes = 0

    def _settle(self, slot: Slot) -> None:
        segment = slot.segment
        if slot.by_writer or slot.by_reader or segment.number not in self._segments:
            return
        segment.held -= 1
        self._free[segment.slot_bytes].append(slot)

    def _slot_bytes(self, nbytes: int) -> int:
        half = self.byte_budget // 2
        wanted = class_bytes(nbytes)
        if wanted > half:
            wanted = -(-nbytes // _PAGE_BYTES) * _PAGE_BYTES
        if wanted > half:
            raise BudgetError(
                f"a tensor of {nbytes} bytes exceeds half of this edge's budget of {self.byte_budget} bytes",
                hint=f"start the writing stage with AISH_TENSOR_BUDGET={2 * wanted}, or send it in parts",
            )
        return wanted

    def _grow(self, slot_bytes: int, nbytes: int) -> bool:
        """One more segment of that class, dropping idle ones; False if it must wait for the reader."""
        slots = 1
        if slot_bytes <= _ARENA_SLOT_BYTES:
            slots = max(1, min(_ARENA_SLOTS, self.byte_budget // 16 // slot_bytes))
        size_bytes = slot_bytes * slots
        own_bytes = sum(s.size_bytes for s in self._segments.values() if any(slot.by_writer for slot in s.slots))
        if own_bytes and own_bytes + size_bytes > self.byte_budget // 2:
            raise BudgetError(
                f"{nbytes} bytes more exceed half of this edge's budget of {self.byte_budget} bytes: this program "
                f"holds {own_bytes} bytes in arrays of its own",
                hint="drop the arrays that `alloc` gave, sent or not, before the next; or raise AISH_TENSOR_BUDGET",
            )
        if not self._make_room(size_bytes):
            return False
        segment = Segment(self._next_segment, size_bytes, slot_bytes, self._next_slot)
        self._next_segment += 1
        self._next_slot += slots
        self._segments[segment.number] = segment
        self.total_bytes += size_bytes
        self._free.setdefault(slot_bytes, []).extend(reversed(segment.slots))
        return True

    def _make_room(self, size_bytes: int) -> bool:
        idle = sorted((s for s in self._segments.values() if not s.held), key=_last_work, reverse=True)
        while self.total_bytes + size_bytes > self.byte_budget or len(self._segments) >= SEGMENTS_LIMIT:
            if not idle:
                return False
            self._drop(idle.pop())
        return True

    def _drop(self, segment: Segment) -> None:
        del self._segments[segment.number]
        self.total_bytes -= segment.size_bytes
        free = self._free[segment.slot_bytes]
        free[:] = [slot for slot in free if slot.segment is not segment]
        if segment.fd < 0:
            self.dropped.append(segment.number)
        segment.forget()


def _last_work(segment: Segment) -> int:
    return segment.work
