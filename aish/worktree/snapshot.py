"""A working tree as it stands, as a commit that no branch has, and the way back to it.

Files are taken byte for byte, those that git does not know as well as changed ones; what git ignores stays out. The
user's index, HEAD and configuration take no part: there is a git folder of our own, with an index and attributes of
its own, that only shares the objects of the repository. So no filter, hook or monitor that a folder's own
configuration names is run, whoever has written that.

The commit has the tree of the files, and two parents: HEAD, and a commit of what was staged.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from typing import TYPE_CHECKING, Final, NamedTuple

from aish.errors import ConflictError, StorageError
from aish.worktree.git import Git
from aish.worktree.parsing import listed
from aish.worktree.repository import common_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from aish.worktree.git import Done

REFS: Final = "refs/aish/checkpoints"
FILE_BYTES: Final = 64 << 20
"""Longer files are left out: it is not for data sets."""
UNDER_WAY: Final = {
    "MERGE_HEAD": "merge",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
}
"""What git leaves in its folder in the middle of something -> of what."""
_WHO: Final = ("-c", "user.name=aish", "-c", "user.email=aish@localhost", "-c", "commit.gpgSign=false")
_SAFE: Final = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false")
_CONFIG: Final = (
    ("core.autocrlf", "false"),
    ("core.eol", "lf"),
    ("core.safecrlf", "false"),
    ("core.fileMode", "true"),
    ("core.symlinks", "true"),
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.untrackedCache", "false"),
    ("core.splitIndex", "false"),
    ("gc.auto", "0"),
)
_ATTRIBUTES: Final = "* -text -eol -filter -ident -working-tree-encoding -merge\n"
"""They go before those of any .gitattributes: every file as it is."""


class Place(NamedTuple):
    """A working tree: its folder, its git folder, what all working trees of the repository share, and the one that it
    was begun from."""

    folder: str
    git_dir: str
    common: str
    home: str


class Snapshot(NamedTuple):
    """`staged` is the tree of the index; None: it was in the middle of a merge. `branch` None: HEAD was detached."""

    commit: str
    tree: str
    staged: str | None
    head: str
    branch: str | None
    left_out: list[str]
    """Repositories within it, and files that are too long."""


def place_of(folder: str, home: str) -> Place:
    """Of the working tree whose top that is, begun from `home`. To be asked before anybody has worked there whose
    word does not count: what stands in it says where its repository is. Raises as `aish.worktree.repository.find`.
    """
    return Place(folder, Git(folder)("rev-parse", "--absolute-git-dir").line, common_of(folder), home)


def fill(folder: str, home: str, wanted: Snapshot) -> None:
    """Lay it out in a working tree that was just made at its HEAD, on a branch of its own. Raises AishError."""
    with tempfile.TemporaryDirectory(prefix="aish-") as private:
        shadow = Shadow(os.path.join(private, "git"), place_of(folder, home))
        shadow.enter()
        shadow.lay_files(wanted)


class Shadow:
    """Our own git folder beside the working tree's. `keep` are descriptors that git has, too: a lock that is held
    until it has ended, should we be killed. One at a time works with it."""

    def __init__(self, private: str, place: Place, keep: Sequence[int] = ()) -> None:
        self._private, self.place = private, place
        self._variables = {
            "GIT_WORK_TREE": place.folder,
            "GIT_OBJECT_DIRECTORY": os.path.join(place.common, "objects"),
        }
        self._git = Git(place.folder, private, keep, _WHO)
        self._theirs = Git(place.folder, place.git_dir, keep, _SAFE)

    # --- the way there ------------------------------------------------------------------------------------------

    def take(self, refs: str, before: Snapshot | None = None) -> Snapshot:
        """Everything as it is now, kept from git's own cleaning by a ref below `refs`. Where nothing has changed
        since `before`, that. Raises AishError."""
        left_out = self.enter()
        tree = self._ours("write-tree").line
        head = self._real("rev-parse", "--verify", "HEAD^{commit}").line
        on = self._theirs.attempt("symbolic-ref", "-q", "HEAD")
        branch = None if on.status else on.line.removeprefix("refs/heads/")
        now = Snapshot("", tree, self._staged(), head, branch, left_out)
        if before is not None and now == before._replace(commit=""):
            return before
        index = self._ours("commit-tree", now.staged or f"{head}^{{tree}}", "-p", head, "-m", "staged").line
        parents = ("-p", head, "-p", index)
        commit = self._ours("commit-tree", tree, *parents, "-m", "a checkpoint of aish").line
        self._real("update-ref", f"{refs}/{commit}", commit)
        return now._replace(commit=commit)

    def _prepare(self) -> None:
        """Raises StorageError."""
        private = self._private
        if not os.path.exists(os.path.join(private, "ready")):
            form = self._theirs("rev-parse", "--show-object-format").line
            shutil.rmtree(private, ignore_errors=True)
            _private(os.path.dirname(private))
            words = ("init", "-q", "--bare", "--template=", f"--object-format={form}", private)
            ours = Git(os.path.dirname(private))  # not in the folder, whose configuration may be the agent's
            ours(*words)
            for key, value in (*_CONFIG, ("core.bare", "false")):
                ours("config", "--file", os.path.join(private, "config"), key, value)
        try:
            info = os.path.join(private, "info")
            os.makedirs(info, exist_ok=True)
            with open(os.path.join(info, "attributes"), "w", encoding="ascii") as file:
                file.write(_ATTRIBUTES)
            excluded = os.path.join(self.place.common, "info", "exclude")
            if os.path.exists(excluded):
                shutil.copyfile(excluded, os.path.join(info, "exclude"))
            for lock in ("index.lock", "staged.lock"):  # whoever had it is dead: it would hold our lock, too
                if os.path.lexists(os.path.join(private, lock)):
                    os.unlink(os.path.join(private, lock))
            os.close(os.open(os.path.join(private, "ready"), os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise StorageError(f"{error.filename}: {error.strerror}") from error

    def enter(self) -> list[str]:
        """What has changed since the last time, into our index; what was left out. Raises AishError."""
        self._prepare()
        listing = self._ours("ls-files", "-z", "--others", "--modified", "--exclude-standard")
        found = sorted(set(listing.items))
        there, gone, left_out = sorted_out(self.place.folder, found)
        self._update("--force-remove", gone)
        self._update("--replace", there)
        return left_out

    def _update(self, how: str, paths: Iterable[str]) -> None:
        given = b"".join(os.fsencode(path) + b"\0" for path in paths)
        if given:
            self._ours("update-index", "--add", how, "-z", "--stdin", given=given)

    def _staged(self) -> str | None:
        """By a copy of the working tree's index: reading writes nothing there."""
        copy = os.path.join(self._private, "staged")
        try:
            shutil.copyfile(os.path.join(self.place.git_dir, "index"), copy)
        except FileNotFoundError:
            return self._real("hash-object", "-t", "tree", "-w", "--stdin").line
        except OSError as error:
            raise StorageError(f"{error.filename}: {error.strerror}") from error
        done = self._theirs.attempt("write-tree", GIT_INDEX_FILE=copy)
        return None if done.status else done.line

    # --- the way back -------------------------------------------------------------------------------------------

    def check(self, wanted: Snapshot, now: Snapshot) -> None:
        """Whether going back there loses nothing: what would be written over is in `now`, which was just taken.
        Raises ConflictError, and nothing has changed."""
        under_way = next((word for mark, word in UNDER_WAY.items() if self._has(mark)), None)
        if under_way is not None:
            hint = f"finish it there, or git -C {self.place.folder} {under_way} --abort"
            raise ConflictError(f"{self.place.folder} is in the middle of a {under_way}", hint=hint)
        if wanted.branch is not None:
            words = ("for-each-ref", "--format=%(worktreepath)", f"refs/heads/{wanted.branch}")
            elsewhere = self._real(*words).line
            if elsewhere and os.path.realpath(elsewhere) != os.path.realpath(self.place.folder):
                raise ConflictError(
                    f"{wanted.branch} is checked out in {elsewhere} by now", hint="switch that to another branch"
                )
        new, gone = self._paths("A", now, wanted), self._paths("D", now, wanted)
        clashes = in_the_way(self.place.folder, new, set(gone))
        if clashes:
            raise ConflictError(
                f"not kept, and it would be written over: {listed(clashes)}",
                hint=f"move it away first; files beyond {FILE_BYTES >> 20} MiB, repositories within it and what git"
                " ignores are in no checkpoint",
            )

    def _paths(self, letter: str, now: Snapshot, wanted: Snapshot) -> list[str]:
        """That are new (A), or there no more (D)."""
        options = ("-r", "-z", "--name-only", "--no-renames", f"--diff-filter={letter}")
        return self._ours("diff-tree", *options, now.tree, wanted.tree).items

    def lay(self, wanted: Snapshot) -> None:
        """Files, what is staged, HEAD. Our index is as the files were before; again after a kill comes to the same.
        Raises AishError."""
        self._prepare()
        if wanted.branch is not None:
            self._real("update-ref", f"refs/heads/{wanted.branch}", wanted.head)
            self._real("symbolic-ref", "HEAD", f"refs/heads/{wanted.branch}")
        else:
            self._real("update-ref", "--no-deref", "HEAD", wanted.head)
        self.lay_files(wanted)

    def lay_files(self, wanted: Snapshot) -> None:
        """And what is staged; HEAD stays."""
        self._ours("read-tree", "--reset", "-u", wanted.tree)
        self._real("read-tree", wanted.staged or wanted.head)

    def _has(self, mark: str) -> bool:
        return os.path.exists(os.path.join(self.place.git_dir, mark))

    def _ours(self, *words: str, given: bytes = b"") -> Done:
        return self._git(*words, given=given, alone=True, **self._variables)

    def _real(self, *words: str) -> Done:
        return self._theirs(*words, alone=True)


