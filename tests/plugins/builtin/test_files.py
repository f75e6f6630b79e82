"""Files are read and written whole, or not at all, and never through a link that came in between."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from aish.plugins.builtin import files as module
from aish.plugins.builtin.declined import DeclinedError
from aish.plugins.builtin.files import Files, edited
from aish.plugins.builtin.places import Places


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(Places(str(tmp_path)))


def did(coroutine: Any) -> str:
    return str(asyncio.run(coroutine))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("", "x", "empty"),
        ("zz", "x", "not in the file"),
        ("a", "b", "2 times"),
        ("b", "b", "the same"),
    ],
)
def test_an_edit_that_is_not_plain_is_none(old: str, new: str, told: str) -> None:
    with pytest.raises(DeclinedError, match=told):
        edited("a b a", old, new)


def test_an_edit(files: Files, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one\r\ntwo\n")
    os.chmod(tmp_path / "a", 0o755)
    did(files.edit("a", "one\r\n", "eins\r\n"))
    assert (tmp_path / "a").read_bytes() == b"eins\r\ntwo\n", "line ends are the file's"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o755
    assert files.edit_wish("a", "two", "zwei").body.endswith("-two\n+zwei")


def test_a_part_of_a_file_is_shown_with_its_lines(files: Files, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("".join(f"l{n}\n" for n in range(1, 1001)))
    assert did(files.read("a", 10, 2)) == "[lines 10 to 11 of 1000]\nl10\nl11\n"
    assert did(files.read("a")).startswith("[lines 1 to 800 of 1000]")
    (tmp_path / "sub").mkdir()
    assert did(files.read(".")) == "a\nsub/"


def test_what_is_no_text_is_not_read(files: Files, tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\0\1")
    (tmp_path / "latin").write_bytes(b"\xe4")
    os.mkfifo(tmp_path / "fifo")
    with open(tmp_path / "huge", "wb") as stream:
        stream.truncate(module.FILE_BYTES + 1)
    for name in ("binary", "latin", "fifo", "huge", "missing"):
        with pytest.raises(DeclinedError):
            did(files.read(name))


def test_a_device_or_fifo_is_not_replaced(files: Files, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(DeclinedError):
        did(files.write("fifo", "x"))
    assert not (tmp_path / "fifo").is_file()


def test_a_link_that_came_after_the_check_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own shell may be making links while it writes."""
    work, outside = tmp_path / "work", tmp_path / "outside"
    work.mkdir()
    outside.mkdir()
    (outside / "a").write_text("secret")
    files = Files(Places(str(work)))
    (work / "sub").mkdir()
    real = files._places.writable("sub/a")
    (work / "sub").rmdir()
    (work / "sub").symlink_to(outside)
    monkeypatch.setattr(files._places, "writable", lambda path: real)
    monkeypatch.setattr(files._places, "readable", lambda path: real)
    with pytest.raises(DeclinedError):
        did(files.write("sub/a", "overwritten"))
    with pytest.raises(DeclinedError):
        did(files.read("sub/a"))
    assert (outside / "a").read_text() == "secret"
    (work / "link").symlink_to(outside / "a")
    monkeypatch.setattr(files._places, "readable", lambda path: str(work / "link"))
    with pytest.raises(DeclinedError):
        did(files.read("link"))


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_text("old")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(DeclinedError, match="No space left"):
        did(files.write("a", "new"))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_half_a_character_is_no_text(files: Files, tmp_path: Path) -> None:
    with pytest.raises(DeclinedError):
        did(files.write("a", "\ud800"))
    assert not (tmp_path / "a").exists()


def test_a_change_that_is_made_to_take_long_does_not(files: Files, tmp_path: Path) -> None:
    """Comparing lines that are all alike takes hours, in which nobody could cancel the turn."""
    before = "a\nb\n" * 200_000
    (tmp_path / "a").write_text("first\n" + before + "last\n")
    wish = files.write_wish("a", "first\n" + "b\na\n" * 200_000 + "last\n")
    assert wish.body.startswith("--- a/a\n+++ b/a\n@@ -2,400000 +2,400000 @@\n-a\n")
    assert wish.body.endswith("+a")
