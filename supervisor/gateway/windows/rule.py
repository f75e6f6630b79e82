"""What a person allows of usage windows: a reserve for the foreground, shares, hours. Pure.

A rule is about the windows of a model's accounts, of one login, or about one window of these; the nearest one counts,
and counts alone. Processes in the background use no more of a window than its reserve leaves; a process, agent or key
uses no more than its share, with all that it starts, in front or not. Both hold in the rule's hours only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from aish.supervisor.gateway.windows.ledger import Account, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

DAY_MIN: Final = 24 * 60
_EPSILON: Final = 1e-9
_AHEAD: Final = 9  # days: a week, and one on either side


@dataclass(slots=True, frozen=True, order=True)
class Target:
    """Which windows a rule is about. '': all logins; all windows."""

    name: str
    login: str = ""
    window: str = ""

    def __str__(self) -> str:
        return self.name + (f"#{self.login}" if self.login else "") + (f"/{self.window}" if self.window else "")


class Rule(msgspec.Struct, frozen=True, omit_defaults=True):
    """Shares are of a whole window, by subject: "@review", "key:ci". None: nothing is said."""

    reserve: float | None = None
    hours: tuple[int, int] | None = None
    """Minutes of the day: from, to (without it)."""
    days: tuple[int, ...] | None = None
    """0 is Monday."""
    shares: dict[str, float] = {}
    foreground: tuple[str, ...] = ()
    background: tuple[str, ...] = ()


@dataclass(slots=True, frozen=True)
class Caller:
    """Who asks. `names`: ids, names and agents of the process and of all above it; a key as key:NAME."""

    names: frozenset[str]
    background: bool


What = Literal["reserve", "share"]


@dataclass(slots=True, frozen=True)
class Barrier:
    """Why a request has to wait: more of the window is used than it may use."""

    window: Window
    what: What
    used: float
    most: float
    subject: str = ""
    """Whose share."""
    until_s: float | None = None
    """When it may be let go at the latest, as far as is known: the window begins anew, or the rule's hours end."""
    named: bool = False
    """The rule says who is in the background: it is, also where a person waits for it."""


@dataclass(slots=True)
class Rules:
    """All rules by what they are about."""

    rules: dict[Target, Rule] = field(default_factory=dict)

    def of(self, account: Account, window: str) -> Rule | None:
        """The nearest one."""
        target = self.nearest(account, window)
        return None if target is None else self.rules[target]

    def nearest(self, account: Account, window: str) -> Target | None:
        """What the rule of a window is about."""
        for login, name in ((account.login, window), ("", window), (account.login, ""), ("", "")):
            target = Target(account.name, login, name)
            if target in self.rules:
                return target
        return None

    def concern(self, account: Account) -> bool:
        return any(target.name == account.name for target in self.rules)

    def shares(self, account: Account, window: str) -> Mapping[str, float]:
        rule = self.of(account, window)
        return {} if rule is None else rule.shares


def barrier(
    rules: Rules,
    windows: Iterable[Window],
    caller: Caller,
    now: datetime,
    part: Callable[[Window, str], float | None],
) -> Barrier | None:
    """What keeps a request from going, or None. `windows`: those of its account, as they stand now. `part`: which
    part of a window a subject has used, as far as can be told. Of several barriers the one that lasts longest."""
    found = []
    for window in windows:
        rule = rules.of(window.account, window.name)
        if rule is None or window.spent is None or not holds(rule, now):
            continue
        ends_s = _until_s(rule, window, now)
        if rule.reserve is not None and in_background(rule, caller) and window.spent >= 1 - rule.reserve - _EPSILON:
            named = _names(rule.background, caller)
            found.append(Barrier(window, "reserve", window.spent, 1 - rule.reserve, until_s=ends_s, named=named))
        for subject, most in rule.shares.items():
            if subject.removeprefix("@") in caller.names:
                used = part(window, subject)
                if used is not None and used >= most - _EPSILON:
                    found.append(Barrier(window, "share", used, most, subject, ends_s))
    return max(found, key=lambda each: each.until_s or float("inf"), default=None)


def in_background(rule: Rule, caller: Caller) -> bool:
    """Whoever is named in both is in the foreground."""
    return not _names(rule.foreground, caller) and (caller.background or _names(rule.background, caller))


def _names(subjects: Iterable[str], caller: Caller) -> bool:
    return any(subject.removeprefix("@") in caller.names for subject in subjects)


def _until_s(rule: Rule, window: Window, now: datetime) -> float | None:
    ends_s = [each for each in (window.resets_s, change_s(rule, now)) if each is not None]
    return min(ends_s, default=None)


# --- hours ------------------------------------------------------------------------------------------------------


def holds(rule: Rule, now: datetime) -> bool:
    """Whether a rule holds at a moment of local time. Hours after midnight are of the day before."""
    if rule.hours is None:
        return rule.days is None or now.weekday() in rule.days
    begin, end = rule.hours
    minute = now.hour * 60 + now.minute
    if begin < end:
        return begin <= minute < end and _of(rule, now)
    return (minute >= begin and _of(rule, now)) or (minute < end and _of(rule, now - timedelta(days=1)))


def _of(rule: Rule, day: datetime) -> bool:
    return rule.days is None or day.weekday() in rule.days


def change_s(rule: Rule, now: datetime) -> float | None:
    """When `holds` will be another, seconds since the epoch; None: never."""
    if rule.hours is None and rule.days is None:
        return None
    state = holds(rule, now)
    # Full hours as well: where the clock is changed, that may come before the end that the rule names.
    minutes = sorted({*range(0, DAY_MIN, 60), *(rule.hours or ())})
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    for day in range(-1, _AHEAD):
        for minute in minutes:
            moment = (midnight + timedelta(days=day, minutes=minute)).astimezone()
            if moment.timestamp() > now.timestamp() and holds(rule, moment) != state:
                return moment.timestamp()
    return None
