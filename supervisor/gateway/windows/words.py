"""Rules over usage windows as people write them. Pure.

reserve=40%                 processes in the background use no more than 60 % of a window
share.@review=30%           that process, agent or key, with all that it starts, uses no more than 30 %
hours=09-18 days=mon-fri    when that holds, by the clock of this machine; hours=22-06 go on after midnight
background=key:ci           who is in the background whatever is known of it otherwise;
foreground=@review          who is not

claude/5h                   one window; claude#1f0c3a77/5h of one login, claude all of them
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from aish.errors import UsageError
from aish.model.nearest import nearest
from aish.supervisor.gateway.windows.rule import DAY_MIN, Rule, Target

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

RESERVE: Final = "reserve"
HOURS: Final = "hours"
DAYS: Final = "days"
FOREGROUND: Final = "foreground"
BACKGROUND: Final = "background"
SHARE: Final = "share."
WORDS: Final = (RESERVE, HOURS, DAYS, FOREGROUND, BACKGROUND)
NONE: Final = "none"
MOST_SUBJECTS: Final = 64
_DAY_NAMES: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TARGET: Final = re.compile(
    r"([A-Za-z0-9][A-Za-z0-9._:/+-]{0,127}?)(?:#([0-9a-f]{8}))?(?:/([0-9]{1,3}[mhdw](?:_[a-z0-9_]{1,24})?))?"
)
_SUBJECT: Final = re.compile(r"@?(?!key:)[A-Za-z0-9][A-Za-z0-9._:/+-]{0,127}|key:[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PERCENT: Final = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,2})?)%")
_CLOCK: Final = re.compile(r"([0-9]{1,2})(?::([0-5][0-9]))?")


def target(text: str) -> Target:
    """Raises UsageError."""
    match = _TARGET.fullmatch(text.removeprefix("@"))
    if match is None:
        raise UsageError(f"not a window: {text[:60]!r}", hint="such as claude, claude/5h, claude#1f0c3a77/7d")
    return Target(match[1], match[2] or "", match[3] or "")


def changed(rule: Rule | None, asked: Mapping[str, str]) -> Rule | None:
    """A rule after changes as they were typed; "none" lifts. None: nothing is said any more. Raises UsageError."""
    rule = rule or Rule()
    for word, text in asked.items():
        none = text == NONE
        match word:
            case "reserve":
                rule = msgspec.structs.replace(rule, reserve=None if none else _part(word, text))
            case "hours":
                rule = msgspec.structs.replace(rule, hours=None if none else _hours(text))
            case "days":
                rule = msgspec.structs.replace(rule, days=None if none else _days(text))
            case "foreground" | "background":
                rule = msgspec.structs.replace(rule, **{word: () if none else _subjects(word, text)})
            case _ if word.startswith(SHARE):
                subject = _subject(word.removeprefix(SHARE))
                shares = {known: part for known, part in rule.shares.items() if known != subject}
                rule = msgspec.structs.replace(rule, shares=shares if none else shares | {subject: _part(word, text)})
            case _:
                near = nearest(word, WORDS)
                raise UsageError(
                    f"no such word of a window: {word[:40]}",
                    hint=f"did you mean {near}=?" if near else ", ".join((*WORDS, f"{SHARE}@NAME")),
                )
    if len(rule.shares) > MOST_SUBJECTS:
        raise UsageError(f"more than {MOST_SUBJECTS} shares")
    if rule == Rule():
        return None
    if rule.reserve is None and not rule.shares:
        raise UsageError("nothing is limited by that", hint="say reserve=40%, or share.@NAME=30%")
    return rule


def told(rule: Rule) -> dict[str, str]:
    """As people write it."""
    found = {} if rule.reserve is None else {RESERVE: percent(rule.reserve)}
    found |= {SHARE + subject: percent(part) for subject, part in sorted(rule.shares.items())}
    if rule.hours is not None:
        found[HOURS] = "-".join(_clock_told(minutes) for minutes in rule.hours)
    if rule.days is not None:
        found[DAYS] = _days_told(rule.days)
    for word in (FOREGROUND, BACKGROUND):
        subjects: tuple[str, ...] = getattr(rule, word)
        if subjects:
            found[word] = ",".join(subjects)
    return found


def percent(part: float) -> str:
    return f"{part * 100:.4g}%"


def _part(word: str, text: str) -> float:
    match = _PERCENT.fullmatch(text)
    if match is None or float(match[1]) > 100:
        raise UsageError(f"{word}: not a part of a window: {text[:20]!r}", hint=f"such as {word}=40%")
    return float(match[1]) / 100


def _hours(text: str) -> tuple[int, int]:
    begin, dash, end = text.partition("-")
    first, last = _minutes(begin), _minutes(end) if dash else None
    if first is None or last is None or first in (DAY_MIN, last):
        raise UsageError(f"not hours: {text[:20]!r}", hint="such as hours=09-18, hours=08:30-17:15, hours=22-06")
    return first, last or DAY_MIN  # 18-00 ends at midnight


def _minutes(text: str) -> int | None:
    match = _CLOCK.fullmatch(text)
    minutes = int(match[1]) * 60 + int(match[2] or 0) if match is not None else DAY_MIN + 1
    return minutes if minutes <= DAY_MIN else None


def _clock_told(minutes: int) -> str:
    hour, minute = divmod(minutes, 60)
    return f"{hour:02}:{minute:02}" if minute else f"{hour:02}"


def _days(text: str) -> tuple[int, ...]:
    found: set[int] = set()
    for each in text.lower().split(","):
        first, dash, last = each.strip().partition("-")
        if first not in _DAY_NAMES or (dash and last not in _DAY_NAMES):
            raise UsageError(f"not days: {text[:40]!r}", hint="such as days=mon-fri, days=sat,sun")
        begin = _DAY_NAMES.index(first)
        count = (_DAY_NAMES.index(last) - begin) % 7 if dash else 0
        found.update((begin + ahead) % 7 for ahead in range(count + 1))
    return tuple(sorted(found))


def _days_told(days: Collection[int]) -> str:
    parts: list[list[int]] = []
    for day in sorted(days):
        if parts and parts[-1][-1] == day - 1:
            parts[-1].append(day)
        else:
            parts.append([day])
    names = [[_DAY_NAMES[day] for day in part] for part in parts]
    return ",".join(f"{part[0]}-{part[-1]}" if len(part) > 2 else ",".join(part) for part in names)


def _subjects(word: str, text: str) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(_subject(each.strip()) for each in text.split(",")))
    if len(found) > MOST_SUBJECTS:
        raise UsageError(f"{word}: more than {MOST_SUBJECTS}")
    return found


def _subject(text: str) -> str:
    """A key, else a process, agent or id, which are written with an @."""
    if not _SUBJECT.fullmatch(text):
        raise UsageError(f"not a process, agent or key: {text[:40]!r}", hint="such as @review or key:ci")
    return text if text.startswith(("@", "key:")) else f"@{text}"
