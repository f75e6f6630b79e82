"""gateway.db and the book-keeping over it: crashes, full disks, retention, usage tables."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from typing import TYPE_CHECKING

import msgspec
import pytest

from aish.errors import StorageError
from aish.supervisor.gateway import usage
from aish.supervisor.gateway.amounts import NONE, Amounts, Budget, Most
from aish.supervisor.gateway.budget import Claim
from aish.supervisor.gateway.meter import Live
from aish.supervisor.gateway.records import MAX_AGE_S, Records
from aish.supervisor.gateway.row import Row
from aish.supervisor.gateway.spending import Spending
from aish.wire.frame import MAX_FRAME_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


SUMS = ("cached", "reasoning", "cost_usd", "unpriced")
LATER_THAN_8 = ("DROP TABLE histories", "ALTER TABLE keys DROP COLUMN nice")
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


def test_old_rows_are_deleted_in_small_steps_and_open_ones_never(records: Records) -> None:
    with records.transaction():
        for number in range(1, 101):
            records.put_ended([row(number)])
        records.put_begun([row(101, status=None)])
    assert records.prune(1000.0, keep=50, batch=30) == 30
    assert records.prune(1000.0, keep=50, batch=30) == 20
    assert records.prune(1000.0, keep=50) == 0
    assert records.prune(1000.0 + MAX_AGE_S + 200, keep=1000) == 50
    assert [open_row.number for open_row in records.under_way()] == [101]


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
        made.put_begun([row(4, "p3", status=None)])
    assert {r.key: r.tokens.requests for r in usage.query(path, "agent", None).rows} == {"review": 2, "embeds": 1}
    assert [left.number for left in made.under_way()] == [4]
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
        records.put_begun([row(6, "p9", status=None)])
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


# --- book-keeping -----------------------------------------------------------------------------------------------


def spending(records: Records) -> Spending:
    made = Spending(records, lambda: None)
    made.epoch = 1
    return made


def place(made: Spending, id: str, parent: str | None, budget: int | None) -> None:
    made.place(id, parent, NONE if budget is None else Budget(tokens=budget))
    made.journal.flush()


def fresh(made: Spending, process: str) -> Row:
    return row(made.number(), process, status=None, chain=(), input=0, output=0)


def finish(made: Spending, open_row: Row, input: int, output: int) -> None:
    open_row.input, open_row.output, open_row.estimated, open_row.status = input, output, False, 200
    made.settle(open_row)


def test_what_was_under_way_counts_in_full_after_a_crash_where_a_budget_counts(path: str, records: Records) -> None:
    async def before() -> None:
        made = spending(records)
        place(made, "p1", None, 1000)
        place(made, "p2", "p1", None)
        place(made, "p3", None, None)
        for process in ("p2", "p3"):
            open_row = fresh(made, process)
            open_row.bytes_in = 40
            await made.reserve(open_row, Claim(open_row.number, process, 100, 50, 50), Live(0, process, ""))

    async def after() -> Spending:
        made = spending(records)
        made.restore()
        return made

    asyncio.run(before())
    made = asyncio.run(after())
    assert made.ledger.accounts["p1"].spent.tokens == 150
    assert (made.tokens("p2").estimated, made.tokens("p3").estimated) == (150, 10)
    assert made.ledger.accounts["p1"].reserved == Amounts()
    assert [r.status for r in usage_rows(path)] == [0, 0]


def usage_rows(path: str) -> list[Row]:
    db = sqlite3.connect(path)
    found = db.execute("SELECT status FROM requests").fetchall()
    db.close()
    return [row(0, status=status) for (status,) in found]


def test_a_full_disk_refuses_new_requests_and_keeps_what_was_settled(path: str, records: Records) -> None:
    async def play() -> None:
        made = spending(records)
        place(made, "p1", None, 1000)
        open_row = fresh(made, "p1")
        await made.reserve(open_row, Claim(open_row.number, "p1", 10, 10, 10), Live(0, "p1", ""))
        database = made.records._db
        (pages,) = database.execute("PRAGMA page_count").fetchone()
        database.execute(f"PRAGMA max_page_count = {pages}")
        open_row.model = "m" * 9000  # needs a page of its own
        finish(made, open_row, 7, 8)
        await asyncio.sleep(0)
        refused = fresh(made, "p1")
        with pytest.raises(StorageError, match="the disk is full"):
            await made.reserve(refused, Claim(refused.number, "p1", 10, 10, 10), Live(0, "p1", ""))
        assert made.ledger.left("p1") == 985, "counted in memory, the refused one given back"
        database.execute("PRAGMA max_page_count = 1000000")
        made.journal.flush()

    asyncio.run(play())
    records.close()
    records.__init__(path)  # type: ignore[misc]  # a new start on the same file
    (saved,) = records.accounts()
    assert (saved.spent.tokens, saved.input, saved.output) == (15, 7, 8)
    assert records.under_way() == []


def test_a_request_that_is_cancelled_while_it_waits_gives_everything_back(records: Records) -> None:
    async def play() -> None:
        made = spending(records)
        place(made, "p1", None, 30)
        first = fresh(made, "p1")
        await made.reserve(first, Claim(first.number, "p1", 10, 20, 20), Live(0, "p1", ""))
        waits = [fresh(made, "p1") for _ in range(3)]
        tasks = [
            asyncio.ensure_future(made.reserve(w, Claim(w.number, "p1", 5, 5, 5), Live(0, "p1", ""))) for w in waits
        ]
        await asyncio.sleep(0)
        tasks[0].cancel()
        await asyncio.gather(tasks[0], return_exceptions=True)
        finish(made, first, 10, 5)  # 15 left: the second may go at once
        tasks[1].cancel()  # ... and is cancelled in the very moment it was granted
        await asyncio.gather(tasks[1], return_exceptions=True)
        assert (await tasks[2]).output == 5
        assert made.ledger.left("p1") == 30 - 15 - 10
        assert made.ledger.claims == {}

    asyncio.run(play())


def transactions(records: Records) -> list[str]:
    """What is committed from now on is added to it."""
    found: list[str] = []
    records._db.set_trace_callback(lambda statement: found.append(statement) if statement == "COMMIT" else None)
    return found


def test_many_settlements_of_one_turn_are_one_transaction(records: Records) -> None:
    """And one event of each process, with the sums, a moment later."""
    told: list[None] = []

    async def play() -> None:
        made = Spending(records, lambda: told.append(None))
        made.epoch = 1
        place(made, "p1", None, None)
        commits = transactions(records)
        for _ in range(50):
            settled = fresh(made, "p1")
            settled.chain = ("p1",)
            finish(made, settled, 1, 1)
        await asyncio.sleep(0)
        assert len(commits) == 1
        assert len(records.unsummed()) == 50
        async with asyncio.timeout(60):
            while not told:
                await asyncio.sleep(0.01)
        assert len(commits) == 2

    asyncio.run(play())
    assert len(told) == 1
    assert len(records.events(0)) == 1
    assert records.accounts()[0].requests == 50
    assert records.unsummed() == []


def test_many_that_begin_in_one_turn_are_one_transaction(records: Records) -> None:
    """None of them may be sent before it is on the disk."""

    async def play() -> None:
        made = spending(records)
        place(made, "p1", None, 1000)
        commits = transactions(records)

        async def one() -> None:
            begun = fresh(made, "p1")
            await made.reserve(begun, Claim(begun.number, "p1", 10, 10, 10), Live(0, "p1", ""))
            assert begun.number in {row.number for row in records.under_way()}

        await asyncio.gather(*(one() for _ in range(20)))
        assert len(commits) == 1

    asyncio.run(play())


def test_a_full_disk_refuses_all_that_begin_together_and_keeps_nothing_of_them(records: Records) -> None:
    async def play() -> None:
        made = spending(records)
        place(made, "p1", None, 1000)
        records._db.execute("CREATE TRIGGER full BEFORE INSERT ON begun BEGIN SELECT RAISE(ABORT, 'full'); END")
        rows = [fresh(made, "p1") for _ in range(5)]
        waits = (made.reserve(r, Claim(r.number, "p1", 10, 10, 10), Live(0, "p1", "")) for r in rows)
        refused = await asyncio.gather(*waits, return_exceptions=True)
        assert all(isinstance(error, StorageError) for error in refused)
        assert made.ledger.left("p1") == 1000
        records._db.execute("DROP TRIGGER full")
        again = fresh(made, "p1")
        await made.reserve(again, Claim(again.number, "p1", 10, 10, 10), Live(0, "p1", ""))
        assert [row.number for row in records.under_way()] == [again.number]

    asyncio.run(play())


def test_a_request_whose_client_goes_before_the_commit_leaves_nothing_under_way(records: Records) -> None:
    """Its row would be settled at its full bound by the next start."""

    async def play() -> None:
        made = spending(records)
        place(made, "p1", None, 1000)
        first, gone, stays = fresh(made, "p1"), fresh(made, "p1"), fresh(made, "p1")
        tasks = [
            asyncio.ensure_future(made.reserve(r, Claim(r.number, "p1", 10, 10, 10), Live(0, "p1", "")))
            for r in (first, gone, stays)
        ]
        await asyncio.sleep(0)
        tasks[1].cancel()
        assert (await tasks[2]).output == 10
        assert [row.number for row in records.under_way()] == [first.number, stays.number]
        assert made.ledger.left("p1") == 960


def test_a_request_that_nobody_is_with_is_committed_before_it_goes_on(records: Records) -> None:
    """It waits for no other turn of the loop, and all the same nothing is sent before its row is there."""

    async def play() -> None:
        made = spending(records)
        place(made, "p1", None, 1000)
        alone = fresh(made, "p1")
        reserving = made.reserve(alone, Claim(alone.number, "p1", 10, 10, 10), Live(0, "p1", ""))
        with pytest.raises(StopIteration):  # it never had to wait
            reserving.send(None)
        assert [row.number for row in records.under_way()] == [alone.number]
        finish(made, alone, 5, 1)
        await asyncio.sleep(0)
        assert records.under_way() == []

    asyncio.run(play())


@pytest.mark.parametrize("starts", [1, 2])
def test_what_ended_just_before_a_crash_is_in_the_sums_once(path: str, records: Records, starts: int) -> None:
    """The row was committed, and the sums were not."""

    async def before() -> None:
        made = spending(records)
        place(made, "p1", None, 100)
        place(made, "p2", "p1", None)
        for output in (1, 2):
            ended = fresh(made, "p2")
            await made.reserve(ended, Claim(ended.number, "p2", 10, 10, 10), Live(0, "p2", ""))
            ended.server = "p9"
            finish(made, ended, 5, output)
            if output == 1:
                made.journal.flush()
        await asyncio.sleep(0)

    async def after() -> Spending:
        made = spending(records)
        made.restore()
        return made

    asyncio.run(before())
    assert [row.output for row, _ in records.unsummed()] == [2]
    for _ in range(starts):
        made = asyncio.run(after())
        assert made.ledger.accounts["p1"].spent == Amounts(13, 10, 3, 0, 2)
        assert (made.tokens("p2").requests, made.tokens("p1").requests) == (2, 0)
        assert [total.requests for total in records.served()] == [2]
        assert records.unsummed() == []
    slots = [slot for (slot,) in records._db.execute("SELECT slot FROM events ORDER BY slot")]
    assert slots == ["served/p9", "settled/p2"]


def test_of_an_earlier_process_table_only_the_keys_go_on(records: Records) -> None:
    """A process of today was billed for one that had its id before."""

    async def play() -> None:
        made = spending(records)
        for id in ("p1", "key:x"):
            place(made, id, None, 100)
        for id in ("p1", "key:x"):
            late = fresh(made, id)
            late.epoch, late.chain, late.server = 0, (id,), "p1"
            finish(made, late, 5, 6)
        assert [made.ledger.accounts[id].spent.tokens for id in ("p1", "key:x")] == [0, 11]
        assert [made.tokens(id).requests for id in ("p1", "key:x")] == [0, 1]

    asyncio.run(play())
    assert records.served() == []


def test_requests_under_way_in_a_file_of_version_5_are_settled(path: str) -> None:
    made = Records(path)
    with made.transaction():
        made.put_ended([row(1), row(2, status=None)])
    for later in LATER_THAN_5:
        made._db.execute(later)
    made._db.execute("PRAGMA user_version = 5")
    made.close()
    made = Records(path)
    assert [left.number for left in made.under_way()] == [2]
    assert made.unsummed() == []
    assert made.last_number() == 2
    assert usage.query(path, "process", None).rows[0].tokens.requests == 1
    made.close()


def test_what_was_used_today_is_not_lost_by_a_crash_in_the_middle_of_a_start(path: str) -> None:
    """A limit of a day that is on the disk without its sum, a crash, and another one before the start had written it:
    the day began anew, and a budget of 100 requests let 101 go."""
    crashed: list[Records] = []

    def begun() -> Spending:
        crashed.append(Records(path))  # kept open, as kill -9 leaves it: nothing is flushed
        return Spending(crashed[-1], lambda: None)

    async def used() -> None:
        made = begun()
        made.epoch = 1
        made.restore()
        place(made, "p1", None, None)
        for _ in range(3):
            each = fresh(made, "p1")
            await made.reserve(each, Claim(each.number, "p1", 10, 10, 10), Live(0, "p1", ""))
            finish(made, each, 10, 10)
        made.journal.flush()
        made.limit("user", Budget(day=Most(tokens=1000)))
        under_way = fresh(made, "p1")
        await made.reserve(under_way, Claim(under_way.number, "p1", 10, 10, 10), Live(0, "p1", ""))

    async def again() -> int:
        made = begun()
        made.epoch = 1
        made.restore()
        today = made.ledger.accounts["user"].today
        assert today is not None
        return today.spent.tokens

    asyncio.run(used())
    assert [asyncio.run(again()) for _ in range(3)] == [80, 80, 80]
    for records in crashed:
        records.close()