def _private(folder: str) -> None:
    """Raises StorageError."""
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{folder}: {error.strerror}") from error


def sorted_out(folder: str, paths: Iterable[str]) -> tuple[list[str], list[str], list[str]]:
    """Of what has changed: files and links that are there, what is there no more, what is left out."""
    there: list[str] = []
    gone: list[str] = []
    left_out: list[str] = []
    links: dict[str, bool] = {}
    for path in paths:
        if path.endswith("/"):  # a repository of its own
            left_out.append(path)
            continue
        if _behind_link(folder, os.path.dirname(path), links):  # a folder was: now it leads elsewhere
            gone.append(path)
            continue
        try:
            found = os.lstat(os.path.join(folder, path))
        except (FileNotFoundError, NotADirectoryError):
            gone.append(path)
            continue
        except OSError as error:
            raise StorageError(f"{error.filename}: {error.strerror}") from error
        fits = stat.S_ISLNK(found.st_mode) or (stat.S_ISREG(found.st_mode) and found.st_size <= FILE_BYTES)
        (there if fits else gone).append(path)
        if not fits and not stat.S_ISDIR(found.st_mode):
            left_out.append(path)
    return there, gone, left_out


def _behind_link(folder: str, path: str, known: dict[str, bool]) -> bool:
    """Whether it, or a folder above it in `folder`, is a link."""
    if not path:
        return False
    if path not in known:
        above = _behind_link(folder, os.path.dirname(path), known)
        known[path] = above or os.path.islink(os.path.join(folder, path))
    return known[path]


