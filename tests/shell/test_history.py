"""The history file: private, complete, and never in the way."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from prompt_toolkit.history import InMemoryHistory

from aish.shell.history import PrivateHistory, open_history

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "aish"


def test_file_and_folder_are_private(state: Path) -> None:
    old = os.umask(0)
    try:
        history, why = open_history()
        history.append_string("echo a")
    finally:
        os.umask(old)
    assert why is None
    assert state.stat().st_mode & 0o777 == 0o700
    assert (state / "history").stat().st_mode & 0o777 == 0o600


def test_wider_permissions_are_taken_back(state: Path) -> None:
    state.mkdir()
    (state / "history").write_text("")
    (state / "history").chmod(0o644)
    open_history()
    assert (state / "history").stat().st_mode & 0o777 == 0o600


def test_commands_come_back_newest_first(state: Path) -> None:
    history, _ = open_history()
    for text in ("echo one", "if a\nthen b\nfi", "  secret", "   ", "echo 'é'"):
        history.append_string(text)
    again, _ = open_history()
    assert isinstance(again, PrivateHistory)
    assert list(again.load_history_strings()) == ["echo 'é'", "if a\nthen b\nfi", "echo one"]


def test_unusable_folder_is_told_and_the_prompt_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    history, why = open_history()
    assert isinstance(history, InMemoryHistory)
    assert why is not None
    history.append_string("echo a")


def test_full_disk_does_not_raise(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    history, _ = open_history()
    assert isinstance(history, PrivateHistory)
    monkeypatch.setattr(history, "filename", "/dev/full")
    history.append_string("echo a")
    assert history.get_strings() == ["echo a"]
