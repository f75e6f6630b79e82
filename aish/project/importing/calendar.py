"""systemd.time(7)'s calendar events as crontab(5) writes them, where it can. Pure."""

from __future__ import annotations

import re
from typing import Final

_WORDS: Final = {
    "minutely": "* * * * *",
    "hourly": "0 * * * *",
    "daily": "0 0 * * *",
    "weekly": "0 0 * * 1",
    "monthly": "0 0 1 * *",
    "quarterly": "0 0 1 1,4,7,10 *",
    "semiannually": "0 0 1 1,7 *",
    "yearly": "0 0 1 1 *",
    "annually": "0 0 1 1 *",
}
_DAYS: Final = {"mon": "1", "tue": "2", "wed": "3", "thu": "4", "fri": "5", "sat": "6", "sun": "0"}
_EVENT: Final = re.compile(
    r"(?:(?P<days>[A-Za-z,. -]*?[A-Za-z])\s+)?"
    r"(?:(?P<year>\*)-(?P<month>[^-\s]+)-(?P<day>[^-\s]+)\s*)?"
    r"(?:(?P<hour>[^:\s]+):(?P<minute>[^:\s]+)(?::(?P<second>0{1,2}))?)?"
)


def cron(event: str) -> str | None:
    """None where cron cannot say it, or it is not understood."""
    event = event.strip()
    if event.lower() in _WORDS:
        return _WORDS[event.lower()]
    found = _EVENT.fullmatch(event)
    if found is None or not event:
        return None
    days = "*" if found["days"] is None else _days(found["days"])
    fields = (
        "0" if found["minute"] is None else _field(found["minute"]),
        "0" if found["hour"] is None else _field(found["hour"]),
        _field(found["day"] or "*"),
        _field(found["month"] or "*"),
        days,
    )
    if None in fields or (fields[2] != "*" and fields[4] != "*"):  # cron takes either of these two, systemd both
        return None
    return " ".join(field for field in fields if field is not None)


def _field(text: str) -> str | None:
    """A number, a list, a range a..b, a step a/b."""
    parts = []
    for part in text.split(","):
        found = re.fullmatch(r"(\*|\d{1,2})(?:\.\.(\d{1,2}))?(?:/(\d{1,2}))?", part)
        if found is None:
            return None
        first, last, step = found.groups()
        if first == "*" and last is not None:
            return None
        base = first if first == "*" else str(int(first))
        if last is not None:
            base += f"-{int(last)}"
        if step is not None:
            if base.isdecimal() and int(base) != 0:
                return None
            base = ("*" if base in ("*", "0") else base) + f"/{int(step)}"
        parts.append(base)
    return ",".join(parts)


def _days(text: str) -> str | None:
    parts = []
    for part in text.replace(" ", "").split(","):
        ends = [_DAYS.get(end[:3].lower()) for end in re.split(r"\.\.|-", part)]
        if None in ends or len(ends) > 2:
            return None
        parts.append("-".join(end for end in ends if end is not None).replace("-0", "-7"))
    return ",".join(parts)
