"""The book-keeping of requests: crashes, full disks, who is counted when."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import resource
import signal
import time
from typing import TYPE_CHECKING

import pytest

from aish.errors import StorageError
from aish.supervisor.gateway import journal, redo
from aish.supervisor.gateway.amounts import NONE, Amounts, Budget, Most
from aish.supervisor.gateway.budget import Claim
from aish.supervisor.gateway.meter import Live
from aish.supervisor.gateway.records import Records
from aish.supervisor.gateway.row import Row
from aish.supervisor.gateway.spending import Spending

from . import recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "gateway.db")


@pytest.fixture
def records(path: str) -> Iterator[Records]:
    made = Records(path)
    yield made
    made.close()


@pytest.fixture
def again(path: str, records: Records) -> Iterator[Callable[[], Spending]]:
    """What a start finds after a kill -9 of the one before, which stays as it is: nothing more is written."""
    opened: list[Records] = []

    def start() -> Spending:
        opened.append(Records(path))
        made = spending(opened[-1])

        async def restore() -> None:
            made.restore()

        asyncio.run(restore())
        return made

    yield start
    for each in opened:
        each.close()


def row(number: int, process: str = "p1", **more: object) -> Row:
    made = Row(number, 1000.0 + number, 1, process, f"n-{process}", "agent", (process,), "small", "openai", "/x")
    for name, value in more.items():
        setattr(made, name, value)
    return made


def full(records: Records) -> Callable[[], None]:
    """Its redo log is on a full disk; until the function that is returned is called."""
    kept = os.dup(records.redo._fd)
    device = os.open("/dev/full", os.O_WRONLY)
    os.dup2(device, records.redo._fd)
    os.close(device)

    def space() -> None:
        os.dup2(kept, records.redo._fd)
        os.close(kept)

    return space


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


def test_what_was_under_way_counts_in_full_after_a_crash_where_a_budget_counts(
    path: str, records: Records, again: Callable[[], Spending]
) -> None:
    async def before() -> None:
        made = spending(records)
        place(made, "p1", None, 1000)
        place(made, "p2", "p1", None)
        place(made, "p3", None, None)
        for process in ("p2", "p3"):
            open_row = fresh(made, process)
            open_row.bytes_in = 40
            await made.reserve(open_row, Claim(open_row.number, process, 100, 50, 50), Live(0, process, ""))

    asyncio.run(before())
    for _ in range(2):
        made = again()
        assert made.ledger.accounts["p1"].spent.tokens == 150
        assert (made.tokens("p2").estimated, made.tokens("p3").estimated) == (150, 10)
        assert made.ledger.accounts["p1"].reserved == Amounts()
        assert [row["status"] for row in recorded.ended(path)] == [0, 0]


def test_a_full_disk_refuses_new_requests_and_keeps_what_was_settled(
    path: str, records: Records, again: Callable[[], Spending]
) -> None:
    async def play() -> None:
        made = spending(records)
        place(made, "p1", None, 1000)
        open_row = fresh(made, "p1")
        await made.reserve(open_row, Claim(open_row.number, "p1", 10, 10, 10), Live(0, "p1", ""))
        database, space = records._db, full(records)
        (pages,) = database.execute("PRAGMA page_count").fetchone()
        database.execute(f"PRAGMA max_page_count = {pages}")
        open_row.model = "m" * 9000  # needs a page of its own
        finish(made, open_row, 7, 8)
        await asyncio.sleep(0)
        refused = fresh(made, "p1")
        with pytest.raises(StorageError, match="the disk is full"):
            await made.reserve(refused, Claim(refused.number, "p1", 10, 10, 10), Live(0, "p1", ""))
        assert made.ledger.left("p1") == 985, "counted in memory, the refused one given back"
        made.journal.flush()
        assert [*recorded.left(path).under_way] == [open_row.number], "a file of the redo log that was begun is gone"
        space()
        database.execute("PRAGMA max_page_count = 1000000")
        made.journal.flush()

    asyncio.run(play())
    made = again()
    assert (made.ledger.accounts["p1"].spent.tokens, made.tokens("p1").input, made.tokens("p1").output) == (15, 7, 8)
    assert [row["status"] for row in recorded.ended(path)] == [200]


def test_what_the_redo_log_does_not_take_the_tables_have_and_no_start_counts_it_twice(
    path: str, records: Records, again: Callable[[], Spending]
) -> None:
    """Its beginning stands in a log that has no end of it."""

    async def play() -> None:
        made = spending(records)
        place(made, "p1", None, 1000)
        rows = [fresh(made, "p1") for _ in range(2)]
        for each in rows:
            await made.reserve(each, Claim(each.number, "p1", 10, 10, 10), Live(0, "p1", ""))
        space = full(records)
        finish(made, rows[0], 7, 8)
        made.give_back(rows[1].number)
        made.journal.write()
        made.journal.flush()
        space()

    asyncio.run(play())
    assert recorded.left(path).under_way == {}
    assert again().ledger.accounts["p1"].spent == Amounts(15, 7, 8, 0, 0)


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


def test_what_ended_is_written_down_in_its_turn_and_in_the_sums_a_moment_later(path: str, records: Records) -> None:
    """Many of one turn are one write, and one event of each process."""
    told: list[None] = []

    async def play() -> None:
        made = Spending(records, lambda: told.append(None))
        made.epoch = 1
        place(made, "p1", None, None)
        for _ in range(50):
            settled = fresh(made, "p1")
            settled.chain = ("p1",)
            finish(made, settled, 1, 1)
        await asyncio.sleep(0)
        assert len(recorded.left(path).ended) == 50
        async with asyncio.timeout(60):
            while not told:
                await asyncio.sleep(0.01)

    asyncio.run(play())
    assert len(told) == 1
    assert len(records.events(0)) == 1
    assert records.accounts()[0].requests == 50
    assert recorded.left(path).ended == []


def test_under_load_rows_do_not_wait_until_they_are_too_many_for_one_turn(
    path: str, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "SUMS_S", (3600.0, 3600.0))

    async def play() -> None:
        made = spending(records)
        place(made, "p1", None, None)
        for _ in range(journal._MANY):
            finish(made, fresh(made, "p1"), 1, 1)
        await asyncio.sleep(0)

    asyncio.run(play())
    assert recorded.left(path).ended == []
    assert records.accounts()[0].requests == journal._MANY


def test_each_that_begins_is_written_down_before_it_goes_on(path: str, records: Records) -> None:
    """It waits for no other turn of the loop, and all the same nothing is sent before it is there."""

    async def play() -> None:
        made = spending(records)
        place(made, "p1", None, 1000)
        alone = fresh(made, "p1")
        reserving = made.reserve(alone, Claim(alone.number, "p1", 10, 10, 10), Live(0, "p1", ""))
        with pytest.raises(StopIteration):  # it never had to wait
            reserving.send(None)
        assert [*recorded.left(path).under_way] == [alone.number]
        finish(made, alone, 5, 1)
        await asyncio.sleep(0)
        assert recorded.left(path).under_way == {}

    asyncio.run(play())


def test_a_full_disk_refuses_all_that_begin_and_keeps_nothing_of_them(path: str, records: Records) -> None:
    async def play() -> None:
        made = spending(records)
        place(made, "p1", None, 1000)
        space = full(records)
        rows = [fresh(made, "p1") for _ in range(5)]
        waits = (made.reserve(r, Claim(r.number, "p1", 10, 10, 10), Live(0, "p1", "")) for r in rows)
        refused = await asyncio.gather(*waits, return_exceptions=True)
        assert all(isinstance(error, StorageError) for error in refused)
        assert made.ledger.left("p1") == 1000
        space()
        again = fresh(made, "p1")
        await made.reserve(again, Claim(again.number, "p1", 10, 10, 10), Live(0, "p1", ""))
        assert [*recorded.left(path).under_way] == [again.number]

    asyncio.run(play())


def test_what_was_dropped_is_not_under_way(path: str, records: Records, again: Callable[[], Spending]) -> None:
    """It would be settled at its full bound by the next start."""

    async def play() -> None:
        made = spending(records)
        place(made, "p1", None, 1000)
        dropped = fresh(made, "p1")
        await made.reserve(dropped, Claim(dropped.number, "p1", 10, 10, 10), Live(0, "p1", ""))
        made.give_back(dropped.number)
        await asyncio.sleep(0)

    asyncio.run(play())
    assert again().ledger.accounts["p1"].spent == Amounts()
    assert recorded.ended(path) == []


def test_a_long_redo_log_is_replaced_and_nobody_under_way_is_lost(
    path: str, records: Records, again: Callable[[], Spending], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redo, "LONG_BYTES", 4000)

    async def play() -> int:
        made = spending(records)
        place(made, "p1", None, 10_000)
        stays = fresh(made, "p1")
        await made.reserve(stays, Claim(stays.number, "p1", 100, 11, 11), Live(0, "p1", ""))
        for _ in range(100):
            each = fresh(made, "p1")
            await made.reserve(each, Claim(each.number, "p1", 10, 10, 10), Live(0, "p1", ""))
            finish(made, each, 10, 1)
            made.journal.flush()
        return stays.number

    number = asyncio.run(play())
    assert records.redo.position.generation > 3
    assert records.redo.position.offset < 8000
    assert [*recorded.left(path).under_way] == [number]
    assert again().ledger.accounts["p1"].spent.tokens == 100 * 11 + 111


@pytest.mark.parametrize("starts", [1, 2])
def test_what_ended_just_before_a_crash_is_in_the_sums_once(
    path: str, records: Records, again: Callable[[], Spending], starts: int
) -> None:
    """It was written down, and the sums were not."""

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

    asyncio.run(before())
    assert [row.output for row, _ in recorded.left(path).ended] == [2]
    for _ in range(starts):
        made = again()
        assert made.ledger.accounts["p1"].spent == Amounts(13, 10, 3, 0, 2)
        assert (made.tokens("p2").requests, made.tokens("p1").requests) == (2, 0)
        assert [total.requests for total in made.records.served()] == [2]
        assert recorded.left(path).ended == []
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


def test_a_limit_that_was_taken_away_does_not_come_back(records: Records, again: Callable[[], Spending]) -> None:
    """What a request had changed of its account a moment before was written behind the deletion."""

    async def play() -> None:
        made = spending(records)
        place(made, "p1", None, None)
        made.limit("user", Budget(tokens=1000))
        finish(made, fresh(made, "p1"), 5, 5)
        made.limit("user", NONE)

    asyncio.run(play())
    assert "user" not in again().ledger.accounts


def test_who_was_refused_on_a_full_disk_goes_on_once_there_is_room_though_nothing_is_left_to_write(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "RETRY_S", 0.0)

    async def play() -> None:
        made = spending(records)
        place(made, "p1", None, 1000)
        made.limit("user", Budget(tokens=1000))
        records._db.execute("CREATE TRIGGER full BEFORE INSERT ON accounts BEGIN SELECT RAISE(ABORT, 'full'); END")
        finish(made, fresh(made, "p1"), 1, 1)
        made.journal.flush()
        with pytest.raises(StorageError):
            made.limit("user", Budget(tokens=2000))
        refused = fresh(made, "p1")
        with pytest.raises(StorageError):
            await made.reserve(refused, Claim(refused.number, "p1", 10, 10, 10), Live(0, "p1", ""))
        for _ in range(100):  # none of these stays in memory
            finish(made, fresh(made, "p1"), 0, 0)
        assert len(made.journal.unsaved) == 1
        records._db.execute("DROP TRIGGER full")
        goes = fresh(made, "p1")
        await made.reserve(goes, Claim(goes.number, "p1", 10, 10, 10), Live(0, "p1", ""))

    asyncio.run(play())


def test_who_waits_again_has_not_begun(path: str, records: Records, again: Callable[[], Spending]) -> None:
    """Others had its room, and after a crash it was counted at its bound beside them: 190 of 100."""

    async def play() -> None:
        made = spending(records)
        place(made, "p1", None, 100)
        first, other = fresh(made, "p1"), fresh(made, "p1")
        await made.reserve(first, Claim(first.number, "p1", 40, 50, 50), Live(0, "p1", ""))
        made.give_back(first.number)  # its way is barred now: it waits for another
        await made.reserve(other, Claim(other.number, "p1", 40, 60, 60), Live(0, "p1", ""))
        waits = asyncio.ensure_future(made.reserve(first, Claim(first.number, "p1", 40, 50, 50), Live(0, "p1", "")))
        await asyncio.sleep(0)
        assert not waits.done()
        assert [*recorded.left(path).under_way] == [other.number]
        waits.cancel()

    asyncio.run(play())
    assert again().ledger.accounts["p1"].spent.tokens == 100


def test_a_limit_of_a_day_counts_what_the_disk_does_not_take(records: Records) -> None:
    async def play() -> None:
        made = spending(records)
        place(made, "p1", None, None)
        records._db.execute("CREATE TRIGGER full BEFORE INSERT ON requests BEGIN SELECT RAISE(ABORT, 'full'); END")
        used = fresh(made, "p1")
        used.day, used.chain, used.server = made.day.number, ("p1",), "p9"
        finish(made, used, 300, 410)
        made.place("user", None, Budget(day=Most(tokens=1000)))
        today = made.ledger.accounts["user"].today
        assert today is not None
        assert today.spent.tokens == 710

    asyncio.run(play())


def test_a_redo_log_that_cannot_be_replaced_stays_in_use(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    """With no descriptor left nobody could begin any more."""
    monkeypatch.setattr(redo, "LONG_BYTES", 100)

    async def play() -> None:
        made = spending(records)
        place(made, "p1", None, 1000)
        for _ in range(3):
            each = fresh(made, "p1")
            await made.reserve(each, Claim(each.number, "p1", 10, 10, 10), Live(0, "p1", ""))
            finish(made, each, 1, 1)
        with no_descriptors():
            made.journal.flush()
        assert records.redo.position.generation == 1
        assert made.journal.unsaved == []
        made.journal.flush()
        assert records.redo.position.generation == 2, "also when there is nothing else to write"

    asyncio.run(play())


@contextlib.contextmanager
def no_descriptors() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_kill_9_at_any_moment_loses_nothing_that_was_written_down_and_counts_nothing_twice(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while a file of the redo log takes the place of another."""
    monkeypatch.setattr(redo, "LONG_BYTES", 700)
    Records(path).close()
    told = 0
    for kill in range(25):
        told += killed(path, after_s=random.Random(kill).uniform(0.0, 0.03))

        async def start() -> tuple[Amounts, int]:
            records = Records(path)
            made = spending(records)
            made.restore()
            made.journal.flush()
            (rows, tokens) = records._db.execute("SELECT count(*), sum(input + output) FROM requests").fetchone()
            spent = made.ledger.accounts["p1"].spent if "p1" in made.ledger.accounts else Amounts()
            assert spent.tokens == (tokens or 0)
            assert made.tokens("p1").requests == rows
            records.close()
            return spent, rows

        _, rows = asyncio.run(start())
        assert told <= rows <= told + kill + 1, "what was under way at a kill ended with it"
        told = rows


def killed(path: str, after_s: float) -> int:
    """Requests begin and end in a process, until that is killed; how many it said had ended."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(busy(path, writing))
        finally:
            os._exit(1)
    os.close(writing)
    try:
        assert os.read(reading, 1) == b"."  # it is up
        time.sleep(after_s)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with open(reading, "rb", closefd=False) as pipe:
            return len(pipe.read())
    finally:
        os.close(reading)


async def busy(path: str, fd: int) -> None:
    made = spending(Records(path))
    made.restore()
    place(made, "p1", None, None)
    os.write(fd, b".")
    for number in range(100_000):
        each = fresh(made, "p1")
        await made.reserve(each, Claim(each.number, "p1", 3, 4, 4), Live(0, "p1", ""))
        finish(made, each, 2, 3)
        made.journal.write()
        os.write(fd, b".")
        if number % 3 == 0:
            made.journal.flush()
