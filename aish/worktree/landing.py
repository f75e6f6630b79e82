"""A worktree's work comes home: committed, merged with what its target is now, checked, and only then led in.

All that may fail happens in the worktree. The target's branch goes from its old commit to its new one in one step of
git, which itself refuses to touch what the user has changed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Final, NamedTuple

from aish.errors import AishError, ConflictError, NotFoundError
from aish.worktree import nested, outfit, recovery, removal, repository
from aish.worktree.git import Git, clean, error_of
from aish.worktree.parsing import Change, changes, counted, listed, status
from aish.worktree.record import LANDED, LANDING, READY
from aish.worktree.snapshot import UNDER_WAY

if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.worktree.git import Done
    from aish.worktree.record import Record, Records

MERGE: Final = "merge"
SQUASH: Final = "squash"
REBASE: Final = "rebase"
_ROUNDS: Final = 10


class CheckFailedError(Exception):
    """The check has said no: its status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Wish(NamedTuple):
    check: str | None = None
    how: str = MERGE
    message: str | None = None
    keep: bool = False


class Landed(NamedTuple):
    """`commit` is where the branch is now; no commits: there was nothing to land."""

    name: str
    branch: str
    commit: str
    commits: int
    files: int


class Target(NamedTuple):
    branch: str
    commit: str


def land(records: Records, name: str, wish: Wish, tell: Callable[[str], None]) -> Landed:
    """Raises CheckFailedError; ConflictError (in the way: files, a merge under way, another aish), UnavailableError
    (git, a hook of the repository)."""
    with records.held(name) as lock:
        record = _known(records, name)
        record = recovery.recovered(records, record, tell)
        if record.state == LANDED:
            done = Landed(name, record.into or "", record.new or "", 0, 0)
        else:
            done = _landed(records, record, wish, lock, tell)
        if not wish.keep:
            removal.take_away(records, record)
        elif record.state == LANDED:
            _kept(records, record)
    return done


def _known(records: Records, name: str) -> Record:
    record = records.load(name)
    if record is None:
        raise NotFoundError(f"no worktree is called {name}", hint="`aish land` lists those of this repository")
    return record


def _kept(records: Records, record: Record) -> None:
    record.state, record.into, record.old, record.new = READY, None, None, None
    records.save(record)


def _landed(records: Records, record: Record, wish: Wish, lock: int, tell: Callable[[str], None]) -> Landed:
    git = _check_places(records, record, lock)
    target_of(record)  # before anything is done: where to
    record.state = LANDING
    records.save(record)
    try:
        _commit(git, record, wish, tell)
        return _rounds(records, record, git, wish, lock, tell)
    except BaseException:
        if record.state == LANDING and record.new is None:
            _kept(records, record)
        raise


def _check_places(records: Records, record: Record, lock: int) -> Git:
    """That of the worktree. Raises ConflictError."""
    if not os.path.exists(os.path.join(record.folder, ".git")):
        hint = f"its commits are on {record.branch}: git merge {record.branch}; then aish discard {record.name}"
        raise ConflictError(f"{record.folder} is gone", hint=hint)
    hooks: tuple[str, ...] = ()
    if os.path.isdir(record.home):  # those of the user's tree, where they lie in it
        path = Git(record.home)("rev-parse", "--path-format=absolute", "--git-path", "hooks").line
        hooks = ("-c", f"core.hooksPath={path}")
    git = repository.inside(records.common, record.folder, (lock,), hooks)
    for where in (git, Git(record.home)) if os.path.isdir(record.home) else (git,):
        under_way = next((word for mark, word in UNDER_WAY.items() if _has(where, mark)), None)
        if under_way is not None:
            hint = f"finish it there, or git -C {where.folder} {under_way} --abort"
            raise ConflictError(f"{where.folder} is in the middle of a {under_way}", hint=hint)
    others = nested.foreign(git, records.common)
    if others:
        raise ConflictError(
            f"repositories of their own are in {record.folder}: {listed(others)}",
            hint="git would run what their configuration says and land no file of them: move them or their .git away",
        )
    return git


