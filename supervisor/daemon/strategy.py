"""Processes that fail together: who is restarted with whom, and who waits for whom. Pure.

The strategies are those of Erlang/OTP's supervisor(3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aish.model.exit import WANTED
from aish.model.state import RUNNING, STOPPING, YES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aish.supervisor.daemon.row import Row

Key = tuple[str | None, str | None, str]


def key(row: Row) -> Key | None:
    """Names its group: groups of other projects, or of other parents, are others."""
    group = row.spec.group
    return (row.spec.project, row.parent, group.name) if group is not None else None


def affected(row: Row, members: Iterable[Row]) -> list[Row]:
    """Whom the failure of `row` concerns. `members`: who of its group has not ended, without itself."""
    group = row.spec.group
    if group is None or group.strategy == "one_for_one":
        return []
    return [member for member in members if group.strategy == "one_for_all" or place(member) > group.place]


def failed_for_good(row: Row) -> bool:
    """Whether its end, which is final, is a failure: neither success nor what somebody wanted."""
    if row.again or row.handed_back or row.stop_reason in WANTED:
        return False
    match row.lifecycle:
        case "failed" | "lost":
            return True
        case "exited":
            return row.stop_reason is not None or row.exit is None or row.exit.code != 0
        case _:
            return False


def waits_for(row: Row, members: Iterable[Row]) -> str | None:
    """Why `row` may not start now, in words; None: nothing of its group stands in its way."""
    group = row.spec.group
    if group is None or group.strategy == "one_for_one":
        return None
    for member in sorted(members, key=place):
        if member.group_wish is not None or (member.group_restart and member.lifecycle == STOPPING):
            return f"{member.name}, which is being stopped with the group {group.name}"
        if place(member) < group.place and _awaited(member) and not _needs(member, row):
            state = "not ready yet" if member.lifecycle == RUNNING else member.lifecycle
            return f"{member.name}, which comes before it in the group {group.name} and is {state}"
    return None


def _awaited(row: Row) -> bool:
    """Whether it is on its way to running and ready."""
    match row.lifecycle:
        case "queued" | "starting" | "backoff":
            return True
        case "running":
            return row.spec.ready is not None and row.ready != YES
        case "scheduled" | "stopping" | "parked" | "exited" | "failed" | "lost":
            return False


def _needs(row: Row, other: Row) -> bool:
    return any(need.name == other.name for need in row.spec.needs)


def place(row: Row) -> int:
    """Where it stands in its group."""
    return row.spec.group.place if row.spec.group is not None else 0
