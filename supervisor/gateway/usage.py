"""`aish usage`: sums over the records, read through a connection of its own so that a large query holds up nobody."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from aish.errors import StorageError, UsageError
from aish.supervisor.gateway.dialects.call import MAX_NAME_CHARS
from aish.supervisor.gateway.requests import FAILED
from aish.supervisor.gateway.row import OBSERVED
from aish.supervisor.gateway.totals import KEY_PREFIX
from aish.wire.part import TokensPart, UsageRow
from aish.wire.reply import UsageTable

MOST_ROWS: Final = 2000
"""Of the longest names they fit into one message of the link."""
_MODEL: Final = f"substr(model, 1, {MAX_NAME_CHARS})"  # earlier versions recorded whatever was asked for
_GROUPS: Final = {
    # by -> (the key, the name, condition)
    "process": ("process", "max(name)", "1"),
    "model": (_MODEL, "NULL", "model != ''"),
    # NAME-2, which ran at the same time as NAME, is the same agent; who is none is there by its own name.
    "agent": (
        f"coalesce(agent, CASE WHEN process LIKE '{KEY_PREFIX}%' THEN process END, name, process)",
        "coalesce(max(agent), max(name))",
        "1",
    ),
    "day": ("date(time_s, 'unixepoch', 'localtime')", "NULL", "1"),
    "project": ("coalesce(project, '')", "NULL", "1"),
}


def query(path: str, by: str, since_s: float | None) -> UsageTable:
    """Sums by process, model or agent since a time: the MOST_ROWS largest. Raises UsageError, StorageError."""
    if by not in _GROUPS:
        raise UsageError(f"cannot group by {by!r}", hint="one of " + ", ".join(_GROUPS))
    key, name, condition = _GROUPS[by]
    statement = (
        f"SELECT {key}, {name}, CASE WHEN count(DISTINCT model) = 1 THEN max({_MODEL}) END,"  # noqa: S608  constants above
        " sum(input), sum(output), count(*), sum(CASE WHEN estimated THEN input + output ELSE 0 END),"
        " sum(cached), sum(reasoning), sum(coalesce(cost_usd, 0)),"
        " sum(CASE WHEN cost_usd IS NULL THEN input + output ELSE 0 END),"
        f" sum(CASE WHEN endpoint = '{OBSERVED}' THEN input + output ELSE 0 END),"
        f" sum(coalesce(seconds, 0)), avg(first_token_s), sum({FAILED})"
        f" FROM requests WHERE {condition} AND time_s >= ?"
        f" GROUP BY 1 ORDER BY sum(input) + sum(output) DESC, 1 LIMIT {MOST_ROWS}"
    )
    try:
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None, timeout=5.0)
        try:
            found = db.execute(statement, (since_s or 0.0,)).fetchall()
        finally:
            db.close()
    except sqlite3.Error as error:
        raise StorageError(f"cannot read {path}: {error}") from error
    return UsageTable(by=by, rows=[_usage_row(values) for values in found])


def _usage_row(values: tuple[Any, ...]) -> UsageRow:
    key, name, model, *sums, seconds, first_token_s, failures = values
    names = ("input", "output", "requests", "estimated", "cached", "reasoning", "cost_usd", "unpriced", "observed")
    return UsageRow(
        key=key,
        name=name,
        model=model,
        tokens=TokensPart(**dict(zip(names, sums, strict=True))),
        seconds=seconds,
        first_token_s=first_token_s,
        failures=failures,
    )
