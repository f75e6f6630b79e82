"""The tables of gateway.db, and what makes a file of an earlier version one of this."""

from __future__ import annotations

import sqlite3
from typing import Final

import msgspec

from aish.errors import StorageError
from aish.supervisor.gateway import redo
from aish.supervisor.gateway.row import COLUMNS, Row

VERSION: Final = 11
_encode: Final = msgspec.msgpack.Encoder().encode
_SERVED: Final = """
CREATE TABLE served (
    id TEXT PRIMARY KEY, input INTEGER NOT NULL, output INTEGER NOT NULL, requests INTEGER NOT NULL,
    estimated INTEGER NOT NULL
) WITHOUT ROWID;
"""
_SUMS: Final = """
ALTER TABLE {table} ADD COLUMN cached INTEGER NOT NULL DEFAULT 0;
ALTER TABLE {table} ADD COLUMN reasoning INTEGER NOT NULL DEFAULT 0;
ALTER TABLE {table} ADD COLUMN cost_usd REAL NOT NULL DEFAULT 0;
ALTER TABLE {table} ADD COLUMN unpriced INTEGER NOT NULL DEFAULT 0;
"""
_COSTS: Final = f"""
{_SUMS.format(table="accounts")}
{_SUMS.format(table="served")}
ALTER TABLE requests ADD COLUMN cached INTEGER NOT NULL DEFAULT 0;
ALTER TABLE requests ADD COLUMN written INTEGER NOT NULL DEFAULT 0;
ALTER TABLE requests ADD COLUMN reasoning INTEGER NOT NULL DEFAULT 0;
ALTER TABLE requests ADD COLUMN cost_usd REAL;
ALTER TABLE requests ADD COLUMN price TEXT;
ALTER TABLE requests ADD COLUMN project TEXT;
ALTER TABLE accounts ADD COLUMN spent_input INTEGER NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN spent_output INTEGER NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN spent_pusd INTEGER NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN spent_requests INTEGER NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN limits TEXT;
ALTER TABLE accounts ADD COLUMN warned TEXT;
ALTER TABLE keys ADD COLUMN limits TEXT;
"""
"""What came with version 4; a new file is made the same way."""
_WINDOWS: Final = """
CREATE TABLE windows (
    account TEXT NOT NULL, login TEXT NOT NULL, name TEXT NOT NULL, used REAL, resets_s REAL, status TEXT,
    length_s REAL, seen_s REAL NOT NULL, source TEXT NOT NULL, PRIMARY KEY (account, login, name)
) WITHOUT ROWID;
CREATE TABLE logins (bearer TEXT NOT NULL PRIMARY KEY, account TEXT NOT NULL);
"""
"""What came with version 5."""
_BEGUN: Final = """
CREATE TABLE begun (
    number INTEGER PRIMARY KEY, time_s REAL NOT NULL, epoch INTEGER, process TEXT NOT NULL, name TEXT, kind TEXT,
    chain TEXT NOT NULL, model TEXT NOT NULL, dialect TEXT NOT NULL, endpoint TEXT NOT NULL, stream INTEGER NOT NULL,
    input INTEGER NOT NULL, output INTEGER NOT NULL, estimated INTEGER NOT NULL, status INTEGER,
    first_token_s REAL, seconds REAL, bytes_in INTEGER NOT NULL, bytes_out INTEGER NOT NULL, agent TEXT, server TEXT,
    cached INTEGER NOT NULL, written INTEGER NOT NULL, reasoning INTEGER NOT NULL, cost_usd REAL, price TEXT,
    project TEXT
);
"""
_COLUMNS: Final = (
    "number, time_s, epoch, process, name, kind, chain, model, dialect, endpoint, stream, input, output, estimated, "
    "status, first_token_s, seconds, bytes_in, bytes_out, agent, server, "
    "cached, written, reasoning, cost_usd, price, project"
)
_APART: Final = f"""
{_BEGUN}
INSERT INTO begun ({_COLUMNS}) SELECT {_COLUMNS} FROM requests WHERE status IS NULL;
DELETE FROM requests WHERE status IS NULL;
DROP INDEX requests_open;
"""  # noqa: S608  constants
"""What came with version 6: those under way have a table of their own."""
_DAYS: Final = """
ALTER TABLE accounts ADD COLUMN project TEXT;
ALTER TABLE accounts ADD COLUMN since_s REAL;
ALTER TABLE accounts ADD COLUMN today TEXT;
ALTER TABLE requests ADD COLUMN day INTEGER;
ALTER TABLE begun ADD COLUMN day INTEGER;
"""
"""What came with version 7."""
_OBSERVED: Final = """
ALTER TABLE requests ADD COLUMN subscription TEXT;
ALTER TABLE begun ADD COLUMN subscription TEXT;
ALTER TABLE accounts ADD COLUMN observed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE served ADD COLUMN observed INTEGER NOT NULL DEFAULT 0;
CREATE TABLE sessions (
    process TEXT NOT NULL, path BLOB NOT NULL, seen_s REAL NOT NULL, place BLOB NOT NULL, PRIMARY KEY (process, path)
) WITHOUT ROWID;
"""
"""What came with version 8."""
_NICE: Final = """
ALTER TABLE keys ADD COLUMN nice INTEGER NOT NULL DEFAULT 0;
"""
"""What came with version 9."""
_HISTORIES: Final = """
CREATE TABLE histories (id TEXT PRIMARY KEY, tokens INTEGER NOT NULL, time_s REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX histories_time ON histories (time_s);
"""
"""What came with version 10."""
_SCHEMA: Final = f"""
{_SERVED}
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE members (id TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE accounts (
    id TEXT PRIMARY KEY, parent TEXT, budget INTEGER, spent INTEGER NOT NULL, warned_at INTEGER,
    input INTEGER NOT NULL, output INTEGER NOT NULL, requests INTEGER NOT NULL, estimated INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE keys (
    name TEXT PRIMARY KEY, hash BLOB NOT NULL UNIQUE, created_s REAL NOT NULL, budget_tokens INTEGER, revoked_s REAL
) WITHOUT ROWID;
CREATE TABLE requests (
    number INTEGER PRIMARY KEY, time_s REAL NOT NULL, epoch INTEGER, process TEXT NOT NULL, name TEXT, kind TEXT,
    chain TEXT NOT NULL, model TEXT NOT NULL, dialect TEXT NOT NULL, endpoint TEXT NOT NULL, stream INTEGER NOT NULL,
    input INTEGER NOT NULL, output INTEGER NOT NULL, estimated INTEGER NOT NULL, status INTEGER,
    first_token_s REAL, seconds REAL, bytes_in INTEGER NOT NULL, bytes_out INTEGER NOT NULL, agent TEXT,
    server TEXT
);
CREATE INDEX requests_time ON requests (time_s);
CREATE TABLE events (number INTEGER PRIMARY KEY AUTOINCREMENT, slot TEXT NOT NULL UNIQUE, body BLOB NOT NULL);
{_COSTS}
{_WINDOWS}
{_BEGUN}
{_DAYS}
{_OBSERVED}
{_NICE}
{_HISTORIES}
DROP TABLE begun;
"""
_STEPS: Final = {
    1: """
ALTER TABLE requests ADD COLUMN agent TEXT;
UPDATE requests SET agent = name WHERE kind = 'agent';
""",
    2: f"ALTER TABLE requests ADD COLUMN server TEXT; {_SERVED}",
    3: _COSTS,
    4: _WINDOWS,
    5: _APART,
    6: _DAYS,
    7: _OBSERVED,
    8: _NICE,
    9: _HISTORIES,
}
"""What makes of a file of that version one of the next; of one of version 10, `_redo`."""


