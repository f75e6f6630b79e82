"""A landing that was killed: what is half done in the worktree is undone; in the user's tree it is done, or undone.

Git changes files first and the branch last, and outlives a kill of aish. So the branch tells: it is at the new
commit, or files that are as in the new one go back to the old.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from aish.errors import ConflictError
from aish.worktree import repository
from aish.worktree.git import Git
from aish.worktree.parsing import changes, listed
from aish.worktree.record import LANDED, LANDING, MAKING, READY

if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.worktree.parsing import Change
    from aish.worktree.record import Record, Records

_STEPS = {"MERGE_HEAD": "merge", "rebase-merge": "rebase", "rebase-apply": "rebase"}


def recovered(records: Records, record: Record, tell: Callable[[str], None]) -> Record:
    """As it can be landed, or as it was landed. The caller holds its lock. Raises ConflictError."""
    if record.state == MAKING:
        raise ConflictError(f"the worktree {record.name} is half made", hint=f"aish discard {record.name}")
    if record.state != LANDING:
        return record
    tell(f"landing {record.name} was broken off: gone on with")
    if record.new is not None and record.old is not None and _is_home(records, record):
        record.state = LANDED
    else:
        _undo(records, record)
        record.state, record.into, record.old, record.new = READY, None, None, None
    records.save(record)
    return record


def _is_home(records: Records, record: Record) -> bool:
    """Whether the branch has got there; if not, its working tree is as the old commit has it."""
    old, new = record.old or "", record.new or ""
    git = Git(records.common, records.common)
    if not git.attempt("merge-base", "--is-ancestor", new, f"refs/heads/{record.into}").status:
        return True
    if os.path.isdir(record.home):
        home = Git(record.home)
        if home.attempt("symbolic-ref", "-q", "HEAD").line == f"refs/heads/{record.into}":
            _take_back(home, changes(home("diff-tree", "-r", "-z", "--no-renames", old, new).items), old)
    return False


def _take_back(home: Git, found: list[Change], old: str) -> None:
    """Paths that the cut step has changed. Raises ConflictError where the user has changed one since."""
    begun = [change for change in found if not _is(home, change.path, change.old, change.old_mode)]
    foreign = [change.path for change in begun if not _is(home, change.path, change.new, change.new_mode)]
    if foreign:
        hint = f"they are neither as before nor as landed; see git -C {home.folder} diff"
        raise ConflictError(f"landing was cut off, and changed since: {listed(foreign)}", hint=hint)
    for change in begun:
        if change.old is None:
            home("rm", "-q", "--cached", "--ignore-unmatch", "--", f":(literal){change.path}")
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(home.folder, change.path))
        else:
            words = ("restore", f"--source={old}", "--staged", "--worktree", "--")
            home(*words, f":(literal){change.path}")


def _is(home: Git, path: str, blob: str | None, mode: str) -> bool:
    """Whether the file there is what the commit has; None: whether there is none."""
    full = os.path.join(home.folder, path)
    if blob is None:
        return not os.path.lexists(full)
    if mode == "160000":
        return True  # a submodule: a merge leaves its files as they are
    if not os.path.lexists(full) or (os.path.isdir(full) and not os.path.islink(full)):
        return False
    if os.path.islink(full):
        given = os.fsencode(os.readlink(full))
        return mode == "120000" and home("hash-object", "--stdin", given=given).line == blob
    return mode != "120000" and home("hash-object", "--", path).line == blob


def _undo(records: Records, record: Record) -> None:
    """In the worktree, where nobody but the broken landing was at work: a lock of its git is nobody's any more."""
    if not os.path.isdir(record.folder):
        return
    inside = repository.inside(records.common, record.folder)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_path(inside, "index.lock"))
    for mark, word in _STEPS.items():
        if os.path.exists(_path(inside, mark)):
            inside.attempt(word, "--abort")


def _path(inside: Git, name: str) -> str:
    return os.path.join(inside.folder, inside("rev-parse", "--git-path", name).line)
