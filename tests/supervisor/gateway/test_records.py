"""gateway.db: events, retention, usage tables, files of earlier versions."""

from __future__ import annotations

import sqlite3
import time
from typing import TYPE_CHECKING

import msgspec
import pytest

from aish.errors import StorageError
from aish.supervisor.gateway import usage
from aish.supervisor.gateway.records import MAX_AGE_S, Records
from aish.supervisor.gateway.row import Row
from aish.wire.frame import MAX_FRAME_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


SUMS = ("cached", "reasoning", "cost_usd", "unpriced")
LATER_THAN_10 = ("CREATE TABLE begun AS SELECT * FROM requests WHERE 0", "DELETE FROM meta WHERE key = 'redo'")
LATER_THAN_8 = (*LATER_THAN_10, "DROP TABLE histories", "ALTER TABLE keys DROP COLUMN nice")
LATER_THAN_7 = (
    *LATER_THAN_8,
    *(f"ALTER TABLE {name} DROP COLUMN subscription" for name in ("requests", "begun")),
    *(f"ALTER TABLE {name} DROP COLUMN observed" for name in ("accounts", "served")),
    "DROP TABLE sessions",
)
LATER_THAN_6 = (
    *LATER_THAN_7,
    *(f"ALTER TABLE accounts DROP COLUMN {name}" for name in ("project", "since_s", "today")),
    *(f"ALTER TABLE {name} DROP COLUMN day" for name in ("requests", "begun")),
)
LATER_THAN_5 = (
    *LATER_THAN_6,
    "DROP TABLE begun",
    "CREATE INDEX requests_open ON requests (number) WHERE status IS NULL",
)
LATER_THAN_1 = (
    *LATER_THAN_5,
    *(f"ALTER TABLE requests DROP COLUMN {name}" for name in (*SUMS[:3], "written", "price", "project")),
    *(f"ALTER TABLE accounts DROP COLUMN {name}" for name in (*SUMS, "limits", "warned")),
    *(f"ALTER TABLE accounts DROP COLUMN spent_{name}" for name in ("input", "output", "pusd", "requests")),
    "ALTER TABLE keys DROP COLUMN limits",
    "ALTER TABLE requests DROP COLUMN server",
    "DROP TABLE served",
    "DROP TABLE windows",
    "DROP TABLE logins",
    "ALTER TABLE requests DROP COLUMN agent",
)
"""Takes away what those versions of the file did not have."""


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "gateway.db")


@pytest.fixture
def records(path: str) -> Iterator[Records]:
    made = Records(path)
    yield made
    made.close()


def row(number: int, process: str = "p1", *, input: int = 1, output: int = 2, **more: object) -> Row:
    base = Row(number, 1000.0 + number, 1, process, f"n-{process}", "agent", (process,), "small", "openai", "/x")
    base.input, base.output, base.status, base.seconds, base.agent = input, output, 200, 0.5, "review"
    for name, value in more.items():
        setattr(base, name, value)
    return base


def test_the_file_is_private(path: str, records: Records) -> None:
    import os
    import stat

    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_an_event_of_the_same_slot_replaces_the_earlier_one_with_a_higher_number(records: Records) -> None:
    for body in (b"a", b"b"):
        with records.transaction():
            records.put_event("settled/p1", body)
    with records.transaction():
        records.put_event("ready/p2", b"c")
    assert [(event.number, event.body) for event in records.events(0)] == [(2, b"b"), (3, b"c")]
    records.acknowledge(3)
    assert records.events(0) == []
    with records.transaction():
        records.put_event("settled/p1", b"d")
    assert [event.number for event in records.events(0)] == [4], "numbers are never given twice"


def test_numbers_go_on_above_what_the_listener_has_acknowledged(records: Records) -> None:
    with records.transaction():
        records.put_event("a", b"a")
        records.put_event("b", b"b")
    records.continue_after(1)
    assert [event.number for event in records.events(0)] == [1, 2]
    records.continue_after(500)
    assert [(event.number, event.body) for event in records.events(0)] == [(501, b"a"), (502, b"b")]


