"""What somebody may ask of models, has asked, and has been promised. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from aish.supervisor.gateway.amounts import NONE, Amounts, Budget, Most, What

WARN_PERCENT: Final = 80
MINUTE_S: Final = 60.0


class Counted(NamedTuple):
    """What limits sums, what is spent and promised of these, at which limits the 80 % warnings were given, and
    whether all that is of a day."""

    limits: Most
    spent: Amounts
    reserved: Amounts
    warned: dict[What, int]
    daily: bool


@dataclass(slots=True)
class Today:
    """Of one day, by its number, of an account that limits days."""

    day: int
    spent: Amounts = field(default_factory=Amounts)
    reserved: Amounts = field(default_factory=Amounts)
    warned: dict[What, int] = field(default_factory=dict)


@dataclass(slots=True)
class Account:
    """What one process and everything below it may spend, has spent, and has promised; or a named key, or all
    processes of a project, or everybody: see aish.wire.account."""

    id: str
    parent: str | None = None
    budget: Budget = NONE
    project: str | None = None
    """The account of the project that it is of."""
    spent: Amounts = field(default_factory=Amounts)
    reserved: Amounts = field(default_factory=Amounts)
    under_way: int = 0
    begun_s: deque[float] = field(default_factory=deque)
    """When requests of the last minute went, while that is limited."""
    warned: dict[What, int] = field(default_factory=dict)
    """Of what the 80 % warning was given, and at which budget: a raised one warns again."""
    today: Today | None = None
    """Kept where the budget limits days."""
    limits: bool = False
    costs: bool = False
    summed: tuple[tuple[What, int], ...] = ()
    summed_today: tuple[tuple[What, int], ...] = ()
    """What the budget limits, looked up when it changes: every request asks several times."""

    def limit(self, budget: Budget) -> None:
        self.budget, self.limits, self.costs = budget, budget.limits, budget.costs
        self.summed = tuple(budget.summed())
        self.summed_today = () if budget.day is None else tuple(budget.day.summed())

    def counted(self) -> Iterator[Counted]:
        """All that is limited in sum."""
        yield Counted(self.budget, self.spent, self.reserved, self.warned, False)
        if self.budget.day is not None and self.today is not None:
            yield Counted(self.budget.day, self.today.spent, self.today.reserved, self.today.warned, True)

    def day_of(self, number: int) -> Today | None:
        """Its sums of that day, where it is the one that is counted."""
        return self.today if self.today is not None and self.today.day == number else None

    def rate_free_s(self, now_s: float) -> float | None:
        """When the next request may go by the limit of a minute; None: now."""
        most = self.budget.per_minute
        if most is None:
            return None
        while self.begun_s and self.begun_s[0] <= now_s - MINUTE_S:
            self.begun_s.popleft()
        return self.begun_s[-most] + MINUTE_S if len(self.begun_s) >= most > 0 else None

    def above(self) -> dict[tuple[What, bool], int]:
        """By how much what is spent and promised is above what it allows, in all (False) and today (True)."""
        return {
            (what, daily): getattr(spent, what) + getattr(reserved, what) - most
            for limits, spent, reserved, _, daily in self.counted()
            for what, most in limits.summed()
        }

    def passed(self) -> list[Passed]:
        """What is 80 % used and was not told; it counts as told from now on."""
        found = [Passed(self, what) for what in _passed(self.summed, self.spent, self.warned)]
        if self.summed_today and self.today is not None:
            whats = _passed(self.summed_today, self.today.spent, self.today.warned)
            found += [Passed(self, what, daily=True) for what in whats]
        return found

    def left(self) -> list[tuple[What, int]]:
        """What is neither spent nor promised of all that is limited in sum."""
        spent, reserved = self.spent, self.reserved
        found = [(what, most - getattr(spent, what) - getattr(reserved, what)) for what, most in self.summed]
        if self.summed_today and self.today is not None:
            spent, reserved = self.today.spent, self.today.reserved
            for what, most in self.summed_today:
                found.append((what, most - getattr(spent, what) - getattr(reserved, what)))
        return found


def _passed(summed: tuple[tuple[What, int], ...], spent: Amounts, warned: dict[What, int]) -> list[What]:
    found: list[What] = []
    for what, most in summed:
        if getattr(spent, what) * 100 >= most * WARN_PERCENT and warned.get(what) != most:
            warned[what] = most
            found.append(what)
    return found


@dataclass(slots=True, frozen=True)
class Over:
    """A request used more than was reserved for it, and by that an account is `by` more above what it allows."""

    account: Account
    what: What
    daily: bool
    most: int
    by: int


@dataclass(slots=True, frozen=True)
class Passed:
    """80 % of something is used: in all, or of a day."""

    account: Account
    what: What
    daily: bool = False
