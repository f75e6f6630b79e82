"""The write-ahead log of gateway.db stays short, whoever writes and reads meanwhile."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from aish.errors import StorageError
from aish.supervisor.gateway import wal
from aish.supervisor.gateway.records import Records
from aish.supervisor.gateway.row import Row
from aish.supervisor.gateway.wal import WRITES, checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOST_BYTES = 1 << 20
DEADLINE_S = 60


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "gateway.db")


@pytest.fixture
def records(path: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Records]:
    monkeypatch.setattr(wal, "MOST_BYTES", MOST_BYTES)
    made = Records(path)
    yield made
    made.close()


def length(path: str) -> int:
    return os.stat(f"{path}-wal").st_size


def one(records: Records, number: int) -> None:
    """A request ends, and is in the sums."""
    row = Row(number, 1000.0, 1, "p1", "n", "agent", ("p1",), "small", "openai", "/x", status=200)
    with records.transaction():
        records.put_ended([row])
        records.put_event("settled/p1", b"x" * 100)


def until(records: Records, path: str, bytes: int, first: int = 1) -> int:
    """Requests until the log is that long; the number of the next one."""
    while length(path) < bytes:
        one(records, first)
        first += 1
    return first


def test_a_constant_load_leaves_the_log_short(path: str, records: Records) -> None:
    """It grew to 120 MB: whenever a checkpoint had brought home what it saw, the next transaction was there."""

    async def play() -> tuple[int, int]:
        longest = count = 0

        async def look() -> None:
            while True:
                await records.wal.look()
                await asyncio.sleep(0)

        looks = asyncio.ensure_future(look())
        async with asyncio.timeout(DEADLINE_S):
            for count in range(1, 5001):
                one(records, count)
                longest = max(longest, length(path))
                await asyncio.sleep(0)
                if looks.done():
                    looks.result()
        looks.cancel()
        await asyncio.gather(looks, return_exceptions=True)
        return longest, count

    longest, count = asyncio.run(play())
    assert longest < 32 * MOST_BYTES, "some 100 MB were written"
    assert records.last_number() == count


def test_one_that_was_long_is_cut(path: str, records: Records) -> None:
    next_number = until(records, path, 3 * MOST_BYTES)
    asyncio.run(records.wal.look())
    one(records, next_number)
    assert length(path) <= MOST_BYTES


def test_who_reads_holds_up_no_checkpoint_and_is_shown_what_was(path: str, records: Records) -> None:
    """The writer waited for a reader to end, for up to five seconds, and all requests with it."""
    until(records, path, MOST_BYTES // 2)
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        (seen,) = reader.execute("SELECT count(*) FROM requests").fetchone()
        next_number = until(records, path, 2 * MOST_BYTES, seen + 1)

        async def looked() -> None:
            async with asyncio.timeout(60):
                await records.wal.look()

        asyncio.run(looked())
        one(records, next_number)
        assert reader.execute("SELECT count(*) FROM requests").fetchone() == (seen,)
    asyncio.run(records.wal.look())
    one(records, next_number + 1)
    assert length(path) <= MOST_BYTES


def test_little_that_was_written_stays_where_it_is(path: str, records: Records) -> None:
    """A checkpoint waits for the disk, twice: not for one request."""
    asyncio.run(records.wal.look())
    one(records, 1)
    before = os.stat(path).st_size
    asyncio.run(records.wal.look())
    assert os.stat(path).st_size == before
    for number in range(2, WRITES):
        one(records, number)
    asyncio.run(records.wal.look())
    assert os.stat(path).st_size > before


def test_a_checkpoint_that_cannot_even_begin_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot write"):
        checkpoint(str(tmp_path / "no folder" / "gateway.db"))
