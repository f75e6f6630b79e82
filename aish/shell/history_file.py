"""The history on disk: SQLite, private, bounded, shared by all shells of the user. Only the companion opens it.

A line is written when it begins, and its status and duration when it has ended, so that a shell that dies leaves what
it ran. A file that cannot be read is moved aside, never written over.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time

from aish.shell.history import NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

OLD_NAME = "history"
"""The text file of versions before this one: taken over once, then kept under another name."""
MOST_LINES = 100_000
LONGEST_BYTES = 64 << 10
_LOCKED_S = 2.0
"""So long may it be locked when it is opened,"""
_BUSY_MS = 250
"""and later: others wait for answers meanwhile, and what is not written is told again."""
_VERSION = 1

_SCHEMA = """
CREATE TABLE commands(
    id INTEGER PRIMARY KEY,
    key TEXT UNIQUE,
    line BLOB NOT NULL,
    cwd BLOB,
    status INTEGER,
    began_s REAL,
    duration_s REAL,
    host TEXT,
    session TEXT
);
CREATE INDEX by_line ON commands(line);
"""


class HistoryFile:
    """The file in `folder`. Raises OSError or sqlite3.Error where there can be none."""

    def __init__(self, folder: str) -> None:
        self.path = os.path.join(folder, NAME)
        self.notice = ""
        """What the person should know: that a damaged file was moved aside."""
        self._seen: int | None = None
        self._unwritten: set[str] = set()
        """Keys of lines for which the file was locked for too long."""
        try:
            self._db = self._open()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):  # locked, full, read-only: not damaged
                raise
            self._set_aside()
            self._db = self._open()
        self._take_over(os.path.join(folder, OLD_NAME))

    def _open(self) -> sqlite3.Connection:
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        os.chmod(self.path, 0o600)
        db = sqlite3.connect(self.path, timeout=_LOCKED_S, isolation_level=None)
        try:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")
            with _transaction(db):
                if db.execute("PRAGMA user_version").fetchone()[0] == 0:
                    for statement in _SCHEMA.split(";"):
                        db.execute(statement)
                    db.execute(f"PRAGMA user_version={_VERSION}")
                db.execute("SELECT id, line FROM commands ORDER BY id DESC LIMIT 1").fetchone()
            db.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
        except BaseException:
            db.close()
            raise
        return db

    def _set_aside(self) -> None:
        aside = f"{self.path}.damaged-{time.strftime('%Y%m%d-%H%M%S')}"
        os.rename(self.path, aside)
        for tail in ("-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.rename(self.path + tail, aside + tail)
        self.notice = f"the history was damaged: it is now {aside}, and a new one has begun"

    def _take_over(self, old: str) -> None:
        if not os.path.exists(old):
            return
        from aish.shell.secret_lines import looks_secret

        with open(old, "rb") as file:
            entries = parse_old(file.read())
        with _transaction(self._db):
            for number, (line, began_s) in enumerate(entries):
                if not looks_secret(line):
                    self._insert(f"old-{number}", line, None, began_s, None, None)
        os.rename(old, old + ".taken-over")

    # ------------------------------------------------------------------------------------- writing

    def begin(self, key: str, line: str, cwd: str, began_s: float, host: str, session: str) -> None:
        """A line is about to run. Said twice, it is written once."""
        self._unwritten.add(key)
        self._insert(key, line, cwd, began_s, host, session)
        self._unwritten.discard(key)
        first, last = self._db.execute("SELECT MIN(id), MAX(id) FROM commands").fetchone()
        if first is not None and last - first >= MOST_LINES:
            self._db.execute("DELETE FROM commands WHERE id <= ?", (last - MOST_LINES,))

    def _insert(
        self, key: str, line: str, cwd: str | None, began_s: float | None, host: str | None, session: str | None
    ) -> None:
        data = _bytes(line)
        if len(data) <= LONGEST_BYTES:
            self._db.execute(
                "INSERT OR IGNORE INTO commands(key, line, cwd, began_s, host, session) VALUES(?, ?, ?, ?, ?, ?)",
                (key, data, None if cwd is None else _bytes(cwd), began_s, host, session),
            )

    def end(self, key: str, status: int, duration_s: float) -> None:
        """It has ended. Raises LookupError where its begin could not be written yet: both are told again."""
        if key in self._unwritten:
            raise LookupError(key)
        self._db.execute("UPDATE commands SET status=?, duration_s=? WHERE key=?", (status, duration_s, key))

    def forget(self, lines: Iterable[str]) -> None:
        """Take lines out, wherever they were typed."""
        with _transaction(self._db):
            for line in lines:
                self._db.execute("DELETE FROM commands WHERE line=?", (_bytes(line),))

    # ------------------------------------------------------------------------------------- looking

    def recent(self, most: int) -> list[tuple[str, float]]:
        """The newest lines, oldest first, each with when it began."""
        rows = self._db.execute("SELECT line, began_s FROM commands ORDER BY id DESC LIMIT ?", (most,)).fetchall()
        return [(_text(line), began_s or 0.0) for line, began_s in reversed(rows)]

    def changed(self) -> bool:
        """Whether another shell has written since this was asked last; the first time it has."""
        before, self._seen = self._seen, self._db.execute("PRAGMA data_version").fetchone()[0]
        return before != self._seen

    def unique(self, most: int, containing: str = "") -> list[str]:
        """Lines that contain a text, each once, newest first."""
        rows = self._db.execute(
            "SELECT line FROM commands WHERE instr(line, ?) ORDER BY id DESC", (_bytes(containing),)
        )
        found: dict[bytes, None] = {}
        for (line,) in rows:  # not all of them: SQLite would group 100,000 lines before it gave the first
            found[line] = None
            if len(found) == most:
                break
        rows.close()
        return [_text(line) for line in found]

    def suggest(self, begin: str, cwd: str) -> str | None:
        """The newest longer line with this begin: one that ran in this folder first, and none that was not found."""
        low, high = _bytes(begin), _bytes(begin) + b"\xff"
        query = (
            "SELECT line FROM commands WHERE line > ? AND line < ? AND (status IS NULL OR status != 127) {}"
            "ORDER BY id DESC LIMIT 1"
        )
        row = self._db.execute(query.format("AND cwd = ? "), (low, high, _bytes(cwd))).fetchone()
        row = row or self._db.execute(query.format(""), (low, high)).fetchone()
        return None if row is None else _text(row[0])

    def close(self) -> None:
        self._db.close()


def parse_old(data: bytes) -> list[tuple[str, float | None]]:
    """The lines of the old text file: `# when`, then each line of a command behind a +. Pure."""
    found: list[tuple[str, float | None]] = []
    lines: list[str] = []
    began_s: float | None = None
    for raw in [*data.decode("utf-8", "surrogateescape").split("\n"), ""]:
        if raw.startswith("+"):
            lines.append(raw[1:])
            continue
        if lines:
            found.append(("\n".join(lines), began_s))
            lines = []
        if raw.startswith("# "):
            began_s = _when(raw[2:])
    return found


def _when(text: str) -> float | None:
    try:
        return time.mktime(time.strptime(text.partition(".")[0], "%Y-%m-%d %H:%M:%S"))
    except ValueError:
        return None


@contextlib.contextmanager
def _transaction(db: sqlite3.Connection):  # type: ignore[no-untyped-def]
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _text(data: bytes) -> str:
    return bytes(data).decode("utf-8", "surrogateescape")
