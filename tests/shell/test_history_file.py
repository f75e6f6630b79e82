"""The history on disk: private, shared, bounded; a damaged file is moved aside, an old one taken over."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING

import pytest

from aish.shell import history_file
from aish.shell.history_file import HistoryFile, parse_old

if TYPE_CHECKING:
    from pathlib import Path


def begin(history: HistoryFile, key: str, line: str, cwd: str = "/") -> None:
    history.begin(key, line, cwd, 1.0, "host", "session")


def lines(history: HistoryFile) -> list[str]:
    return [line for line, _ in history.recent(100)]


def test_file_is_private(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        HistoryFile(str(tmp_path))
    finally:
        os.umask(old)
    assert (tmp_path / "history.db").stat().st_mode & 0o777 == 0o600


def test_wider_permissions_are_taken_back(tmp_path: Path) -> None:
    HistoryFile(str(tmp_path)).close()
    (tmp_path / "history.db").chmod(0o644)
    HistoryFile(str(tmp_path))
    assert (tmp_path / "history.db").stat().st_mode & 0o777 == 0o600


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("mine")
    (tmp_path / "history.db").symlink_to(tmp_path / "other")
    with pytest.raises(OSError, match="symbolic"):
        HistoryFile(str(tmp_path))
    assert (tmp_path / "other").read_text() == "mine"


def test_two_shells_share_it(tmp_path: Path) -> None:
    one, other = HistoryFile(str(tmp_path)), HistoryFile(str(tmp_path))
    begin(one, "a-1", "echo one")
    begin(other, "b-1", "echo 'é\udcff'\nsecond line")
    assert lines(one) == lines(other) == ["echo one", "echo 'é\udcff'\nsecond line"]


def test_while_it_is_locked_nothing_is_taken_for_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a line whose begin is told again must come behind it, or its status is lost."""
    monkeypatch.setattr("aish.shell.history_file._BUSY_MS", 50)
    history = HistoryFile(str(tmp_path))
    other = sqlite3.connect(history.path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(sqlite3.OperationalError):
        begin(history, "a-1", "echo one")
    other.execute("ROLLBACK")
    with pytest.raises(LookupError):
        history.end("a-1", 3, 0.5)
    begin(history, "a-1", "echo one")
    history.end("a-1", 3, 0.5)
    assert other.execute("SELECT CAST(line AS TEXT), status FROM commands").fetchall() == [("echo one", 3)]


def test_said_twice_is_written_once(tmp_path: Path) -> None:
    """A companion that was replaced between a write and its acknowledgement is told again."""
    history = HistoryFile(str(tmp_path))
    begin(history, "a-1", "echo one")
    begin(history, "a-1", "echo one")
    history.end("a-1", 3, 0.5)
    assert lines(history) == ["echo one"]
    row = (
        sqlite3.connect(history.path)
        .execute("SELECT status, duration_s, cwd, host, session FROM commands")
        .fetchone()
    )
    assert row == (3, 0.5, b"/", "host", "session")


def test_search_gives_each_line_once_newest_first(tmp_path: Path) -> None:
    history = HistoryFile(str(tmp_path))
    for number, line in enumerate(["make a", "ls", "make b", "make a", "echo %_"]):
        begin(history, str(number), line)
    assert history.unique(10, "make") == ["make a", "make b"]
    assert history.unique(10, "%_") == ["echo %_"]
    assert history.unique(2) == ["echo %_", "make a"]


def test_suggestion_is_of_this_folder_first_and_never_one_that_was_not_found(tmp_path: Path) -> None:
    history = HistoryFile(str(tmp_path))
    begin(history, "1", "make here", "/here")
    begin(history, "2", "make there", "/there")
    begin(history, "3", "make typo", "/here")
    history.end("3", 127, 0.0)
    assert history.suggest("make", "/here") == "make here"
    assert history.suggest("make", "/elsewhere") == "make there"
    assert history.suggest("make there", "/here") is None
    assert history.suggest("nothing", "/here") is None


def test_news_are_what_other_shells_wrote(tmp_path: Path) -> None:
    one, other = HistoryFile(str(tmp_path)), HistoryFile(str(tmp_path))
    assert one.changed()
    begin(one, "a-1", "echo one")
    assert not one.changed()
    begin(other, "b-1", "echo two")
    assert one.changed()
    assert not one.changed()


def test_forgotten_lines_are_gone(tmp_path: Path) -> None:
    history = HistoryFile(str(tmp_path))
    for number, line in enumerate(["a", "b", "a"]):
        begin(history, str(number), line)
    history.forget(["a"])
    assert lines(history) == ["b"]


def test_it_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_file, "MOST_LINES", 10)
    history = HistoryFile(str(tmp_path))
    for number in range(50):
        begin(history, str(number), f"echo {number}")
    assert lines(history) == [f"echo {number}" for number in range(40, 50)]
    begin(history, "long", "x" * (history_file.LONGEST_BYTES + 1))
    assert lines(history)[-1] == "echo 49"


@pytest.mark.parametrize("damage", [b"this is no database, and never was one" * 100, None])
def test_damaged_file_is_moved_aside_and_said(tmp_path: Path, damage: bytes | None) -> None:
    first = HistoryFile(str(tmp_path))
    for number in range(200):
        begin(first, str(number), f"echo {number} {'x' * 100}")
    first.close()
    path = tmp_path / "history.db"
    data = path.read_bytes()
    path.write_bytes(damage if damage is not None else data[:100] + os.urandom(4000) + data[4100:])
    history = HistoryFile(str(tmp_path))
    begin(history, "1", "echo new")
    assert "damaged" in history.notice
    assert lines(history) == ["echo new"]
    (aside,) = [found for found in tmp_path.glob("history.db.damaged-*") if not found.name.endswith(("-wal", "-shm"))]
    assert aside.stat().st_size > 0


def test_old_text_file_is_taken_over_once(tmp_path: Path) -> None:
    (tmp_path / "history").write_text(
        "\n# 2026-01-02 03:04:05.678\n+echo one\n\n# 2026-01-02 03:05:00\n+if a\n+then b\n+fi\n"
        "\n# 2026-01-02 03:06:00\n+export API_KEY=abcdef123456\n"
    )
    history = HistoryFile(str(tmp_path))
    assert lines(history) == ["echo one", "if a\nthen b\nfi"]
    history.close()
    assert not (tmp_path / "history").exists()
    assert (tmp_path / "history.taken-over").exists()
    assert lines(HistoryFile(str(tmp_path))) == ["echo one", "if a\nthen b\nfi"]


def test_old_format() -> None:
    assert parse_old(b"") == []
    assert parse_old(b"# garbage\n+a\n") == [("a", None)]
    assert parse_old(b"+\xff") == [("\udcff", None)]