def _has(git: Git, mark: str) -> bool:
    return os.path.exists(os.path.join(git.folder, git("rev-parse", "--git-path", mark).line))


def target_of(record: Record) -> Target:
    """The branch that the user's working tree has, and its commit. Raises ConflictError."""
    if not os.path.isdir(record.home):
        hint = f"git merge {record.branch} where you want it; then aish discard {record.name}"
        raise ConflictError(f"{record.home} is gone, where it began", hint=hint)
    home = Git(record.home)
    branch = home.attempt("symbolic-ref", "-q", "HEAD")
    if branch.status:
        raise ConflictError(f"{record.home} has no branch checked out", hint="git switch BRANCH there first")
    return Target(branch.line.removeprefix("refs/heads/"), home("rev-parse", "--verify", "HEAD").line)


def _commit(git: Git, record: Record, wish: Wish, tell: Callable[[str], None]) -> None:
    """What it has not committed, with the hooks of the repository."""
    git("add", "--all")
    if git.attempt("diff", "--cached", "--quiet").status:
        words = ("commit", "-q", "-m", wish.message or f"Work of @{record.name}")
        done = git.attempt(*words)
        if done.status:
            raise _refused(words, done, tell)


def _refused(words: tuple[str, ...], done: Done, tell: Callable[[str], None]) -> AishError:
    """By git, or by a hook of the repository, which has said why."""
    lines = done.err.splitlines()
    for line in lines if len(lines) > 1 else ():
        tell(line)
    return error_of(words, done)


def _rounds(records: Records, record: Record, git: Git, wish: Wish, lock: int, tell: Callable[[str], None]) -> Landed:
    """Until the target has stood still from the merge to the end of the check."""
    checked: str | None = None
    for _ in range(_ROUNDS):
        target = target_of(record)
        tip = git("rev-parse", "HEAD").line
        if _contains(git, target.commit, tip):
            record.state, record.into, record.old, record.new = LANDED, target.branch, target.commit, target.commit
            records.save(record)
            return Landed(record.name, target.branch, target.commit, 0, 0)
        commits = int(git("rev-list", "--count", f"{target.commit}..{tip}").line)
        new = _merged(git, record, target, tip, wish, tell)
        found = changes(git("diff-tree", "-r", "-z", "--no-renames", target.commit, new).items)
        with records.at_home():
            if target_of(record) == target:
                _check_untouched(record, found)
        tree = git("rev-parse", f"{new}^{{tree}}").line
        if wish.check is not None and checked != tree:
            _check(git, record, wish.check, tell)
            checked = tree
        with records.at_home() as home:
            if target_of(record) == target:
                _check_untouched(record, found)
                if _forward(records, record, target, new, (lock, home)):
                    return Landed(record.name, target.branch, new, commits, len(found))
        tell(f"{target.branch} has moved meanwhile: once more")
    raise ConflictError(f"{record.home} changes all the time", hint="try again when it stands still")


def _contains(git: Git, commit: str, other: str) -> bool:
    return not git.attempt("merge-base", "--is-ancestor", other, commit).status


def _merged(git: Git, record: Record, target: Target, tip: str, wish: Wish, tell: Callable[[str], None]) -> str:
    """The commit that the target is to be led to; its tree is in the worktree. Raises ConflictError."""
    if wish.how == REBASE:
        _join(git, target, ("rebase", target.commit), tell)
        return git("rev-parse", "HEAD").line
    straight = _contains(git, tip, target.commit)
    if not straight:
        message = f"Merge {target.branch} into {record.branch}"
        _join(git, target, ("merge", "--no-edit", "--ff", "--commit", "-q", "-m", message, target.commit), tell)
    if wish.how == SQUASH:
        return _made(git, (target.commit,), wish.message or f"Work of @{record.name}")
    if straight:
        return tip
    message = wish.message or f"Merge the work of @{record.name} ({record.branch})"
    return _made(git, (target.commit, tip), message)  # the target's line first, as if it had been merged there


