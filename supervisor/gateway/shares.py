"""Who goes next to the places of a model: fair shares of their time, by niceness, down the process tree. Pure.

Time at a place is what is shared. Every process has a share beside its siblings, for itself and all below it, so that
nobody gets more of it by starting others; within that share its own requests stand beside its children. Among
siblings the next turn is that of the one whose virtual time is least: a turn moves it on by the time at a place,
divided by the weight. It begins at the time of those who are at work already, so that who was idle is owed nothing.

    start-time fair queueing    Goyal, Vin and Cheng 1996; for several places at once Jin, Chase and Kaur 2004
    weight                      1.25 for each level of niceness, as the kernel has it (sched_nice_to_weight)
    cost not known before       a turn is charged what those before it took, and then what it really takes, as the
                                kernel does and as Sheng et al. 2024 do with tokens

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
    charged_s: float | None = None
    """Time at a place that was charged for it; None: it waits."""


@dataclass(slots=True, eq=False)
class Share:
    """A process among its siblings, with all below it; or, with the id "", its own requests beside its children."""

    id: str
    above: Share | None
    start: float = 0.0
    """Virtual time of its next turn."""
    weight: float = 1.0
    cost_s: float = FIRST_S
    """What a turn of it lasts, as far as is known."""
    since_s: float = 0.0
    """What its siblings and it had been given when it last had a turn, or began to wait; without its own."""
    asked: int = 0
    """The request with which it began to wait: of those with equal time the first goes first."""
    waiting: int = 0
    at_work: int = 0
    now: float = 0.0
    """Virtual time among those below it: where the last turn began."""
    given_s: float = 0.0
    """Time at places given to those below it."""
    waiters: int = 0
    """Of those below it, how many wait."""
    below: dict[str, Share] = field(default_factory=dict)
    queue: list[Turn] = field(default_factory=list)
    sweep_at: int = _SWEEP

    @property
    def active(self) -> bool:
        return self.waiting > 0 or self.at_work > 0

    @property
    def late(self) -> bool:
        """Whether its siblings have had so much since its last turn that it is next, whatever its niceness."""
        above = self.above
        return above is not None and above.given_s - self.since_s > AGE * above.waiters * self.cost_s

    def path(self) -> Iterator[tuple[Share, Share]]:
        """Each share from here up, with the one above it."""
        share, above = self, self.above
        while above is not None:
            yield share, above
            share, above = above, above.above


class Shares:
    """The shares of one pool of places. `nice` tells the niceness of a process."""

    def __init__(self, nice: Callable[[str], int]) -> None:
        self._nice = nice
        self.root = Share(_OWN, None)

    @property
    def waiting(self) -> int:
        return self.root.waiting

    def join(self, turn: Turn, chain: tuple[str, ...]) -> None:
        """It waits from now on. `chain`: its process and those above it, nearest first."""
        share = self.root
        for id in (*reversed(chain), _OWN):
            share = share.below.get(id) or self._add(share, id)
        turn.share = share
        insort(share.queue, turn, key=_number)
        for each, above in share.path():
            if each.waiting == 0:
                each.start = max(each.start, above.now)
                each.since_s, each.asked = above.given_s, turn.number
                above.waiters += 1
            each.waiting += 1
        self.root.waiting += 1

    def withdraw(self, turn: Turn) -> None:
        """It does not wait any more, and has had no place."""
        self._waits_no_more(turn)
        self._forget(turn.share)

    def begin(self, turn: Turn) -> None:
        """It has a place now."""
        cost_s = turn.share.cost_s
        for share, above in turn.share.path():
            if share.late:
                # What it owes by its niceness is forgiven, and does not become the time of the others.
                share.start = min(share.start, above.now)
            above.now = max(above.now, share.start)
        self._waits_no_more(turn)
        turn.charged_s = 0.0
        for share, above in turn.share.path():
            share.at_work += 1
            share.since_s = above.given_s
        self.root.at_work += 1
        self.charge(turn, cost_s)

    def charge(self, turn: Turn, spent_s: float) -> None:
        """It has been at its place for so long: what was charged is made that."""
        assert turn.charged_s is not None
        more_s = spent_s - turn.charged_s
        turn.charged_s = spent_s
        for share, above in turn.share.path():
            share.start += more_s / share.weight
            above.given_s += more_s
            share.since_s += more_s

    def end(self, turn: Turn, spent_s: float) -> None:
        """Its place is free again, after so long."""
        spent_s = max(spent_s, LEAST_S)
        self.charge(turn, spent_s)
        share: Share | None = turn.share
        while share is not None:
            share.at_work -= 1
            share.cost_s += (spent_s - share.cost_s) * _LEARN
            share = share.above
        self._forget(turn.share)

    def order(self) -> Iterator[Turn]:
        """Who waits, in the order in which they would go if nothing changed. Anything may change between two turns,
        but nothing while they are told."""
        return self._order(self.root)

    def _order(self, share: Share) -> Iterator[Turn]:
        if share.queue:
            yield from share.queue
            return
        heap: list[tuple[bool, float, int, str, Share, Iterator[Turn]]] = []
        for id, each in share.below.items():
            if each.waiting:
                self._weigh(each, share)
                late = each.late
                heap.append((not late, each.since_s if late else each.start, each.asked, id, each, self._order(each)))
        heapify(heap)
        while heap:
            in_time, start, asked, id, each, turns = heappop(heap)
            turn = next(turns, None)
            if turn is None:
                continue
            yield turn
            start = start if in_time else share.now
            heappush(heap, (True, start + each.cost_s / each.weight, asked, id, each, turns))

    def _weigh(self, share: Share, above: Share) -> None:
        """By its niceness as it is now; what it owes shrinks or grows with that."""
        weight = LEVEL ** -self._nice(share.id or above.id)
        if weight != share.weight:
            owed = max(0.0, share.start - above.now) * share.weight
            share.start = min(share.start, above.now) + owed / weight
            share.weight = weight

    def _add(self, above: Share, id: str) -> Share:
        if len(above.below) >= above.sweep_at:
            for old in [old for old in above.below.values() if not old.active and old.start <= above.now]:
                del above.below[old.id]
            above.sweep_at = 2 * len(above.below) + _SWEEP
        share = above.below[id] = Share(id, above, cost_s=above.cost_s)
        self._weigh(share, above)
        return share

    def _waits_no_more(self, turn: Turn) -> None:
        turn.share.queue.remove(turn)
        for share, above in turn.share.path():
            share.waiting -= 1
            if share.waiting == 0:
                above.waiters -= 1
        self.root.waiting -= 1

    def _forget(self, share: Share) -> None:
        """What tells nothing: nobody of it waits or is at work, and it owes nothing."""
        for each, above in share.path():
            if each.active or each.start > above.now:
                break
            del above.below[each.id]
        if not self.root.active:  # nobody is there to whom anything is owed
            self.root = Share(_OWN, None, cost_s=self.root.cost_s)


def _number(turn: Turn) -> int:
    return turn.number
