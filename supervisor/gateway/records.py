"""gateway.db: what must outlive the gateway. One writer, the event loop; WAL, so that readers never wait.

    meta          epoch, the daemon's last Sync without its members
    members       the process table as the daemon told it last: a gateway that starts alone still knows its limits
    accounts      cumulative tokens of every process and named key (own, and `spent` with everything below); also of
                  projects and the user while something is limited for them
    served        cumulative tokens of every model's process: what was routed to it, whoever asked
    keys          named keys, as hashes
    requests      one row per request that ended, and is in the sums, accounts and `served`. What is under way, and
                  what ended a moment ago, stands in the redo log: see redo.py
    events        what the daemon has not acknowledged; a later event of the same slot replaces the earlier one
    windows       usage windows of accounts, as they were told last
    logins        marks of bearers, and of the accounts that they stand for
    sessions      up to where logs of sessions are read
    histories     how long what vendors have stored of responses and conversations is

A commit survives kill -9 of the gateway (it is in the page cache); after a power cut the last moments may be missing,
the file stays sound. fsync happens only in checkpoints, see wal.py.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from aish.errors import StorageError
from aish.supervisor.gateway import schema
from aish.supervisor.gateway.account import Today
from aish.supervisor.gateway.amounts import Amounts, Budget, What
from aish.supervisor.gateway.redo import Left, Placed, Position, RedoLog
from aish.supervisor.gateway.row import INSERTED, SUMMED, AccountRow, EventRow, KeyRow, Row, ServedRow
from aish.supervisor.gateway.transaction import Guard, Transaction
from aish.supervisor.gateway.wal import WriteAheadLog
from aish.supervisor.gateway.windows.ledger import Account, Window
from aish.wire import account as accounts

# sqlite3 searches for how to adapt each None and bool that it is given, which is more than half of the time of a row:
# here it finds it at once.
sqlite3.register_adapter(type(None), dict[None, None]().get)
sqlite3.register_adapter(bool, int)

MAX_REQUESTS: Final = 200_000
MAX_AGE_S: Final = 90 * 86400.0
PRUNED: Final = 500
"""Rows deleted in one go: some milliseconds."""
CHECK_BELOW_BYTES: Final = 16 << 20
"""A larger file is not read through at every start."""
_END: Final = f"INSERT INTO requests {INSERTED}"
_REDO: Final = "redo"
_ACCOUNT: Final = (
    "id, parent, budget, limits, warned, spent, spent_input, spent_output, spent_pusd, spent_requests, "
    "project, since_s, today"
)
_SUMS: Final = ", ".join(SUMMED)
_encode: Final = msgspec.msgpack.Encoder().encode


class DamagedError(StorageError):
    """The file is no database, or not a whole one."""


class Records:
    """The open database. Every method raises StorageError when the disk does not take it."""

    def __init__(self, path: str, *, is_known: bool = False) -> None:
        """`is_known`: there has been one, so that an empty one is damaged. Raises DamagedError, StorageError."""
        self.path = path
        self._guarded = Guard(self._known_failure)
        with self._guard():
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
            self._db = sqlite3.connect(path, isolation_level=None, timeout=5.0, check_same_thread=False)
            try:
                if is_known and self._db.execute("PRAGMA user_version").fetchone() == (0,):
                    raise DamagedError(f"{path} is empty")
                schema.prepare(self._db, path)
                self.wal = WriteAheadLog(path, self._db)
                if os.stat(path).st_size < CHECK_BELOW_BYTES:
                    (verdict,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
                    if verdict != "ok":
                        raise DamagedError(f"{path} is damaged: {verdict}")
                self.redo = RedoLog(path, self._position())
            except BaseException:
                self._db.close()
                raise
        self._transaction = Transaction(self._db, self._guarded)

    def _position(self) -> Position:
        try:
            return msgspec.msgpack.decode(self.meta(_REDO) or b"", type=Position)
        except msgspec.DecodeError as error:
            raise DamagedError(f"{self.path} does not tell what it has of its redo log: {error}") from error

    def close(self) -> None:
        self.redo.close()
        with contextlib.suppress(sqlite3.Error):  # the last checkpoint is a convenience; the WAL holds everything
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()

    def _guard(self) -> Guard:
        return self._guarded

    def _known_failure(self, error: BaseException) -> StorageError | None:
        """What an error of the disk is to who writes; None: it is none."""
        if isinstance(error, sqlite3.DatabaseError):
            return self._failure(error)
        if isinstance(error, OSError):
            return StorageError(f"cannot open {self.path}: {error.strerror}")
        if isinstance(error, OverflowError | UnicodeEncodeError):  # beyond 64 bits; half a character
            return StorageError(f"a value does not fit into {self.path}: {error}")
        return None

    def _failure(self, error: sqlite3.Error) -> StorageError:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            return StorageError(f"the disk is full: {self.path} cannot grow", hint="free some space and try again")
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return DamagedError(
                f"{self.path} is damaged: {error}", hint="the gateway's next start keeps it aside, and begins anew"
            )
        return StorageError(f"cannot use {self.path}: {error}")

    def transaction(self) -> Transaction:
        """Everything inside happens, or nothing. Raises StorageError."""
        return self._transaction

    # --- the daemon's word --------------------------------------------------------------------------------------

    def meta(self, key: str) -> bytes | None:
        with self._guard():
            row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else row[0]

    def put_meta(self, key: str, value: bytes) -> None:
        """Inside a transaction."""
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def set_meta(self, key: str, value: bytes) -> None:
        with self._guard():
            self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def told(self) -> dict[str, bytes]:
        """What people said of usage windows, and files of projects of their budgets."""
        with self._guard():
            return dict(
                self._db.execute("SELECT key, value FROM meta WHERE key = 'window-rules' OR key GLOB 'declared/*'")
            )

    def members(self) -> list[bytes]:
        with self._guard():
            return [body for (body,) in self._db.execute("SELECT body FROM members")]

    def put_member(self, id: str, body: bytes) -> None:
        """Inside a transaction."""
        self._db.execute("INSERT OR REPLACE INTO members VALUES (?, ?)", (id, body))

    def replace_members(self, members: Sequence[tuple[str, bytes]]) -> None:
        """Inside a transaction."""
        self._db.execute("DELETE FROM members")
        self._db.executemany("INSERT INTO members VALUES (?, ?)", members)

    def new_epoch(self) -> None:
        """The process table starts afresh: ids mean other processes now. Inside a transaction."""
        self._db.execute(
            "DELETE FROM accounts WHERE id NOT GLOB 'key:*' AND id NOT GLOB 'project:*' AND id != 'user'"
        )
        self._db.execute("DELETE FROM served")
        self._db.execute("DELETE FROM events")
        self._db.execute("DELETE FROM sessions")

    # --- accounts -----------------------------------------------------------------------------------------------

    def accounts(self) -> list[AccountRow]:
        with self._guard():
            rows = self._db.execute(f"SELECT {_ACCOUNT}, {_SUMS} FROM accounts")  # noqa: S608  constants
            return [_account(row) for row in rows]

    def put_account(self, row: AccountRow) -> None:
        """Inside a transaction."""
        spent = row.spent
        self._db.execute(
            f"INSERT OR REPLACE INTO accounts ({_ACCOUNT}, {_SUMS}) VALUES ({_marks(22)})",  # noqa: S608  constants
            (
                *(row.id, row.parent, row.budget.tokens, _limits(row.budget), msgspec.json.encode(row.warned)),
                *(spent.tokens, spent.input, spent.output, spent.pusd, spent.requests),
                *(row.project, row.since_s, None if row.today is None else msgspec.json.encode(row.today)),
                *row.values(),
            ),
        )

    def drop_account(self, id: str) -> None:
        """Inside a transaction."""
        self._db.execute("DELETE FROM accounts WHERE id = ?", (id,))

    def served(self) -> list[ServedRow]:
        with self._guard():
            rows = self._db.execute(f"SELECT id, {_SUMS} FROM served")  # noqa: S608  constants
            return [ServedRow(row[0], **dict(zip(SUMMED, row[1:], strict=True))) for row in rows]

    def put_served(self, row: ServedRow) -> None:
        """Inside a transaction."""
        self._db.execute(
            f"INSERT OR REPLACE INTO served (id, {_SUMS}) VALUES ({_marks(10)})",  # noqa: S608  constants
            (row.id, *row.values()),
        )

    # --- keys ---------------------------------------------------------------------------------------------------

    def named_keys(self) -> list[KeyRow]:
        with self._guard():
            rows = self._db.execute(
                "SELECT name, hash, created_s, budget_tokens, limits, revoked_s, nice FROM keys ORDER BY created_s"
            )
            return [
                KeyRow(name, digest, created_s, _budget(tokens, limits), revoked_s, nice)
                for name, digest, created_s, tokens, limits, revoked_s, nice in rows
            ]

    def put_key(self, row: KeyRow) -> None:
        """Inside a transaction."""
        self._db.execute(
            "INSERT OR REPLACE INTO keys (name, hash, created_s, budget_tokens, limits, revoked_s, nice)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (row.name, row.hash, row.created_s, row.budget.tokens, _limits(row.budget), row.revoked_s, row.nice),
        )

    # --- logs of sessions ---------------------------------------------------------------------------------------

    def sessions(self) -> list[tuple[str, bytes, bytes]]:
        """Process, path of a log, and up to where that is read."""
        with self._guard():
            return list(self._db.execute("SELECT process, path, place FROM sessions"))

    def put_session(self, placed: Placed) -> None:
        """Inside a transaction."""
        values = (placed.process, placed.path, placed.seen_s, placed.place)
        self._db.execute("INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?)", values)

    def drop_sessions(self, processes: Iterable[str]) -> None:
        """Inside a transaction."""
        self._db.executemany("DELETE FROM sessions WHERE process = ?", [(process,) for process in processes])

    # --- what vendors have stored -------------------------------------------------------------------------------

    def history(self, id: str) -> int | None:
        """The tokens of a response or a conversation."""
        with self._guard():
            row = self._db.execute("SELECT tokens FROM histories WHERE id = ?", (id,)).fetchone()
        return None if row is None else int(row[0])

    def put_history(self, id: str, tokens: int, time_s: float) -> None:
        """Inside a transaction."""
        self._db.execute("INSERT OR REPLACE INTO histories VALUES (?, ?, ?)", (id, tokens, time_s))

    # --- usage windows ------------------------------------------------------------------------------------------

    def windows(self) -> list[Window]:
        """In the order in which they were seen."""
        with self._guard():
            rows = self._db.execute(
                "SELECT account, login, name, used, resets_s, status, length_s, seen_s, source FROM windows"
                " ORDER BY seen_s"
            )
            return [Window(Account(account, login), *rest) for account, login, *rest in rows]

    def put_window(self, account: Account, name: str, window: Window | None) -> None:
        """What is known of a window; None: it is forgotten. Inside a transaction."""
        key = (account.name, account.login, name)
        if window is None:
            self._db.execute("DELETE FROM windows WHERE account = ? AND login = ? AND name = ?", key)
            return
        self._db.execute(
            "INSERT OR REPLACE INTO windows (account, login, name, used, resets_s, status, length_s, seen_s, source)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *key,
                *(window.used, window.resets_s, window.status, window.length_s, window.seen_s, window.source),
            ),
        )

    def logins(self) -> list[tuple[str, str]]:
        """Marks of bearers and of their accounts, in the order in which they were learned."""
        with self._guard():
            return list(self._db.execute("SELECT bearer, account FROM logins ORDER BY rowid"))

    def put_login(self, bearer: str, account: str | None) -> None:
        """Inside a transaction."""
        self._db.execute("DELETE FROM logins WHERE bearer = ?", (bearer,))
        if account is not None:
            self._db.execute("INSERT INTO logins (bearer, account) VALUES (?, ?)", (bearer, account))

    # --- requests -----------------------------------------------------------------------------------------------

    def last_number(self) -> int:
        with self._guard():
            (number,) = self._db.execute("SELECT coalesce(max(number), 0) FROM requests").fetchone()
        return max(int(number), self.redo.left.last_number)

    def left(self) -> Left:
        """What the redo log had at the start, and the tables have not. Once."""
        left, self.redo.left = self.redo.left, Left(last_number=self.redo.left.last_number)
        numbers = [*left.under_way, *(row.number for row, _ in left.ended)]
        if not numbers:
            return left
        with self._guard():
            found = self._db.execute("SELECT number FROM requests WHERE number >= ?", (min(numbers),))
            return left.without({number for (number,) in found})

    def put_ended(self, rows: Iterable[Row]) -> None:
        """The final figures, together with the sums that have them. Inside a transaction."""
        self._db.executemany(_END, [row.values() for row in rows])

    def put_position(self, position: Position) -> None:
        """Up to there in the redo log the tables have everything. Inside a transaction."""
        self.put_meta(_REDO, _encode(position))

    def spent_on(self, day: int, account: str) -> Amounts:
        """What requests that count for that day took, of a process, a key, a project or all (the user), as far as
        they are in the sums."""
        path = accounts.project(account)
        which = (
            "1" if account == accounts.USER else "instr(' ' || chain || ' ', ?)" if path is None else "project = ?"
        )
        value = () if account == accounts.USER else (f" {account} " if path is None else path,)
        with self._guard():
            row = self._db.execute(
                "SELECT coalesce(sum(input + output), 0), coalesce(sum(input), 0), coalesce(sum(output), 0),"  # noqa: S608
                " coalesce(sum(CAST(round(cost_usd * 1e12) AS INTEGER)), 0), count(server)"
                f" FROM requests WHERE day = ? AND {which}",
                (day, *value),
            ).fetchone()
        return Amounts(*row)

    def projects(self) -> list[str]:
        """The aish.toml of all projects that something is recorded of."""
        with self._guard():
            return [path for (path,) in self._db.execute("SELECT DISTINCT project FROM requests") if path]

    def prune(self, now_s: float, *, keep: int = MAX_REQUESTS, batch: int = PRUNED) -> int:
        """Delete up to `batch` of the oldest rows beyond the bounds; returns how many. Sums in accounts stay."""
        with self._guard():
            (newest,) = self._db.execute("SELECT coalesce(max(number), 0) FROM requests").fetchone()
            self._db.execute(
                "DELETE FROM histories WHERE id IN (SELECT id FROM histories WHERE time_s < ? LIMIT ?)",
                (now_s - MAX_AGE_S, batch),
            )
            deleted = self._delete("number <= ?", newest - keep, batch)
            return deleted + self._delete("time_s < ?", now_s - MAX_AGE_S, batch - deleted)

    def _delete(self, which: str, bound: float, most: int) -> int:
        """Each of the conditions is a range of an index."""
        return self._db.execute(
            f"DELETE FROM requests WHERE number IN (SELECT number FROM requests WHERE {which} LIMIT ?)",  # noqa: S608  constants
            (bound, most),
        ).rowcount

    # --- events -------------------------------------------------------------------------------------------------

    def put_event(self, slot: str, body: bytes) -> None:
        """Inside a transaction, or alone (then under `transaction` too, for the guard)."""
        self._db.execute("INSERT OR REPLACE INTO events (slot, body) VALUES (?, ?)", (slot, body))

    def events(self, after: int, limit: int = 200) -> list[EventRow]:
        with self._guard():
            rows = self._db.execute(
                "SELECT number, body FROM events WHERE number > ? ORDER BY number LIMIT ?", (after, limit)
            )
            return [EventRow(*row) for row in rows]

    def drop_event(self, number: int) -> None:
        with self._guard():
            self._db.execute("DELETE FROM events WHERE number = ?", (number,))

    def acknowledge(self, number: int) -> None:
        with self._guard():
            self._db.execute("DELETE FROM events WHERE number <= ?", (number,))

    def continue_after(self, acknowledged: int) -> None:
        """The listener has acknowledged numbers that this file never gave (it is a new file): go on above them."""
        with self.transaction():
            (last,) = self._db.execute(
                "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'events'"
            ).fetchone()
            if last >= acknowledged:
                return
            pending = self._db.execute("SELECT slot, body FROM events ORDER BY number").fetchall()
            self._db.execute("DELETE FROM events")
            self._db.execute("DELETE FROM sqlite_sequence WHERE name = 'events'")
            self._db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('events', ?)", (acknowledged,))
            self._db.executemany("INSERT INTO events (slot, body) VALUES (?, ?)", pending)


def _account(row: Sequence[Any]) -> AccountRow:
    return AccountRow(
        row[0],
        row[1],
        _budget(row[2], row[3]),
        Amounts(*row[5:10]),
        msgspec.json.decode(row[4], type=dict[What, int]) if row[4] else {},
        project=row[10],
        since_s=row[11],
        today=msgspec.json.decode(row[12], type=Today) if row[12] else None,
        **dict(zip(SUMMED, row[13:], strict=True)),
    )


def _budget(tokens: int | None, limits: str | None) -> Budget:
    """`limits` is all of it, as JSON; files of earlier versions have tokens alone."""
    return Budget(tokens=tokens) if limits is None else msgspec.json.decode(limits, type=Budget)


def _limits(budget: Budget) -> str | None:
    return msgspec.json.encode(budget).decode() if budget.limits else None


def _marks(count: int) -> str:
    return ", ".join("?" * count)
