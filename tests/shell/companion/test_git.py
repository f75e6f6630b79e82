"""The branch and whether something is not committed; nothing that a repository names is run."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from aish.shell.companion.git import branch, dirty

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="no git")


def git(folder: Path, *words: str) -> None:
    subprocess.run(
        ["git", "-c", "user.name=x", "-c", "user.email=x@x", "-C", str(folder), *words],
        check=True,
        capture_output=True,
    )


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q", "-b", "trunk")
    (tmp_path / "a").write_text("a")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "x")
    (tmp_path / "sub").mkdir()
    return tmp_path


def test_branch_and_dirt(repository: Path) -> None:
    path = os.environ["PATH"]
    assert branch(str(repository / "sub")) == "trunk"
    assert dirty(str(repository), path) is False
    (repository / "new").write_text("")
    assert dirty(str(repository), path) is True
    git(repository, "checkout", "-q", "--detach")
    assert len(branch(str(repository)) or "") == 7


def test_worktree(repository: Path, tmp_path: Path) -> None:
    git(repository, "worktree", "add", "-q", "-b", "other", str(tmp_path / "tree"))
    assert branch(str(tmp_path / "tree")) == "other"


def test_outside(tmp_path: Path) -> None:
    if branch(str(tmp_path.parent)) is None:
        assert branch(str(tmp_path)) is None
        assert dirty(str(tmp_path), os.environ["PATH"]) is None


def test_a_name_cannot_speak_to_the_terminal(repository: Path) -> None:
    (repository / ".git" / "HEAD").write_text("ref: refs/heads/a\x1b]0;x\x07b\n")
    assert branch(str(repository)) == "a?]0;x?b"


def test_the_monitor_that_a_repository_names_does_not_run(repository: Path) -> None:
    monitor = repository / "monitor"
    monitor.write_text(f"#!/bin/sh\necho > {repository}/ran\n")
    monitor.chmod(0o755)
    git(repository, "config", "core.fsmonitor", str(monitor))
    dirty(str(repository), os.environ["PATH"])
    assert not (repository / "ran").exists()