def test_old_rows_are_deleted_in_small_steps(records: Records) -> None:
    with records.transaction():
        for number in range(1, 101):
            records.put_ended([row(number)])
    assert records.prune(1000.0, keep=50, batch=30) == 30
    assert records.prune(1000.0, keep=50, batch=30) == 20
    assert records.prune(1000.0, keep=50) == 0
    assert records.prune(1000.0 + MAX_AGE_S + 200, keep=1000) == 50


def test_a_transaction_that_fails_leaves_nothing(records: Records) -> None:
    def fail() -> None:
        with records.transaction():
            records.put_event("a", b"a")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert records.events(0) == []


def test_a_value_that_does_not_fit_is_an_error_of_ours_and_leaves_no_transaction(records: Records) -> None:
    """SQLite has 64 bits and whole characters: anything else ended whoever wrote it, the link among them."""
    for impossible in (lambda: records.acknowledge(1 << 63), lambda: records.prune(0.0, keep=1 << 64)):
        with pytest.raises(StorageError, match="does not fit"):
            impossible()

    def half_a_character() -> None:
        with records.transaction():
            records.put_event("a", b"a")
            records.put_event("\ud800", b"b")

    with pytest.raises(StorageError, match="does not fit"):
        half_a_character()
    assert records.events(0) == []
    with records.transaction():
        records.put_event("a", b"a")


def test_a_transaction_that_cannot_be_committed_leaves_nothing_open(records: Records) -> None:
    """The next one would fail for it, and every one after that."""
    records._db.execute("CREATE TABLE child (id INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)")
    records._db.execute("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
    records._db.execute("PRAGMA foreign_keys = ON")

    def fail() -> None:
        with records.transaction():
            records._db.execute("INSERT INTO child VALUES (5)")  # found out at the commit

    for _ in range(2):
        with pytest.raises(StorageError, match="FOREIGN KEY"):
            fail()


def test_a_file_of_another_version_is_refused(path: str) -> None:
    Records(path).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StorageError, match="another version"):
        Records(path)


def test_a_file_of_the_first_version_is_taken_over(path: str) -> None:
    """What was used before an update stays known, and is grouped like what comes after it."""
    made = Records(path)
    with made.transaction():
        made.put_ended([row(1, "p1", name="review")])
        made.put_ended([row(2, "p2", name="embeds", kind="command")])
    for later in LATER_THAN_1:
        made._db.execute(later)
    made._db.execute("PRAGMA user_version = 1")
    made.close()
    made = Records(path)
    with made.transaction():
        made.put_ended([row(3, "p3", name="review-2")])
    assert {r.key: r.tokens.requests for r in usage.query(path, "agent", None).rows} == {"review": 2, "embeds": 1}
    made.close()
    Records(path).close()


def test_sums_by_day_and_project_with_what_it_cost(path: str, records: Records) -> None:
    day_s = 1_700_000_000.0
    with records.transaction():
        records.put_ended([row(1, "p1", time_s=day_s, cost_usd=0.5, cached=3, reasoning=2, project="/a/aish.toml")])
        records.put_ended([row(2, "p1", time_s=day_s, cost_usd=None, project="/a/aish.toml")])
        records.put_ended([row(3, "p2", time_s=day_s + 86400, cost_usd=0.25)])
    days = usage.query(path, "day", None).rows
    assert sorted(r.key for r in days) == [
        time.strftime("%Y-%m-%d", time.localtime(day_s)),
        time.strftime("%Y-%m-%d", time.localtime(day_s + 86400)),
    ]
    projects = {r.key: r.tokens for r in usage.query(path, "project", None).rows}
    of_a = projects["/a/aish.toml"]
    assert (of_a.requests, of_a.cost_usd, of_a.cached, of_a.reasoning) == (2, 0.5, 3, 2)
    assert of_a.unpriced == row(2, "p1").input + row(2, "p1").output
    assert projects[""].cost_usd == 0.25


