"""A new worktree: named, claimed, made by git, fitted out. Whatever fails takes it away again, and the next one what
a kill has left."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from typing import TYPE_CHECKING, NamedTuple

from aish.errors import AishError, ConflictError, NotFoundError, StorageError
from aish.worktree import beginning, naming, outfit, removal
from aish.worktree.git import Git
from aish.worktree.parsing import counted, status
from aish.worktree.port import is_free
from aish.worktree.record import LANDED, LANDING, MADE, MAKING, Record, Records
from aish.worktree.repository import exclude
from aish.worktree.snapshot import fill

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from aish.worktree.repository import Repository
    from aish.worktree.snapshot import Snapshot


class Made(NamedTuple):
    """`held` keeps a new one from being taken for one that a kill has left; to be closed when somebody has begun."""

    record: Record
    new: bool
    held: int | None = None


def make(
    repository: Repository,
    name: str,
    *,
    again: bool = False,
    dirty: bool = False,
    start: Snapshot | None = None,
    taken: Collection[str] = (),
    begun: Callable[[Record], bool] = lambda _: True,
    tell: Callable[[str], None],
) -> Made:
    """A worktree of that name, or of the first number that is free; with `again` the old one of the name. `taken` are
    names of living processes; `begun`: whether somebody has ever begun in that one, as far as can be told; `dirty`:
    with the uncommitted changes of the working tree; `start`: as it was then, in place of HEAD.

    Raises ConflictError (no commit yet), NotFoundError (`again`: there is none), as `repository.find`."""
    git = Git(repository.top)
    head = git.attempt("rev-parse", "-q", "--verify", "HEAD^{commit}")
    if head.status:
        raise ConflictError(f"{repository.top} has no commit yet", hint="a worktree begins at one: git commit")
    records = Records(repository.common)
    if again:
        return Made(_old(records, name), new=False)
    changed = status(
        git("status", "--porcelain=v2", "-z", "--untracked-files=normal", GIT_OPTIONAL_LOCKS="0").items
    ).dirty
    for each in naming.candidates(name):
        if each in taken:
            continue
        with contextlib.ExitStack() as stack:
            try:
                lock = stack.enter_context(records.held(each))
            except ConflictError:
                continue  # another aish makes or lands it just now
            if not _free(records, repository, each, begun, tell):
                continue
            record = _claimed(records, repository, each, head.line if start is None else start.head)
            try:
                _add(repository, records, record, lock)
                if start is not None:
                    fill(record.folder, record.home, start)
                elif dirty:
                    _take_along(repository, record)
                outfit.fit_out(repository, record, tell)
                record.state = MADE
                records.save(record)
                held = beginning.hold(record.folder)
            except BaseException:
                with contextlib.suppress(AishError):  # what stays is half made, as the record says
                    removal.take_away(records, record)
                raise
            if changed and not dirty and start is None:
                hint = "--worktree-dirty takes them along"
                tell(f"uncommitted changes of {counted(len(changed), 'path')} are not in it: {hint}")
            return Made(record, new=True, held=held)
    raise ConflictError(f"no number is free behind {name}", hint="`aish land` lists worktrees, `aish discard` drops")


def _old(records: Records, name: str) -> Record:
    """Raises NotFoundError, ConflictError."""
    record = records.load(name)
    if record is None or not os.path.isdir(record.folder):
        raise NotFoundError(f"no worktree is called {name}", hint="`aish land` lists those of this repository")
    with records.held(name):
        if record.state in (MAKING, LANDED):
            raise ConflictError(f"the worktree {name} is half made or landed", hint=f"aish discard {name}")
        if record.state == LANDING:
            raise ConflictError(f"landing {name} was broken off", hint=f"`aish land {name}` goes on with it")
    return record


def _free(
    records: Records,
    repository: Repository,
    name: str,
    begun: Callable[[Record], bool],
    tell: Callable[[str], None],
) -> bool:
    """Whether nothing has that name; what a kill has left of a worktree is taken away first."""
    record = records.load(name)
    if record is not None and record.state in (MAKING, LANDED):
        tell(f"a {'half-made' if record.state == MAKING else 'landed'} worktree {name} is taken away first")
        removal.take_away(records, record)
    elif record is not None:
        if record.state != MADE or beginning.is_held(record.folder) or begun(record):
            return False
        lost = str(removal.lost(records, record))
        if lost:
            tell(f"nobody has begun in the worktree {name}, which has {lost}: `aish discard {name}` drops it")
            return False
        tell(f"the worktree {name}, in which nobody has begun, is taken away first")
        removal.take_away(records, record)
    branch = Git(repository.top).attempt("rev-parse", "-q", "--verify", f"refs/heads/{naming.branch(name)}")
    return bool(branch.status) and not os.path.lexists(os.path.join(repository.place, name))


def _claimed(records: Records, repository: Repository, name: str, head: str) -> Record:
    """Known before anything of it is there."""
    folder = os.path.join(repository.place, name)
    others = [record.port for each in records.names() if (record := _readable(records, each)) is not None]
    record = Record(
        name=name,
        folder=folder,
        branch=naming.branch(name),
        home=repository.top,
        prefix=repository.prefix,
        base=head,
        port=outfit.port_of(folder, others, is_free),
        made_s=time.time(),
    )
    exclude(repository.common, f"/{naming.PLACE}/")
    records.save(record)
    return record


def _readable(records: Records, name: str) -> Record | None:
    try:
        return records.load(name)
    except AishError:
        return None  # told where it is what was asked for


def _add(repository: Repository, records: Records, record: Record, lock: int) -> None:
    try:
        os.makedirs(repository.place, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{repository.place}: {error.strerror}") from error
    words = ("worktree", "add", "--no-track", "-b", record.branch, record.folder, record.base)
    with records.adding() as adding:
        Git(repository.top, keep=(lock, adding))(*words, alone=True)
    try:
        os.makedirs(record.cwd, exist_ok=True)  # a folder that has no file in git is not there
    except OSError as error:
        raise StorageError(f"{record.cwd}: {error.strerror}") from error


def _take_along(repository: Repository, record: Record) -> None:
    """Changes by a commit that no branch has; what git does not know is copied."""
    git = Git(repository.top)
    stashed = git("stash", "create").line
    if stashed:
        Git(record.folder)("stash", "apply", "-q", "--index", stashed)
    try:
        for path in git("ls-files", "-z", "--others", "--exclude-standard").items:
            target = os.path.join(record.folder, path)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            if os.path.isdir(os.path.join(repository.top, path)):
                continue  # a repository of its own
            shutil.copy2(os.path.join(repository.top, path), target, follow_symlinks=False)
    except OSError as error:
        raise StorageError(f"{error.filename}: {error.strerror}") from error
