"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from aish.config import private_file

if TYPE_CHECKING:
    from pathlib import Path


def test_it_is_replaced_and_nobody_elses(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    path.write_text("before")
    path.chmod(0o644)
    private_file.replace(str(path), b"after", lasting=True)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"after", 0o600)
    assert os.listdir(tmp_path) == ["kept"]


def test_what_cannot_be_put_in_its_place_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    with pytest.raises(OSError):
        private_file.replace(str(tmp_path / "kept"), b"after")
    assert os.listdir(tmp_path) == ["kept"]


def test_a_link_in_the_place_of_the_draft_is_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("another's")
    (tmp_path / "kept.new").symlink_to(other)
    with pytest.raises(OSError):
        private_file.replace(str(tmp_path / "kept"), b"after")
    assert other.read_text() == "another's"