def test_usage_tables(path: str, records: Records) -> None:
    with records.transaction():
        records.put_ended([row(1, "p1", input=10, first_token_s=0.2)])
        records.put_ended([row(2, "p1", input=10, first_token_s=0.4, model="big")])
        records.put_ended([row(3, "p2", status=502, estimated=True)])
        records.put_ended([row(4, "p2", status=499)])
        records.put_ended([row(5, "key:x", kind=None, name="x", agent=None)])
    table = usage.query(path, "process", None)
    assert [r.key for r in table.rows] == ["p1", "p2", "key:x"]
    first, second, _ = table.rows
    assert (first.name, first.model, first.tokens.input, first.tokens.requests) == ("n-p1", None, 20, 2)
    assert first.first_token_s == pytest.approx(0.3)
    assert (second.model, second.failures, second.tokens.estimated, second.seconds) == ("small", 1, 3, 1.0)
    agent, named = usage.query(path, "agent", None).rows
    assert (agent.key, agent.name, agent.tokens.requests) == ("review", "review", 4), "of all its processes"
    assert (named.key, named.name, named.tokens.requests) == ("key:x", "x", 1), "who is no agent is not left out"
    assert {r.key: r.tokens.requests for r in usage.query(path, "model", None).rows} == {"small": 4, "big": 1}
    assert usage.query(path, "process", 1004.5).rows[0].key == "key:x"


def test_usage_fits_into_one_message(path: str, records: Records) -> None:
    """Whatever was recorded: a name of 30 MB was in every table, and no frame of the link could hold one."""
    with records.transaction():
        records.put_ended([row(1, model="m" * (30 << 20), input=10**6)])
        for number in range(2, usage.MOST_ROWS + 102):
            records.put_ended([row(number, model=f"{number:x<200}", input=number)])
    rows = usage.query(path, "model", None).rows
    assert len(rows) == usage.MOST_ROWS
    assert (rows[0].key, rows[0].model) == ("m" * 200, "m" * 200)
    assert [r.tokens.input for r in rows[1:3]] == [usage.MOST_ROWS + 101, usage.MOST_ROWS + 100], "the largest"
    assert len(msgspec.msgpack.encode(rows)) < MAX_FRAME_BYTES // 4


def test_what_was_under_way_or_in_no_sums_in_a_file_of_version_5_is_taken_over(path: str) -> None:
    made = Records(path)
    with made.transaction():
        made.put_ended([row(1), row(2, status=None)])
    for later in LATER_THAN_5:
        made._db.execute(later)
    made._db.execute("PRAGMA user_version = 5")
    made.close()
    made = Records(path)
    left = made.left()
    assert [*left.under_way] == [2]
    assert left.ended == []
    assert made.last_number() == 2
    assert usage.query(path, "process", None).rows[0].tokens.requests == 1
    made.close()


def test_what_was_in_no_sums_in_a_file_of_version_10_is_taken_over(path: str) -> None:
    """Its row was in `requests` already: it is counted with the sums that have it, once."""
    made = Records(path)
    with made.transaction():
        made.put_ended([row(1), row(2, output=7)])
    for later in LATER_THAN_10:
        made._db.execute(later)
    made._db.execute("INSERT INTO begun SELECT * FROM requests WHERE number = 2")
    made._db.execute("UPDATE begun SET output = 90, status = NULL")
    made._db.execute("PRAGMA user_version = 10")
    made.close()
    for _ in range(2):
        made = Records(path)
        assert [(row.output, bound and bound.output) for row, bound in made.left().ended] == [(7, 90)]
        assert [values[0] for values in made._db.execute("SELECT number FROM requests")] == [1]
        made.close()
