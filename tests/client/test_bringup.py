"""Starting the supervisor where it cannot start: the reason is told at once, not after a time-out."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from aish.client import bringup
from aish.errors import StorageError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_full_disk_is_told_before_a_daemon_is_started_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon could only have told its log, on that very disk; the caller waited 15 s for 'did not answer'."""
    bringup.check_space(str(tmp_path))
    full = list(os.statvfs(tmp_path))
    full[4] = 3  # f_bavail
    monkeypatch.setattr(os, "statvfs", lambda path: os.statvfs_result(full))
    with pytest.raises(StorageError, match="is full"):
        bringup.check_space(str(tmp_path))
