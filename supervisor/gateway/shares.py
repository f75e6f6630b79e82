"""Who goes next to the places of a model: fair shares of their time, by niceness, down the process tree. Pure.

Time at a place is what is shared. Every process has a share beside its siblings, for itself and all below it, so that
nobody gets more of it by starting others; within that share its own requests stand beside its children. Among
siblings the next turn is that of the one whose virtual time is least: time at a place moves it on, divided by the
weight. Who comes begins at the time of those who are there already, so that who was idle is owed nothing.

    start-time fair queueing    Goyal, Vin and Cheng 1996; for several places at once Jin, Chase and Kaur 2004
    weight                      1.25 for each level of niceness, as the kernel has it (sched_nice_to_weight)
    cost not known before       what a turn has taken is charged while it goes on, as the kernel does and as Sheng et
                                al. 2024 do with tokens; what it may take yet counts only for who is next

Nobody starves: who waits is next, whatever its niceness, once AGE times the time of an equal turn has gone to its
siblings since its last one. So it gets at least one part in AGE of what it would get if all were equally nice.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Final

AGE: Final = 16
LEVEL: Final = 1.25
FIRST_S: Final = 1.0
"""What a turn is taken to last before any has ended."""
LEAST_S: Final = 0.001
_LEARN: Final = 0.25  # how much the last turn counts for what the next is taken to last
_OWN: Final = ""
_SWEEP: Final = 64


@dataclass(slots=True, eq=False)
class Turn:
    """A request on its way to a place. `number` orders those of one process."""

    number: int
    share: Share = field(init=False, repr=False)
    began_s: float = 0.0
    """When it got its place, by any clock."""


@dataclass(slots=True, eq=False)
class Share:
    """A process among its siblings, with all below it; or, with the id "", its own requests beside its children.

    Turns that go on count for what they have taken by now: `at_work` of them, `began_s` the sum of their beginnings.
    """

    id: str
    above: Share | None
    weight: float = 1.0
    start: float = 0.0
    """Its virtual time, without the turns that go on."""
    used_s: float = 0.0
    """Time at places, without the turns that go on."""
    at_work: int = 0
    began_s: float = 0.0
    cost_s: float = FIRST_S
    """What a turn of it lasts, as far as is known."""
    others_s: float = 0.0
    """What its siblings had used when it last had a turn, or began to wait."""
    asked: int = 0
    """The request with which it began to wait: of those with equal time the first goes first."""
    waiting: int = 0
    waiters: int = 0
    """Of those below it, how many wait."""
    now: float = 0.0
    """Virtual time among those below it: where who comes begins."""
    below: dict[str, Share] = field(default_factory=dict)
    queue: list[Turn] = field(default_factory=list)
    sweep_at: int = _SWEEP

    @property
    def active(self) -> bool:
        return self.waiting > 0 or self.at_work > 0

    def elapsed(self, now_s: float) -> float:
        """What its turns that go on have taken."""
        return self.at_work * now_s - self.began_s

    def used(self, now_s: float) -> float:
        return self.used_s + self.elapsed(now_s)

    def time(self, now_s: float) -> float:
        """Its virtual time."""
        return self.start + self.elapsed(now_s) / self.weight

    def next(self, now_s: float) -> float:
        """The virtual time of its next turn: at the end of those that go on, as far as is known."""
        return self.start + max(self.at_work * self.cost_s, self.elapsed(now_s)) / self.weight

    def begins(self, now_s: float) -> None:
        self.at_work += 1
        self.began_s += now_s

    def ends(self, began_s: float, now_s: float) -> None:
        spent_s = max(now_s - began_s, LEAST_S)
        self.at_work -= 1
        self.began_s = self.began_s - began_s if self.at_work else 0.0
        self.start += spent_s / self.weight
        self.used_s += spent_s
        self.cost_s += (spent_s - self.cost_s) * _LEARN

    def path(self) -> Iterator[tuple[Share, Share]]:
        """Each share from here up, with the one above it."""
        share, above = self, self.above
        while above is not None:
            yield share, above
            share, above = above, above.above


class Shares:
    """The shares of one pool of places. `nice` tells the niceness of a process; `now_s` is of any clock."""

    def __init__(self, nice: Callable[[str], int]) -> None:
        self._nice = nice
        self.root = Share(_OWN, None)

    @property
    def waiting(self) -> int:
        return self.root.waiting

    def join(self, turn: Turn, line: tuple[str, ...], now_s: float) -> None:
        """It waits from now on. `line`: its process and those above it, nearest first."""
        share = self.root
        for id in (*reversed(line), _OWN):
            share = share.below.get(id) or self._add(share, id, now_s)
        turn.share = share
        insort(share.queue, turn, key=_number)
        for each, above in share.path():
            if not each.active:
                _catch_up(above, now_s)
                each.start = max(each.start, above.now)
            if each.waiting == 0:
                each.others_s, each.asked = _others(each, above, now_s), turn.number
                above.waiters += 1
            each.waiting += 1
        self.root.waiting += 1

    def withdraw(self, turn: Turn) -> None:
        """It does not wait any more, and has had no place."""
        self._waits_no_more(turn)
        self._begin_anew()

    def begin(self, turn: Turn, now_s: float) -> None:
        """It has a place now."""
        turn.began_s = now_s
        for share, above in turn.share.path():
            if _late(share, above, now_s):
                # What it owes by its niceness is forgiven, and does not become the time of the others.
                share.start -= max(0.0, share.time(now_s) - above.now)
            above.now = max(above.now, share.time(now_s))
            share.others_s = _others(share, above, now_s)
        self._waits_no_more(turn)
        for share, _ in turn.share.path():
            share.begins(now_s)
        self.root.begins(now_s)

    def end(self, turn: Turn, now_s: float) -> None:
        """Its place is free again."""
        for share, _ in turn.share.path():
            share.ends(turn.began_s, now_s)
        self.root.ends(turn.began_s, now_s)
        self._begin_anew()

    def order(self, now_s: float) -> Iterator[Turn]:
        """Who waits, in the order in which they would go if nothing changed. While it is told nothing may change."""
        return self._order(self.root, now_s)

    def _order(self, share: Share, now_s: float) -> Iterator[Turn]:
        if share.queue:
            yield from share.queue
            return
        heap: list[tuple[bool, float, int, str, Share, Iterator[Turn]]] = []
        for id, each in share.below.items():
            if each.waiting:
                self._weigh(each, share, now_s)
                late = _late(each, share, now_s)
                key = each.others_s - _others(each, share, now_s) if late else each.next(now_s)
                heap.append((not late, key, each.asked, id, each, self._order(each, now_s)))
        heapify(heap)
        while heap:
            in_time, time, asked, id, each, turns = heappop(heap)
            turn = next(turns, None)
            if turn is not None:
                yield turn
                time = time if in_time else share.now
                heappush(heap, (True, time + each.cost_s / each.weight, asked, id, each, turns))

    def _weigh(self, share: Share, above: Share, now_s: float) -> None:
        """By its niceness as it is now; what it owes shrinks or grows with that."""
        weight = LEVEL ** -self._nice(share.id or above.id)
        if weight == share.weight:
            return
        _catch_up(above, now_s)
        time = share.time(now_s)
        owes = max(0.0, time - above.now) * share.weight
        share.weight = weight
        share.start = min(time, above.now) + (owes - share.elapsed(now_s)) / weight

    def _add(self, above: Share, id: str, now_s: float) -> Share:
        if len(above.below) >= above.sweep_at:  # who is not there and owes nothing is as one who comes anew
            for old in [old for old in above.below.values() if not old.active and old.start <= above.now]:
                del above.below[old.id]
            above.sweep_at = 2 * len(above.below) + _SWEEP
        share = above.below[id] = Share(id, above, cost_s=above.cost_s)
        self._weigh(share, above, now_s)
        return share

    def _waits_no_more(self, turn: Turn) -> None:
        turn.share.queue.remove(turn)
        for share, above in turn.share.path():
            share.waiting -= 1
            if share.waiting == 0:
                above.waiters -= 1
        self.root.waiting -= 1

    def _begin_anew(self) -> None:
        """Where nobody is left, nothing is owed to anybody."""
        if not self.root.active:
            self.root = Share(_OWN, None, cost_s=self.root.cost_s)


def _catch_up(above: Share, now_s: float) -> None:
    """Virtual time goes on with those who are there."""
    times = [each.time(now_s) for each in above.below.values() if each.active]
    above.now = max(above.now, min(times, default=above.now))


def _others(share: Share, above: Share, now_s: float) -> float:
    """What all but this one have used of what was given to the one above them."""
    return above.used(now_s) - share.used(now_s)


def _late(share: Share, above: Share, now_s: float) -> bool:
    """Whether its siblings have had so much since its last turn that it is next, whatever its niceness."""
    return _others(share, above, now_s) - share.others_s > AGE * above.waiters * share.cost_s


def _number(turn: Turn) -> int:
    return turn.number