def _join(git: Git, target: Target, words: tuple[str, ...], tell: Callable[[str], None]) -> None:
    done = git.attempt(*words)
    if not done.status:
        return
    conflicts = status(git("status", "--porcelain=v2", "-z").items).conflicts
    git.attempt(words[0], "--abort")
    if conflicts:
        hint = f"nothing has changed; merge {target.branch} in {git.folder}, then land again"
        raise ConflictError(f"conflicts with {target.branch}: {listed(conflicts)}", hint=hint)
    raise _refused(words, done, tell)


def _made(git: Git, parents: tuple[str, ...], message: str) -> str:
    """A commit of what the worktree has."""
    sign = ["-S"] if git.attempt("config", "--type=bool", "commit.gpgsign").line == "true" else []
    words = [word for parent in parents for word in ("-p", parent)]
    return git("commit-tree", *sign, *words, "-m", message, "HEAD^{tree}").line


def _check_untouched(record: Record, found: list[Change]) -> None:
    """Nothing that would change may be the user's unsaved work: also what git ignores, which it would write over.
    Raises ConflictError."""
    home = Git(record.home)
    items = home("status", "--porcelain=v2", "-z", "--untracked-files=no", GIT_OPTIONAL_LOCKS="0").items
    dirty = set(status(items).changed)
    gone = {change.path for change in found if change.new is None}
    clashes = [c.path for c in found if c.path in dirty or (c.old is None and _in_the_way(record.home, c.path, gone))]
    if clashes:
        raise ConflictError(
            f"{record.home} has uncommitted changes of what would be landed: {listed(clashes)}",
            hint="commit, stash or move them away; nothing has changed there",
        )


def _in_the_way(home: str, path: str, gone: set[str]) -> bool:
    """Whether something that git does not know is where a new file is to be."""
    parts = path.split("/")
    for end in range(1, len(parts)):
        above = "/".join(parts[:end])
        full = os.path.join(home, above)
        if above not in gone and os.path.lexists(full) and (os.path.islink(full) or not os.path.isdir(full)):
            return True
    full = os.path.join(home, path)
    return os.path.lexists(full) and (os.path.islink(full) or not os.path.isdir(full))  # of folders git itself looks


def _check(git: Git, record: Record, command: str, tell: Callable[[str], None]) -> None:
    """As it was typed, where the agent worked. Raises CheckFailedError, ConflictError."""
    before = git("rev-parse", "HEAD").line
    sys.stderr.flush()
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=record.cwd if os.path.isdir(record.cwd) else record.folder,
        env=clean(os.environ) | outfit.variables(record),
        stdin=subprocess.DEVNULL,
        stdout=2,
        check=False,
    )
    if done.returncode:
        raise CheckFailedError(done.returncode)
    if git("rev-parse", "HEAD").line != before:
        raise ConflictError("the check has made commits", hint="they were not checked: land again")
    changed = status(git("status", "--porcelain=v2", "-z", "--untracked-files=no").items).changed
    if changed:
        tell(f"the check has changed {counted(len(changed), 'path')}, which is not landed: {listed(changed)}")


def _forward(records: Records, record: Record, target: Target, new: str, locks: tuple[int, ...]) -> bool:
    """False: somebody was faster. What is to happen is written down first, and git outlives us."""
    record.into, record.old, record.new = target.branch, target.commit, new
    records.save(record)
    home = Git(record.home, keep=locks)
    why: AishError | None = None
    try:
        done = home.attempt(
            *("merge", "--ff-only", "--no-autostash", "-q", new),
            alone=True,
            GIT_REFLOG_ACTION=f"aish land {record.name}",
        )
        if done.status:
            why = error_of(("merge",), done)
    except AishError as error:
        why = error
    now = target_of(record)
    if now.branch == target.branch and _contains(home, now.commit, new):
        record.state = LANDED
        records.save(record)
        return True
    record.old = record.new = None
    records.save(record)
    if now != target or why is None:
        return False
    raise why
