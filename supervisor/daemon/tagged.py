"""What runs of a table that was lost: found by the mark that each process has in its environment, which only we can
have given.

The holder knows its own children; what outlived a holder together with its keeper is nobody's child any more.
"""

from __future__ import annotations

import hmac
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from aish.supervisor.daemon import proc, tags

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_ID: Final = re.compile(r"p[1-9]\d{0,17}")


class Tagged(NamedTuple):
    id: str
    name: str | None
    """As its environment has it, unchecked."""
    pid: int
    start_ticks: int
    leads: bool
    """Whether it leads its session, as the first process of each does."""


def look(tag: Callable[[str], str], pids: Iterable[int] | None = None) -> list[Tagged]:
    """All that live and have a mark of ours, each with the id that it is of; hooks and probes left out."""
    found = []
    for pid in tags.everybody() if pids is None else pids:
        said = tags.values_of(pid, (tags.VARIABLE, "AISH_ID", "AISH_NAME", tags.ERRAND))
        id_ = said.get("AISH_ID", "")
        if tags.ERRAND in said or not _ID.fullmatch(id_):
            continue
        if not hmac.compare_digest(said.get(tags.VARIABLE, "").encode(), tag(id_).encode()):
            continue
        place = proc.stat(pid)
        if place is not None and not proc.ended(pid):
            found.append(Tagged(id_, said.get("AISH_NAME"), pid, place.start_ticks, place.session == pid))
    return found


def leaders(found: Iterable[Tagged]) -> dict[str, Tagged]:
    """By id the one that was started first of those that lead a session: its children may lead others, but are
    younger. Pure."""
    chosen: dict[str, Tagged] = {}
    for each in sorted((each for each in found if each.leads), key=lambda each: (each.start_ticks, each.pid)):
        chosen.setdefault(each.id, each)
    return chosen
