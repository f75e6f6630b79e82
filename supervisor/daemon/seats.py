"""Who is at the terminal of which process, and which of them has the lease to type. Pure: the caller tells them.

A master that was handed out cannot be called back by any kernel. A lease that is taken is therefore an agreement
among clients of one user, each of whom may write by his authority; who never had it, has no descriptor to write with.
"""

from __future__ import annotations


class Seat:
    """One connection's place. `writer` changes when another takes the lease."""

    __slots__ = ("where", "writer")

    def __init__(self, where: str) -> None:
        self.where = where
        self.writer = False


class Seats:
    def __init__(self) -> None:
        self._at: dict[str, list[Seat]] = {}

    def count(self, process: str) -> int:
        return len(self._at.get(process, ()))

    def writer(self, process: str) -> Seat | None:
        return next((seat for seat in self._at.get(process, ()) if seat.writer), None)

    def sit(self, process: str, where: str, *, write: bool, take: bool) -> Seat:
        """A new seat, with the lease if that is wanted and it is free, or taken."""
        seat = Seat(where)
        before = self.writer(process)
        if write and (before is None or take):
            if before is not None:
                before.writer = False
            seat.writer = True
        self._at.setdefault(process, []).append(seat)
        return seat

    def leave(self, process: str, seat: Seat) -> None:
        """With it its lease is free."""
        seats = self._at[process]
        seats.remove(seat)
        if not seats:
            del self._at[process]
