"""Which slots a reader's views hold, and the credits that it owes.

A slot is given back when the last view of it dies: each tensor is an ndarray made directly over the mapping, with a
weak reference whose callback notes the slot. Directly matters: slices and reshapes of such an array keep it alive as
their base, whereas slices of one ndarray over a whole segment would all have that one as their base (numpy shortens
chains of bases of one type), and the reference would fire while views of the slot still live.

The callback may run in any thread and in the middle of anything, so it only appends to a deque and then tries,
without waiting, to do the books.
"""

from __future__ import annotations

import collections
import threading
import weakref
from typing import TYPE_CHECKING

from aish.tensor import wire
from aish.tensor.errors import WireError

if TYPE_CHECKING:
    import mmap
    from typing import Any

    from numpy.typing import NDArray

    from aish.tensor.link import Link

__all__ = ["Holdings", "Room"]


class Room:
    """One segment as the reader sees it. `held` counts its slots with living views."""

    __slots__ = ("held", "number", "size_bytes", "view")

    def __init__(self, number: int, size_bytes: int, view: mmap.mmap) -> None:
        self.number = number
        self.size_bytes = size_bytes
        self.view = view
        self.held = 0


class _View(weakref.ref):  # type: ignore[type-arg]
    """A weak reference to the array over one slot."""

    __slots__ = ("nbytes", "room", "slot")

    slot: int
    nbytes: int
    room: Room


class Holdings:
    """The books of one reader. `depth` and `byte_budget` are the edge's, set when the writer greets."""

    def __init__(self, link: Link) -> None:
        self.depth = 1
        self.byte_budget = 0
        self._link = link
        self._lock = threading.Lock()
        self._views: dict[int, _View] = {}
        self._dead: collections.deque[_View] = collections.deque()
        self._owed: list[int] = []
        self._owed_bytes = 0
        self._pinned_bytes = 0

    @property
    def held(self) -> int:
        """Slots with living views."""
        return len(self._views) - len(self._dead)

    def full(self, room: Room) -> bool:
        """True if one more view, in `room`, would hold more than half of the edge: then a copy must do.

        The other half lets the writer go on, so a program that keeps what it reads (`list(reader)`) cannot wait for a
        writer that waits for it.
        """
        with self._lock:
            self._settle()
            pinned_bytes = self._pinned_bytes + (0 if room.held else room.size_bytes)
            return len(self._views) + 1 > self.depth // 2 or pinned_bytes > self.byte_budget // 2

    def check_new(self, slot: int) -> None:
        """Raise WireError if views of that slot live: its writer broke the rules."""
        with self._lock:
            self._settle()
            if slot in self._views:
                raise WireError(f"slot {slot} comes again before it was given back", field="slot")

    def check_unused(self, room: Room) -> None:
        """Raise WireError if views of that segment live."""
        with self._lock:
            self._settle()
            if room.held:
                raise WireError(f"segment {room.number} is dropped while {room.held} of its slots are in use")

    def add(self, array: NDArray[Any], slot: int, room: Room) -> None:
        """`array` is the view over the slot; its death gives the slot back."""
        view = _View(array, self._died)
        view.slot = slot
        view.nbytes = array.nbytes
        view.room = room
        with self._lock:
            self._views[slot] = view
            if not room.held:
                self._pinned_bytes += room.size_bytes
            room.held += 1

    def owe(self, slot: int, nbytes: int) -> None:
        """Give a slot back that got no view, with the next credits."""
        with self._lock:
            self._owed.append(slot)
            self._owed_bytes += nbytes
            self._settle()
            if self._enough():
                self._pay()

    def flush(self) -> None:
        """Send all credits that are owed: before the reader waits, since the writer may wait for them."""
        with self._lock:
            self._settle()
            self._pay()

    def abandon(self) -> None:
        """In a forked child, or after the end: owe nothing any more."""
        self._lock = threading.Lock()
        self._dead.clear()
        self._views.clear()
        self._owed.clear()

    def _died(self, view: _View) -> None:
        self._dead.append(view)
        if self._lock.acquire(blocking=False):
            try:
                self._settle()
                if self._enough():
                    self._pay()
            finally:
                self._lock.release()

    def _settle(self) -> None:
        """Book the views that died. The lock is held."""
        while self._dead:
            view = self._dead.popleft()
            if self._views.get(view.slot) is not view:
                continue
            del self._views[view.slot]
            view.room.held -= 1
            if not view.room.held:
                self._pinned_bytes -= view.room.size_bytes
            self._owed.append(view.slot)
            self._owed_bytes += view.nbytes

    def _enough(self) -> bool:
        """Credits travel in batches of a quarter of the depth, or an eighth of the budget."""
        return len(self._owed) * 4 >= self.depth or self._owed_bytes * 8 >= self.byte_budget

    def _pay(self) -> None:
        """Send what is owed; what finds no room stays owed. The lock is held."""
        while self._owed:
            batch = self._owed[: wire.DEPTH_LIMIT]
            try:
                if not self._link.send(wire.encode(wire.Credit(tuple(batch)))):
                    return
            except BrokenPipeError:
                pass  # the writer has ended and needs nothing back
            del self._owed[: len(batch)]
        self._owed_bytes = 0
