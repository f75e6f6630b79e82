"""What a program in a sandbox keeps is taken along by a fork; what it has laid there to be followed is not."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aish.agents.host import own_place, program_folder
from aish.errors import LimitError
from aish.spi.agent_adapter import Command

if TYPE_CHECKING:
    from collections.abc import Callable


class Confined:
    """A sandbox that reads what `reads` says."""

    def __init__(self, stays: str | None, reads: Callable[[str], bool]) -> None:
        self.stays, self.reads = stays, reads


def test_files_are_taken_along_and_nothing_is_followed(tmp_path: Path) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    theirs = Path(program_folder.make(str(source)))
    (theirs / "sessions").mkdir()
    (theirs / "sessions" / "one.jsonl").write_text("said\n")
    (theirs / "state_5.sqlite").write_text("of another folder")
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("key")
    (theirs / "link").symlink_to(secret / "key")
    (theirs / "folder").symlink_to(secret)
    os.mkfifo(theirs / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(theirs / "socket"))
    target.mkdir()
    program_folder.take_along(str(source), str(target))
    found = [str(path.relative_to(target)) for path in target.rglob("*") if not path.is_dir() or path.is_symlink()]
    assert found == ["program/sessions/one.jsonl"]
    assert (target / "program").stat().st_mode & 0o777 == 0o700
    (theirs / "sessions" / "two.jsonl").write_text("later\n")
    program_folder.take_along(str(source), str(target))
    assert not (target / "program" / "sessions" / "two.jsonl").exists(), "once: then it is its own"


def test_what_is_too_much_is_not_taken_along_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program_folder, "MOST_BYTES", 10)
    theirs = Path(program_folder.make(str(tmp_path / "a")))
    (theirs / "small").write_bytes(b"x" * 6)
    (theirs / "big").write_bytes(b"x" * 6)
    (tmp_path / "b").mkdir()
    with pytest.raises(LimitError):
        program_folder.take_along(str(tmp_path / "a"), str(tmp_path / "b"))
    assert os.listdir(tmp_path / "b") == []


def test_where_there_is_nothing_nothing_is_made(tmp_path: Path) -> None:
    program_folder.take_along(str(tmp_path / "a"), str(tmp_path))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("confined", "given"),
    [
        (None, None),
        (Confined(None, lambda path: False), None),
        (Confined("/stays", lambda path: True), None),
        (Confined("/stays", lambda path: False), "/stays"),
    ],
)
def test_a_place_that_stays_where_its_own_is_out_of_reach(confined: Any, given: str | None) -> None:
    command = own_place.given(Command(argv=("x",), environ={"A": "1"}), confined, "X_HOME", ".x")
    assert command.environ == ({"A": "1"} | ({} if given is None else {"X_HOME": given}))


def test_its_own_place_is_the_one_that_the_person_has_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X_HOME", "/mine")
    asked = []
    own_place.given(Command(argv=("x",)), Confined("/stays", lambda path: not asked.append(path)), "X_HOME", ".x")  # type: ignore[arg-type]
    assert asked == ["/mine"]
