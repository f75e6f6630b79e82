"""A worktree and its branch go, however much of them is there: what a kill has left, too."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, NamedTuple

from aish.errors import StorageError
from aish.worktree import nested, repository
from aish.worktree.git import Git, error_of
from aish.worktree.parsing import counted, status

if TYPE_CHECKING:
    from aish.worktree.record import Record, Records


class Lost(NamedTuple):
    """What only the worktree has: commits (id and subject) that no other branch has, files with changes."""

    commits: list[str]
    files: list[str]

    def __str__(self) -> str:
        parts = [counted(len(self.commits), "commit")] if self.commits else []
        parts += [counted(len(self.files), "uncommitted file")] if self.files else []
        return " and ".join(parts)


def lost(records: Records, record: Record) -> Lost:
    """What would be gone without it."""
    git = Git(records.common, records.common)
    files: list[str] = []
    heads = [record.branch] if exists(records, record) else []
    if os.path.exists(os.path.join(record.folder, ".git")):
        inside = repository.inside(records.common, record.folder)
        others = nested.foreign(inside, records.common)
        words = ["--ignore-submodules=dirty"] if others else []
        files = status(inside("status", "--porcelain=v2", "-z", "--untracked-files=all", *words).items).dirty
        files += [path for path in others if path not in files and f"{path}/" not in files]
        heads.append(inside("rev-parse", "HEAD").line)
    if not heads:
        return Lost([], files)
    others = ["--not", f"--exclude={record.branch}", "--branches", "--remotes", "--tags"]
    commits = git("log", "-z", "--format=%h %s", *heads, *others).items
    return Lost(commits, files)


def exists(records: Records, record: Record) -> bool:
    """Its branch."""
    return not Git(records.common, records.common).attempt("rev-parse", "-q", "--verify", _ref(record)).status


def take_away(records: Records, record: Record) -> None:
    """Worktree, branch, record, in this order: what is left of a kill is found by the record. Raises AishError."""
    git = Git(records.common, records.common)
    done = git.attempt("worktree", "remove", "--force", "--force", record.folder)
    if done.status:
        _by_hand(records.common, record.folder)
    if exists(records, record):
        done = git.attempt("branch", "-D", "-q", record.branch)
        if done.status and exists(records, record):
            raise error_of(("branch",), done)
    records.drop(record.name)


def _by_hand(common: str, folder: str) -> None:
    """What git does not know as a worktree, or no longer: half of it is there."""
    try:
        if os.path.lexists(folder):
            shutil.rmtree(folder)
        git_dir = repository.git_dir_of(common, folder)
        if git_dir is not None:
            shutil.rmtree(git_dir)
    except OSError as error:
        raise StorageError(f"{error.filename}: {error.strerror}") from error


def _ref(record: Record) -> str:
    return f"refs/heads/{record.branch}"
