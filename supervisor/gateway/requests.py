"""`aish requests`: single rows of the records, read through a connection of its own as sums are."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any, Final

from aish.errors import StorageError, UsageError
from aish.supervisor.gateway.dialects.call import MAX_NAME_CHARS
from aish.supervisor.gateway.row import INSERTED, Row
from aish.wire.message import RequestsQuery
from aish.wire.part import RequestPart
from aish.wire.reply import RequestList

MOST_ROWS: Final = 500
"""Of the longest names they fit into one message of the link."""
MOST_NAMES: Final = 100
_COLUMNS: Final = (
    "number, time_s, process, name, agent, project, model, server, dialect, endpoint, stream, status, input, output,"
    " cached, reasoning, estimated, cost_usd, price, first_token_s, seconds, bytes_in, bytes_out"
)
_FIELDS: Final = tuple(_COLUMNS.split(", "))
_ALL: Final = (
    f"(SELECT {_COLUMNS} FROM requests UNION ALL SELECT {_COLUMNS} FROM under_way"  # noqa: S608  constants
    " WHERE number NOT IN (SELECT number FROM requests))"
)
"""Those under way, too."""
_UNDER_WAY: Final = f"INSERT INTO under_way {INSERTED}"
FAILED: Final = "(status >= 400 AND status != 499 OR status = 0)"


def query(path: str, wanted: RequestsQuery, under_way: Iterable[Row] = ()) -> RequestList:
    """The newest that are wanted, or those that follow one, of the records at `path` and of these. Raises UsageError,
    StorageError."""
    if not 0 <= wanted.last <= MOST_ROWS:
        raise UsageError(f"cannot show {wanted.last} requests at once", hint=f"at most {MOST_ROWS}")
    if len(wanted.who) > MOST_NAMES or len(wanted.numbers) > MOST_ROWS:
        raise UsageError(f"too many names at once: at most {MOST_NAMES}")
    conditions, values = _conditions(wanted)
    order = "DESC" if wanted.after is None else "ASC"
    statement = f"SELECT {_COLUMNS} FROM {_ALL} WHERE {{}} ORDER BY number {order} LIMIT ?"  # noqa: S608  constants
    try:
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None, timeout=5.0)
        try:
            db.execute("CREATE TEMP TABLE under_way AS SELECT * FROM requests WHERE 0")
            db.executemany(_UNDER_WAY, [row.values() for row in under_way])
            found = db.execute(statement.format(conditions), (*values, wanted.last + 1)).fetchall()
            marks = ", ".join("?" * len(wanted.numbers))
            these = db.execute(statement.format(f"number IN ({marks})"), (*wanted.numbers, MOST_ROWS)).fetchall()
        finally:
            db.close()
    except (OverflowError, UnicodeEncodeError) as error:  # beyond 64 bits; half a character
        raise UsageError(f"no request can have that: {error}") from error
    except sqlite3.Error as error:
        raise StorageError(f"cannot read {path}: {error}") from error
    rows = {values[0]: values for values in (*these, *found[: wanted.last])}
    return RequestList(
        requests=[_part(rows[number]) for number in sorted(rows)], more=len(found) > wanted.last
    )  # fmt: skip


def _conditions(wanted: RequestsQuery) -> tuple[str, list[object]]:
    conditions, values = ["time_s >= ?"], list[object]([wanted.since_s or 0.0])
    if wanted.after is not None:
        conditions.append("number > ?")
        values.append(wanted.after)
    if wanted.who:
        marks = ", ".join("?" * len(wanted.who))
        conditions.append(f"(process IN ({marks}) OR name IN ({marks}) OR agent IN ({marks}))")
        values += [name.removeprefix("@") for name in wanted.who] * 3
    if wanted.model is not None:
        conditions.append("model = ?")
        values.append(wanted.model.removeprefix("@"))
    if wanted.failed:
        conditions.append(FAILED)
    return " AND ".join(conditions), values


def _part(values: tuple[Any, ...]) -> RequestPart:
    fields = dict(zip(_FIELDS, values, strict=True))
    fields["stream"], fields["estimated"] = bool(fields["stream"]), bool(fields["estimated"])
    fields["model"] = fields["model"][:MAX_NAME_CHARS]  # earlier versions recorded whatever was asked for
    return RequestPart(**fields)
