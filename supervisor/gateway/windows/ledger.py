"""What is known of the usage windows of each account, pure.

A vendor tells in its answers which part of a window is used and when it begins anew. Nobody counts beside it: the
last word counts, and after its window has begun anew nothing is known until the next one. Unknown is None, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

Source = Literal["header", "log"]
"""Where it was read: headers of an answer, or the log of a session."""
HEADER: Final = "header"
LOG: Final = "log"
REJECTED: Final = "rejected"
"""The status of a window in which nothing more is allowed."""
SAME_PERIOD_S: Final = 300.0
"""Ends that differ by less are of one period: vendors round them, or tell them as seconds from now."""
UNSTATED_S: Final = 5 * 3600.0
"""How long a word is believed that tells neither when the window ends nor how long it is."""
SKEW_S: Final = 60.0
MOST_ACCOUNTS: Final = 64
MOST_WINDOWS: Final = 16
"""Of one account."""


@dataclass(slots=True, frozen=True)
class Account:
    """Whose windows: the model of the route, and a mark of the login that it is asked with ('': there is but one)."""

    name: str
    login: str = ""

    def __str__(self) -> str:
        return f"{self.name}#{self.login}" if self.login else self.name


@dataclass(slots=True, frozen=True)
class Sighting:
    """What was read about one window. None: nothing was said."""

    window: str
    """Its name: 5h, 7d, 7d_opus."""
    used: float | None = None
    """The part of it that is used; 1 is all."""
    resets_s: float | None = None
    """When it begins anew, seconds since the epoch."""
    status: str | None = None
    length_s: float | None = None


@dataclass(slots=True, frozen=True)
class Window:
    """One window as it was seen last; `at` tells what of it still holds."""

    account: Account
    name: str
    used: float | None
    resets_s: float | None
    status: str | None
    length_s: float | None
    seen_s: float
    source: Source

    def at(self, now_s: float) -> Window:
        """What is known now: of a window that has begun anew since, nothing."""
        ends_s = self.resets_s
        if ends_s is None:
            ends_s = self.seen_s + (UNSTATED_S if self.length_s is None else self.length_s)
        return self if now_s < ends_s else replace(self, used=None, resets_s=None, status=None)

    @property
    def spent(self) -> float | None:
        """The part that is used. All of one in which the vendor allows nothing more, whatever else it says."""
        if self.status == REJECTED:
            return max(1.0, self.used or 0.0)
        return self.used

    @property
    def began_s(self) -> float | None:
        if self.resets_s is None or self.length_s is None:
            return None
        return self.resets_s - self.length_s


@dataclass(slots=True)
class Ledger:
    """All windows by account and name, the most lately seen last."""

    windows: dict[tuple[Account, str], Window] = field(default_factory=dict)

    def see(
        self, account: Account, sightings: Iterable[Sighting], seen_s: float, source: Source, now_s: float
    ) -> list[Window]:
        """Take over what was read at `seen_s`; returns what is another now. Older words change nothing: logs are
        read late, and again."""
        found = []
        for sighting in sightings:
            key = (account, sighting.window)
            before = self.windows.get(key)
            if before is not None and seen_s < before.seen_s <= now_s + SKEW_S:
                continue
            if before is None and sum(1 for known, _ in self.windows if known == account) >= MOST_WINDOWS:
                continue
            after = _after(before, account, sighting, seen_s, source)
            self.windows.pop(key, None)
            self.windows[key] = after
            if before is None or replace(after, seen_s=before.seen_s) != before:
                found.append(after)
        return found

    def overflow(self) -> list[Window]:
        """Drop the accounts that were seen least lately beyond MOST_ACCOUNTS; returns their windows."""
        latest: dict[Account, None] = {}
        for account, _ in reversed(self.windows):
            latest.setdefault(account)
        kept = set(list(latest)[:MOST_ACCOUNTS])
        dropped = [window for (account, _), window in self.windows.items() if account not in kept]
        for window in dropped:
            del self.windows[window.account, window.name]
        return dropped

    def of(self, account: Account, now_s: float) -> list[Window]:
        """As they stand now, the shortest first."""
        found = [window.at(now_s) for (known, _), window in self.windows.items() if known == account]
        return sorted(found, key=_order)

    def all(self, now_s: float) -> list[Window]:
        found = [window.at(now_s) for window in self.windows.values()]
        return sorted(found, key=lambda window: (window.account.name, window.account.login, *_order(window)))


def _after(before: Window | None, account: Account, sighting: Sighting, seen_s: float, source: Source) -> Window:
    used, length_s, resets_s = sighting.used, sighting.length_s, sighting.resets_s
    if before is not None:
        length_s = before.length_s if length_s is None else length_s
        known = before.at(seen_s)
        if used is None and _same_period(known.resets_s, resets_s):
            used = known.used  # a refusal may tell the end alone
        if resets_s is None:
            resets_s = known.resets_s
    return Window(account, sighting.window, used, resets_s, sighting.status, length_s, seen_s, source)


def _same_period(before_s: float | None, after_s: float | None) -> bool:
    return before_s is not None and (after_s is None or abs(after_s - before_s) < SAME_PERIOD_S)


def _order(window: Window) -> tuple[float, str]:
    return (float("inf") if window.length_s is None else window.length_s, window.name)
