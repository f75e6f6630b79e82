"""A gateway.db that is damaged or gone takes no limit with it, whenever the gateway is killed meanwhile."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from typing import TYPE_CHECKING

import pytest

from aish.errors import StorageError
from aish.supervisor.gateway.amounts import Budget
from aish.supervisor.gateway.damage import open_records
from aish.supervisor.gateway.records import Records
from aish.supervisor.gateway.row import AccountRow
from aish.supervisor.gateway.spare import Spare
from aish.wire.account import USER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LIMITED = AccountRow(USER, budget=Budget(tokens=1000))


class KilledError(BaseException):
    """The gateway is no more, at this place."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of a database in which the user's tokens are limited, with a copy of that."""
    path = tmp_path / "gateway.db"
    records = Records(str(path))
    with records.transaction():
        records.put_account(LIMITED)
    asyncio.run(Spare(str(path)).keep(records))
    records.close()
    return path


def limit(records: Records) -> int | None:
    (account,) = [account for account in records.accounts() if account.id == USER]
    return account.budget.tokens


def damage(path: Path) -> None:
    path.write_bytes(b"this is no database at all" * 100)
    path.with_name("gateway.db-redo-1").write_bytes(b"nor is this")


def lose(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def behead(path: Path) -> None:
    """What there is without the write-ahead log, until that is taken over for the first time."""
    path.unlink()
    made = sqlite3.connect(path)
    made.execute("PRAGMA journal_mode = WAL")
    made.close()
    assert 0 < path.stat().st_size <= 4096


def killed_at(step: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """The gateway ends before (-: after) the change of a name of that number. How many there were."""
    steps = 0

    def dying(does: Callable[..., None]) -> Callable[..., None]:
        def change(*names: str) -> None:
            nonlocal steps
            steps += 1
            if steps == step:
                raise KilledError
            does(*names)
            if steps == -step:
                raise KilledError

        return change

    for name in ("rename", "unlink"):
        monkeypatch.setattr(os, name, dying(getattr(os, name)))
    return lambda: steps


@pytest.mark.parametrize("harm", [damage, lose, empty, behead])
@pytest.mark.parametrize("step", [*range(-8, 0), *range(1, 9)])
def test_a_kill_at_any_step_loses_no_limit(
    path: Path, harm: Callable[[Path], None], step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old one had been moved away, and a new one had its name before limits were in it: the next start took that
    for whole."""
    harm(path)
    with monkeypatch.context() as patched:
        steps = killed_at(step, patched)
        try:
            open_records(str(path))[0].close()
        except KilledError:
            assert steps() == abs(step)
        else:
            assert 2 <= steps() < abs(step), "there were moments to be killed at, and this is beyond them"
    records, _ = open_records(str(path))
    try:
        assert limit(records) == 1000
    finally:
        records.close()
    assert not list(path.parent.glob("*.begun*"))
    records, alert = open_records(str(path))
    records.close()
    assert alert is None, "it is whole again"


def test_one_that_is_gone_is_told(path: Path) -> None:
    """It was begun anew without a word and without limits."""
    lose(path)
    records, alert = open_records(str(path))
    records.close()
    assert alert is not None
    assert "gateway.db was damaged, or is gone" in alert


def test_the_first_one_is_no_loss(tmp_path: Path) -> None:
    records, alert = open_records(str(tmp_path / "gateway.db"))
    records.close()
    assert alert is None


def test_a_first_start_that_was_killed_is_no_loss(tmp_path: Path) -> None:
    """All would be held until somebody says limits that he never had."""
    behead_first = tmp_path / "gateway.db"
    behead_first.write_bytes(b"")
    behead(behead_first)
    (tmp_path / "gateway.db-redo-1").write_bytes(b"")
    records, alert = open_records(str(behead_first))
    records.close()
    assert alert is None


def test_a_copy_that_is_damaged_is_kept_and_all_is_held(path: Path) -> None:
    damage(path)
    path.with_name("gateway.limits").write_bytes(b"{")
    records, alert = open_records(str(path))
    try:
        assert limit(records) == 0
    finally:
        records.close()
    assert "aish limit user tokens=none" in (alert or "")
    assert path.with_name("gateway.limits.unread").read_bytes() == b"{"


@pytest.mark.parametrize("harm", [damage, lose])
def test_a_copy_that_cannot_be_read_now_is_not_replaced(path: Path, harm: Callable[[Path], None]) -> None:
    """An error that passes had all held, and that was written over the copy."""
    copy = path.with_name("gateway.limits")
    away = copy.rename(path.with_name("away"))
    copy.mkdir()
    harm(path)
    with pytest.raises(StorageError, match="cannot read the copy of limits"):
        open_records(str(path))
    copy.rmdir()
    away.rename(copy)
    records, _ = open_records(str(path))
    try:
        assert limit(records) == 1000
    finally:
        records.close()


def test_where_both_are_gone_what_was_under_way_tells_that_there_were_some(path: Path) -> None:
    lose(path)
    path.with_name("gateway.limits").unlink()
    path.with_name("gateway.db-redo-1").write_bytes(b"something")
    records, alert = open_records(str(path))
    try:
        assert limit(records) == 0
    finally:
        records.close()
    assert alert is not None
