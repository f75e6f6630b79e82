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

    def limit(self, budget: Budget) -> None:
        self.budget, self.limits = budget, budget.limits

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

    def passed(self) -> Iterator[Passed]:
        """What is 80 % used and was not told; it counts as told from now on."""
        for limits, spent, _, warned, daily in self.counted():
            for what, most in limits.summed():
                if warned.get(what) != most and getattr(spent, what) * 100 >= most * WARN_PERCENT:
                    warned[what] = most
                    yield Passed(self, what, daily)


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
