"""Folders: ours alone, whatever somebody put there before."""

from __future__ import annotations

import errno
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


PLACES = {"XDG_STATE_HOME": "state", "XDG_DATA_HOME": "data", "XDG_CONFIG_HOME": "config", "XDG_RUNTIME_DIR": "run"}


@pytest.mark.parametrize(("variable", "folder"), PLACES.items())
@pytest.mark.parametrize("below", ["", "/logs"])
def test_the_variable_that_moves_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, folder: str, below: str
) -> None:
    """Fault: for a state folder of another user, and on a read-only disk, XDG_RUNTIME_DIR was to be set."""
    monkeypatch.delenv(folders.RUNTIME_VARIABLE, raising=False)
    for name, place in PLACES.items():
        monkeypatch.setenv(name, str(tmp_path / place))
    told = folders.hint(OSError(errno.EROFS, "read-only"), f"{tmp_path}/{folder}/aish{below}")
    assert f"set {variable} to a folder elsewhere" in told
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(StorageError, match="not to you") as error:
        folders.private(f"{tmp_path}/{folder}/aish{below}")
    assert error.value.hint == f"set {variable} to a folder of your own"


def test_a_file_in_the_way_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        folders.private(str(tmp_path / "file" / "below"))
