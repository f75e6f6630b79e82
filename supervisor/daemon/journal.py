"""The process table on disk: SQLite in WAL mode, written by the daemon alone.

    meta       key, value         schema, epoch
    processes  one row each       the whole row as msgpack, and the columns that a person would look for
    events     numbered facts
    runs       the last runs of each process
    questions  those of agents to the person, until their run has ended
    mail       to agents, until its receiver is forgotten

A table more is no other version: older programs do not look at it.
synchronous=NORMAL: a commit survives the death of any process; a power cut may lose the last ones, and with it all
that they spoke of. Every method raises StorageError, and after that the journal is as it was before the call.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from aish.errors import StorageError
from aish.supervisor.daemon.row import Row
from aish.supervisor.daemon.runs import KEPT
from aish.supervisor.daemon.sieve import ALL
from aish.wire.mail import MailPart
from aish.wire.part import EventPart, RunPart
from aish.wire.question import QuestionPart

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aish.supervisor.daemon.sieve import Sieve

SCHEMA: Final = 1
LOCK_WAIT_S: Final = 0.5
"""Nobody else writes; a person's sqlite3 may hold a lock for a moment. The loop stands still meanwhile."""
CHECK_BELOW_BYTES: Final = 16 << 20
MOST_WAL_BYTES: Final = 16 << 20
"""Where checkpoints never end since there is always more, the writer ends one: see `shorten`."""
KEEP_EVENTS: Final = 100_000
RUNS_SALVAGED: Final = 20
LAST_NUMBER: Final = "last_number"
"""In `meta`: the highest number of a process, whose row may be gone. Its id stays used."""

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS processes (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL, token TEXT UNIQUE, name TEXT NOT NULL, lifecycle TEXT NOT NULL,
    row BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY, time_s REAL NOT NULL, kind TEXT NOT NULL, process TEXT, name TEXT, text TEXT NOT NULL,
    detail TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS runs (
    process INTEGER NOT NULL, run INTEGER NOT NULL, part BLOB NOT NULL, PRIMARY KEY (process, run)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS questions (
    process TEXT NOT NULL, token TEXT NOT NULL, part BLOB NOT NULL, PRIMARY KEY (process, token)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS mail (number INTEGER PRIMARY KEY, token TEXT NOT NULL, part BLOB NOT NULL);
"""
_SAVE_ROW: Final = """
INSERT INTO processes (number, id, token, name, lifecycle, row) VALUES (?,?,?,?,?,?)
ON CONFLICT (number) DO UPDATE SET lifecycle=excluded.lifecycle, row=excluded.row
"""
_SAVE_EVENT: Final = "INSERT OR REPLACE INTO events VALUES (?,?,?,?,?,?,?)"
_SAVE_RUN: Final = "INSERT OR REPLACE INTO runs VALUES (?,?,?)"
_TRIM_RUNS: Final = "DELETE FROM runs WHERE process=? AND run<=?"
_SAVE_QUESTION: Final = "INSERT OR REPLACE INTO questions VALUES (?,?,?)"
_SAVE_MAIL: Final = "INSERT OR REPLACE INTO mail VALUES (?,?,?)"
_SAVE_META: Final = "INSERT OR REPLACE INTO meta VALUES (?,?)"

_pack: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Row).decode
_decode_run: Final = msgspec.msgpack.Decoder(RunPart).decode
_decode_question: Final = msgspec.msgpack.Decoder(QuestionPart).decode
_decode_mail: Final = msgspec.msgpack.Decoder(MailPart).decode
_json: Final = msgspec.json.Encoder().encode
_detail: Final = msgspec.json.Decoder(dict[str, str | int | float | None]).decode


def _encode(value: msgspec.Struct) -> bytes:
    """As msgpack. Text that is no UTF-8 gets its escapes: one such row would keep all others from being written."""
    try:
        return _pack(value)
    except UnicodeEncodeError:
        return _pack(_escaped(msgspec.to_builtins(value, builtin_types=(bytes,))))


def _escaped(value: Any) -> Any:
    match value:
        case str():
            return value.encode(errors="backslashreplace").decode()
        case dict():
            return {_escaped(key): _escaped(item) for key, item in value.items()}
        case list() | tuple():
            return [_escaped(item) for item in value]
        case _:
            return value


class CorruptError(StorageError):
    """The file is not the database it should be. Next: it is moved aside and the table rebuilt from the holder."""


class Journal:
    """An open journal. Not thread-safe: the loop's thread only."""

    def __init__(self, path: str, connection: sqlite3.Connection) -> None:
        self.path = path
        self._db = connection
        self.epoch = int(self.meta("epoch") or 0)
        self.fresh = self.epoch == 0
        """True if the file was made now; the caller sets the epoch by `begin`."""

    def begin(self, epoch: int) -> None:
        """Write the epoch of a fresh table."""
        self.save(meta={"epoch": str(epoch), "schema": str(SCHEMA)})
        self.epoch = epoch
        self.fresh = False

    def meta(self, key: str) -> str | None:
        found = self._db.execute("SELECT value FROM meta WHERE key=?", (key,)).fetchone()
        return None if found is None else str(found[0])

    def next_number(self) -> int:
        """One above every id ever given in this table."""
        with _storage(self.path):
            (last,) = self._db.execute("SELECT max(number) FROM processes").fetchone()
            return max(int(last or 0), int(self.meta(LAST_NUMBER) or 0)) + 1

    def rows(self) -> list[Row]:
        """Every process, oldest first. Raises CorruptError on a row that cannot be read."""
        with _storage(self.path):
            blobs = [blob for (blob,) in self._db.execute("SELECT row FROM processes ORDER BY number")]
        return decode_rows(self.path, blobs)

    def last_event(self) -> int:
        with _storage(self.path):
            (last,) = self._db.execute("SELECT max(number) FROM events").fetchone()
            return int(last or 0)

    def events(self, since: int, limit: int, sieve: Sieve = ALL) -> list[EventPart]:
        """At most `limit` events after number `since`, in order."""
        condition, values = sieve.sql()
        query = f"SELECT * FROM events WHERE number > ? {condition} ORDER BY number LIMIT ?"  # noqa: S608  no values
        with _storage(self.path):
            return [_event(found) for found in self._db.execute(query, (since, *values, limit))]

    def before(self, number: int, limit: int, sieve: Sieve = ALL) -> list[EventPart]:
        """The newest `limit` events before `number`, in order."""
        condition, values = sieve.sql()
        query = f"SELECT * FROM events WHERE number < ? {condition} ORDER BY number DESC LIMIT ?"  # noqa: S608
        with _storage(self.path):
            return [_event(found) for found in self._db.execute(query, (number, *values, limit))][::-1]

    def runs(self, process: int, limit: int) -> list[RunPart]:
        """The newest `limit` runs of a process, by its number, newest first."""
        query = "SELECT part FROM runs WHERE process = ? ORDER BY run DESC LIMIT ?"
        with _storage(self.path):
            return [_decode_run(blob) for (blob,) in self._db.execute(query, (process, limit))]

    def questions(self) -> list[tuple[str, QuestionPart]]:
        """Tokens and questions of all processes."""
        with _storage(self.path):
            return [
                (token, _decode_question(blob))
                for token, blob in self._db.execute("SELECT token, part FROM questions")
            ]

    def mail(self) -> list[tuple[str, MailPart]]:
        """Tokens and messages of all processes."""
        with _storage(self.path):
            return [(token, _decode_mail(blob)) for token, blob in self._db.execute("SELECT token, part FROM mail")]

    def save(
        self,
        rows: Iterable[Row] = (),
        events: Sequence[EventPart] = (),
        meta: dict[str, str] | None = None,
        runs: Iterable[tuple[int, RunPart]] = (),
        gone: Iterable[int] = (),
        questions: Iterable[tuple[str, str, QuestionPart | None]] = (),
        mail: Iterable[tuple[int, str, MailPart | None]] = (),
    ) -> None:
        """All of it or nothing, in one transaction. `gone`: the numbers of processes that leave the table.
        `questions`: (process, token) and what is asked; `mail`: number, token, message. None: it is gone."""
        with _storage(self.path):
            try:
                self._db.execute("BEGIN IMMEDIATE")
                for row in rows:
                    shown = (row.number, row.id, row.token, _escaped(row.name), row.lifecycle)
                    self._db.execute(_SAVE_ROW, (*shown, _encode(row)))
                for event in events:
                    self._db.execute(_SAVE_EVENT, _columns(event))
                for number, run in runs:
                    self._db.execute(_SAVE_RUN, (number, run.number, _encode(run)))
                    if run.number > KEPT:
                        self._db.execute(_TRIM_RUNS, (number, run.number - KEPT))
                for process, token, part in questions:
                    if part is None:
                        self._db.execute("DELETE FROM questions WHERE process=? AND token=?", (process, token))
                    else:
                        self._db.execute(_SAVE_QUESTION, (process, token, _encode(part)))
                for number, token, message in mail:
                    if message is None:
                        self._db.execute("DELETE FROM mail WHERE number=?", (number,))
                    else:
                        self._db.execute(_SAVE_MAIL, (number, token, _encode(message)))
                for item in (meta or {}).items():
                    self._db.execute(_SAVE_META, item)
                for number in gone:
                    self._db.execute("DELETE FROM processes WHERE number=?", (number,))
                    self._db.execute("DELETE FROM runs WHERE process=?", (number,))
                self._db.execute("COMMIT")
            finally:  # not only after an error of SQLite: a value that it cannot take left the transaction open
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    def trim(self, last_event: int) -> None:
        """Drop events beyond the newest KEEP_EVENTS."""
        with _storage(self.path), self._db:
            self._db.execute("DELETE FROM events WHERE number <= ?", (last_event - KEEP_EVENTS,))

    def checkpoint(self) -> None:
        """Bring the WAL's content home. Waits for the disk, so it has a connection and a thread of its own."""
        with _storage(self.path):
            db = sqlite3.connect(self.path, timeout=0.0)
            try:
                db.execute("PRAGMA wal_checkpoint(PASSIVE)")
            finally:
                db.close()

    def shorten(self) -> None:
        """What was written during a checkpoint, too, where the WAL has grown long: it begins anew only when nothing
        is left in it, and while somebody always writes, that never comes. A moment of the loop's time."""
        with _storage(self.path):
            if os.stat(f"{self.path}-wal").st_size > MOST_WAL_BYTES:
                self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def close(self) -> None:
        self._db.close()


def open_journal(path: str) -> Journal:
    """Open or make the journal at `path`.

    Raises CorruptError (damaged: see `move_aside`), StorageError (full, read-only, no permission, or written by a
    later version of aish).
    """
    with _storage(path):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        _refuse_emptied(path)
        db = sqlite3.connect(path, timeout=LOCK_WAIT_S, isolation_level=None, cached_statements=32)
        try:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")
            db.execute("PRAGMA temp_store=MEMORY")
            db.execute("PRAGMA wal_autocheckpoint=0")  # see `checkpoint`
            db.execute(f"PRAGMA journal_size_limit={MOST_WAL_BYTES}")
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version > SCHEMA:
                raise later_version(path)
            if os.stat(path).st_size < CHECK_BELOW_BYTES:
                (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
                if verdict != "ok":
                    raise CorruptError(f"{path} is damaged: {verdict}")
            db.executescript(_TABLES)
            if version != SCHEMA:  # nothing is written where all is there: a full disk can be read
                db.execute(f"PRAGMA user_version={SCHEMA}")
            return Journal(path, db)
        except BaseException:
            db.close()
            raise


def _refuse_emptied(path: str) -> None:
    """SQLite takes a file of 0 or 1 bytes for a new database, and removes the WAL beside it. Raises CorruptError."""
    size_bytes = os.stat(path).st_size
    if size_bytes > 1:
        return
    try:
        wal_bytes = os.stat(f"{path}-wal").st_size
    except FileNotFoundError:
        wal_bytes = 0
    if size_bytes or wal_bytes:
        raise CorruptError(f"{path} is damaged: only {size_bytes} bytes of it are left")


def decode_rows(path: str, blobs: Iterable[bytes]) -> list[Row]:
    """Raises CorruptError."""
    with _storage(path):
        return [_decode(blob) for blob in blobs]


def later_version(path: str) -> StorageError:
    """The table cannot be read by this program."""
    return StorageError(
        f"{path} was written by a later version of aish", hint="use that version, or move the file away"
    )


class Salvage(NamedTuple):
    """What could be read of a journal that cannot be opened."""

    rows: Sequence[Row] = ()
    events: Sequence[EventPart] = ()
    """The newest ones."""
    next_number: int = 1
    runs: Mapping[int, Sequence[RunPart]] = MappingProxyType({})
    """The newest ones of each process, by its number, newest first."""


def salvage(path: str, folder: str, events: int) -> Salvage:
    """What is in a journal that cannot be opened where it is (its disk is full or read-only), read from a copy in
    `folder`, which is another disk's; of its events and of the runs of each process the newest. Nothing where that
    fails, too."""
    copy = os.path.join(folder, f"salvage-{os.getpid()}")
    try:
        for tail in ("", "-wal"):
            if os.path.exists(path + tail):
                shutil.copyfile(path + tail, copy + tail)
                os.chmod(copy + tail, 0o600)
        journal = open_journal(copy)
        try:
            latest = journal.before(journal.last_event() + 1, events)
            rows = journal.rows()
            runs = {row.number: journal.runs(row.number, RUNS_SALVAGED) for row in rows}
            return Salvage(rows, latest, journal.next_number(), runs)
        finally:
            journal.close()
    except (StorageError, OSError):
        return Salvage()
    finally:
        for tail in ("", "-wal", "-shm"):
            try:
                os.unlink(copy + tail)
            except OSError:
                continue  # it never came to be


def move_aside(path: str) -> str:
    """Give a damaged journal another name, with its WAL; returns the new path. Raises StorageError."""
    aside = f"{path}.damaged-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.getpid()}"
    try:
        os.rename(path, aside)
        for tail in ("-wal", "-shm"):
            if os.path.exists(path + tail):
                os.rename(path + tail, aside + tail)
    except OSError as error:
        raise StorageError(f"cannot move the damaged {path} aside: {error.strerror}") from error
    return aside


class _storage:  # noqa: N801  a context manager, used like a function
    """What SQLite and the file system say, as our errors."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        match error:
            case sqlite3.OperationalError():
                raise StorageError(f"{self.path}: {error}", hint=_hint(str(error))) from error
            case sqlite3.DatabaseError() | msgspec.DecodeError():
                raise CorruptError(f"{self.path} is damaged: {error}") from error
            case OSError():
                raise StorageError(f"{self.path}: {error.strerror}", hint=_hint(str(error.strerror))) from error
            case OverflowError():
                raise StorageError(f"{self.path} cannot take a value: {error}", hint="please report it") from error
            case _:
                pass


def _hint(text: str) -> str:
    lower = text.lower()
    if "full" in lower or "no space" in lower:
        return "free some space: running processes go on, and aish catches up by itself"
    if "disk i/o" in lower:
        return "see whether it is full (df) or broken (dmesg): running processes go on, and aish catches up by itself"
    if "read-only" in lower or "readonly" in lower:
        return "mount it writable: running processes go on, and aish catches up by itself"
    if "locked" in lower:
        return "another program holds the file open for writing: end it"
    return "check the rights of the folder; running processes go on"


def _columns(event: EventPart) -> tuple[int, float, str, str | None, str | None, str, str]:
    detail = _json(_escaped(event.detail)).decode()
    return event.number, event.time_s, event.kind, event.process, _escaped(event.name), _escaped(event.text), detail


def _event(found: tuple[int, float, str, str | None, str | None, str, str]) -> EventPart:
    number, time_s, kind, process, name, text, detail = found
    return EventPart(
        number=number, time_s=time_s, kind=kind, process=process, name=name, text=text, detail=_detail(detail)
    )
