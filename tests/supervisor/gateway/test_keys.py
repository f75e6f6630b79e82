"""Named keys on a disk that does not take them: nothing has happened then, and everything can be tried again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aish.errors import StorageError, UsageError
from aish.model.size import changed, parse_count
from aish.supervisor.gateway.amounts import Amounts, Budget
from aish.supervisor.gateway.bell import Bell
from aish.supervisor.gateway.keys import Keys, check_budget
from aish.supervisor.gateway.records import Records
from aish.supervisor.gateway.routes import Directory
from aish.supervisor.gateway.spending import Spending

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = b"s" * 32


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    made = Records(str(tmp_path / "gateway.db"))
    yield made
    made.close()


def opened(records: Records) -> Keys:
    return Keys(SECRET, Directory(), Spending(records, lambda: None), Bell())


def refuse(records: Records, table: str) -> None:
    """As a full disk: nothing goes into that table."""
    records._db.execute(f"CREATE TRIGGER full BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'full'); END")


def allow(records: Records) -> None:
    records._db.execute("DROP TRIGGER full")


@pytest.mark.parametrize("table", ["keys", "accounts"])
def test_a_key_that_is_not_written_is_not_there(records: Records, table: str) -> None:
    """Half of it was: a key that nobody was told, whose name was taken."""
    keys = opened(records)
    refuse(records, table)
    with pytest.raises(StorageError):
        keys.make("editor", Budget(tokens=5))
    allow(records)
    assert keys.named == {}
    assert records.named_keys() == []
    assert records.accounts() == []
    assert keys.make("editor", Budget(tokens=5))
    (account,) = records.accounts()
    assert (account.id, account.budget) == ("key:editor", Budget(tokens=5))


@pytest.mark.parametrize("table", ["keys", "accounts"])
def test_a_revocation_that_is_not_written_can_be_tried_again(records: Records, table: str) -> None:
    """It was in memory only: told as done the second time, and undone by the next start."""
    keys = opened(records)
    keys.make("editor")
    refuse(records, table)
    for _ in range(2):
        with pytest.raises(StorageError):
            keys.revoke("editor")
    assert keys.alive("key:editor").name == "editor"
    allow(records)
    assert keys.revoke("editor") is True
    assert keys.revoke("editor") is False
    assert [row.revoked_s is not None for row in opened(records).named.values()] == [True]


def test_a_budget_that_is_not_written_is_the_old_one(records: Records) -> None:
    spending = Spending(records, lambda: None)
    keys = Keys(SECRET, Directory(), spending, Bell())
    keys.make("editor", Budget(tokens=5))
    refuse(records, "keys")
    with pytest.raises(StorageError):
        keys.limit("editor", Budget(tokens=9))
    assert keys.find("editor").budget == spending.ledger.accounts["key:editor"].budget == Budget(tokens=5)
    allow(records)
    keys.limit("editor", Budget(tokens=9))
    assert keys.find("editor").budget == spending.ledger.accounts["key:editor"].budget == Budget(tokens=9)


def test_what_was_spent_stays_when_the_budget_changes(records: Records) -> None:
    spending = Spending(records, lambda: None)
    keys = Keys(SECRET, Directory(), spending, Bell())
    keys.make("editor", Budget(tokens=50))
    spending.ledger.spend(("key:editor",), Amounts(tokens=40))
    keys.limit("editor", Budget(tokens=60))
    assert spending.ledger.left("key:editor") == 20


@pytest.mark.parametrize("budget", [-1, 1 << 60, 1 << 63, 10**30])
def test_a_budget_that_cannot_be_kept_is_refused(records: Records, budget: int) -> None:
    keys = opened(records)
    with pytest.raises(UsageError, match="a budget"):
        keys.make("editor", Budget(tokens=budget))
    keys.make("editor", Budget(tokens=5))
    with pytest.raises(UsageError, match="a budget"):
        keys.limit("editor", Budget(tokens=budget))
    assert keys.find("editor").budget == Budget(tokens=5)


def test_a_budget_that_was_raised_too_often_is_refused() -> None:
    with pytest.raises(UsageError, match="too large"):
        check_budget(changed((1 << 60) - 1, "+1", parse_count, "tokens"))
    check_budget(changed(5, "none", parse_count, "tokens"))
