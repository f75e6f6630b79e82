"""Folders: ours alone, whatever somebody put there before."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from aish.config import folders
from aish.errors import StorageError

if TYPE_CHECKING:
    from pathlib import Path


def test_xdg_variables_are_honoured_and_relative_ones_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("XDG_STATE_HOME", "/elsewhere")
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    assert folders.state() == "/elsewhere/aish"
    assert folders.data() == "/home/me/.local/share/aish"
    assert folders.runtime() == f"/tmp/aish-{os.getuid()}"


def test_a_new_folder_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        path = folders.private(str(tmp_path / "a" / "b"))
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o700


def test_an_open_folder_is_closed_to_others(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    folders.private(str(tmp_path / "open"))
    assert stat.S_IMODE((tmp_path / "open").stat().st_mode) == 0o700


def test_a_link_is_refused(tmp_path: Path) -> None:
    """In /tmp somebody else could have linked our name to a folder of theirs."""
    (tmp_path / "theirs").mkdir()
    (tmp_path / "ours").symlink_to(tmp_path / "theirs")
    with pytest.raises(StorageError, match="not a folder"):
        folders.private(str(tmp_path / "ours"))


@pytest.mark.root
def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", 12345, 12345)
    with pytest.raises(StorageError, match="belongs to user 12345"):
        folders.private(str(tmp_path / "theirs"))


def test_a_file_in_the_way_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        folders.private(str(tmp_path / "file" / "below"))
