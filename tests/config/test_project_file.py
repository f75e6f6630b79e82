"""Finding and reading: bounded, no tricks by links, every file that is wrong named."""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING

import pytest

from aish.config import project_file as file
from aish.config.problem import Problems
from aish.errors import NotFoundError, SourceError

if TYPE_CHECKING:
    from pathlib import Path


def read(path: Path) -> tuple[list[str], list[str]]:
    """Names of the files that were read, and the problems."""
    problems = Problems()
    documents = file.read(str(path.resolve()), problems)
    return [os.path.basename(document.path) for document in documents], [str(error) for error in problems.in_order()]


def put(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_the_nearest_one_upwards_not_above_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "aish.toml")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    inner = tmp_path / "home" / "a" / "b"
    inner.mkdir(parents=True)
    with pytest.raises(NotFoundError, match="there is no aish"):
        file.find(str(inner))
    mine = put(tmp_path / "home" / "a" / "aish.toml")
    assert file.find(str(inner)) == str(mine)
    assert file.find(str(inner), "..") == str(mine)
    assert file.find(str(inner), "../../../aish.toml") == str(tmp_path / "aish.toml")
    with pytest.raises(NotFoundError, match=r"no such file: x\.toml"):
        file.find(str(inner), "x.toml")


def test_that_of_another_user_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In /tmp anybody can put one above us."""
    planted = put(tmp_path / "aish.toml")
    if os.geteuid() == 0:  # what root wrote is taken from root: it must be somebody else's
        os.chown(planted, 54321, -1)
    owner = planted.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(SourceError, match="belongs to user"):
        file.find(str(tmp_path))


def test_a_link_is_followed_once_so_that_the_project_has_one_name(tmp_path: Path) -> None:
    real = put(tmp_path / "real" / "aish.toml")
    (tmp_path / "link").symlink_to("real")
    assert file.find(str(tmp_path / "link")) == str(real)


def test_includes_in_order_relative_to_each_file(tmp_path: Path) -> None:
    root = put(tmp_path / "aish.toml", 'include = ["parts/*.toml", "last.toml", "none/*.toml"]')
    put(tmp_path / "parts" / "b.toml")
    put(tmp_path / "parts" / "a.toml", 'include = ["deep/c.toml"]')
    put(tmp_path / "parts" / "deep" / "c.toml")
    put(tmp_path / "last.toml")
    assert read(root) == (["aish.toml", "a.toml", "c.toml", "b.toml", "last.toml"], [])


def test_circles_twice_and_missing_are_told_with_their_line(tmp_path: Path) -> None:
    root = put(tmp_path / "aish.toml", 'include = [\n"a.toml",\n"missing.toml",\n"a.toml"\n]')
    put(tmp_path / "a.toml", 'include = ["aish.toml"]')
    names, problems = read(root)
    assert names == ["aish.toml", "a.toml"]
    assert len(problems) == 3
    assert any(":1: include[0]: " in line and "includes itself" in line for line in problems)
    assert any(":3: include[1]: no such file: missing.toml" in line for line in problems)
    assert any(":4: include[2]: " in line and "twice" in line for line in problems)


def test_a_chain_and_a_crowd_of_files_end(tmp_path: Path) -> None:
    for number in range(20):
        put(tmp_path / f"n{number}.toml", f'include = ["n{number + 1}.toml"]')
    names, problems = read(tmp_path / "n0.toml")
    assert (len(names), "more than 8 files that include each other" in problems[0]) == (9, True)
    for number in range(100):
        put(tmp_path / "many" / f"{number}.toml")
    names, problems = read(put(tmp_path / "aish.toml", 'include = ["many/*.toml"]'))
    assert (len(names), "more than 64 files" in problems[0]) == (64, True)


@pytest.mark.parametrize("kind", ["loop", "fifo", "socket", "folder", "device"])
def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "aish.toml"
    match kind:
        case "loop":
            path.symlink_to("b")
            (tmp_path / "b").symlink_to("aish.toml")
        case "fifo":
            os.mkfifo(path)
        case "socket":
            with socket.socket(socket.AF_UNIX) as sock:
                sock.bind(str(path))
        case "folder":
            path.mkdir()
        case _:
            path.symlink_to("/dev/zero")
    with pytest.raises(SourceError, match=r"cannot be read|not a regular file"):
        file.read(str(path), Problems())


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\xff\xfe", "not UTF-8"),
        (b"a = 1\nb = \x00", "not TOML"),
        (b"a = 1\na = 2", "not TOML: Cannot overwrite"),
        (b"x" * (2 << 20), "longer than"),
        (b"a = " + b"[" * 100_000, "nested deeper"),
        (b"a" + b".a" * 300_000 + b" = 1", "nested deeper"),
        (b"a = " + b"9" * 10_000, "number too long"),
        (b"[a]\nb = ]", "not TOML: Invalid value"),
    ],
    ids=lambda value: repr(value[:12]),
)
def test_hostile_content_is_refused_at_once(tmp_path: Path, content: bytes, problem: str) -> None:
    (tmp_path / "aish.toml").write_bytes(content)
    began_s = time.monotonic()
    with pytest.raises(SourceError, match=problem):
        file.read(str(tmp_path / "aish.toml"), Problems())
    assert time.monotonic() - began_s < 10


def test_a_file_that_is_wrong_is_named_beside_the_others(tmp_path: Path) -> None:
    root = put(tmp_path / "aish.toml", 'include = ["*.part", "x/y.part"]')
    put(tmp_path / "a.part", "a = ")
    put(tmp_path / "b.part", "[services.b]\ncommand = 'x'")
    put(tmp_path / "x" / "y.part", "]")
    names, problems = read(root)
    assert names == ["aish.toml", "b.part"]
    assert [line.split(":")[0].rpartition("/")[2] for line in problems] == ["a.part", "y.part"]


def test_parts_together_are_bounded(tmp_path: Path) -> None:
    root = put(tmp_path / "aish.toml", 'include = ["*.part"]')
    for number in range(6):
        put(tmp_path / f"{number}.part", "#" * 1_000_000)
    _, problems = read(root)
    assert "with its parts longer than" in problems[0]