def prepare(db: sqlite3.Connection, path: str) -> None:
    """Have the tables of this version. Raises StorageError for a file of a later one, sqlite3.Error."""
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA wal_autocheckpoint = 0")  # checkpoints fsync: not on the event loop
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version == 0:
        position = _encode(redo.create(path)).hex()
        first = f"INSERT INTO meta VALUES ('redo', x'{position}');"  # noqa: S608  digits
        db.executescript(f"BEGIN; {_SCHEMA} {first} PRAGMA user_version = {VERSION}; COMMIT")
        return
    while version in _STEPS:
        steps, version = _STEPS[version], version + 1
        db.executescript(f"BEGIN IMMEDIATE; {steps} PRAGMA user_version = {version}; COMMIT")
    if version == 10:
        version = _redo(db, path)
    if version != VERSION:
        raise StorageError(
            f"{path} was written by another version of aish (schema {version}, expected {VERSION})",
            hint="use that version, or move the file away: its usage records are then not shown",
        )


def _redo(db: sqlite3.Connection, path: str) -> int:
    """What was under way, or is in no sums, had a table of its own: it goes into the redo log. The next version."""
    db.execute("BEGIN IMMEDIATE")
    begun = [Row.of(values) for values in db.execute(f"SELECT {COLUMNS} FROM begun ORDER BY number")]  # noqa: S608
    ended = f"SELECT {COLUMNS} FROM requests WHERE number IN (SELECT number FROM begun)"  # noqa: S608  constants
    last = {row.number: row for row in map(Row.of, db.execute(ended))}
    position = redo.create(path, [(row, last.get(row.number)) for row in begun])
    db.execute("DELETE FROM requests WHERE number IN (SELECT number FROM begun)")
    db.execute("DROP TABLE begun")
    db.execute("INSERT OR REPLACE INTO meta VALUES ('redo', ?)", (_encode(position),))
    db.execute("PRAGMA user_version = 11")
    db.execute("COMMIT")
    return 11