def in_the_way(folder: str, new: Iterable[str], going: Collection[str]) -> list[str]:
    """Of paths that are to be made: where something is that no snapshot has. `going` are those that go first."""
    found: dict[str, None] = {}
    for path in new:
        parts = path.split("/")
        for end in range(1, len(parts) + 1):
            above = "/".join(parts[:end])
            full = os.path.join(folder, above)
            if not os.path.lexists(full) or above in going:
                break
            if os.path.islink(full) or not os.path.isdir(full):
                found[above] = None
                break
            if end == len(parts):
                found |= dict.fromkeys(path for path in _below(folder, above) if path not in going)
    return list(found)


def _below(folder: str, path: str) -> Iterator[str]:
    """All that is in a folder but folders."""
    for where, folders, files in os.walk(os.path.join(folder, path)):
        links = (name for name in folders if os.path.islink(os.path.join(where, name)))
        yield from (os.path.relpath(os.path.join(where, name), folder) for name in (*files, *links))


def drop(common: str, refs: Iterable[str]) -> None:
    """Let git clean away what they kept. Raises AishError."""
    given = b"".join(b"delete %b\0\0" % os.fsencode(ref) for ref in refs)
    if given:
        Git(common, common, options=_SAFE)("update-ref", "-z", "--stdin", given=given)


def refs_of(common: str, below: str) -> list[str]:
    """Raises AishError."""
    return Git(common, common, options=_SAFE)("for-each-ref", "--format=%(refname)", below).out.decode().split()
