"""Which repository a folder is in, and where its worktrees lie."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from aish.errors import ConflictError, StorageError
from aish.worktree.git import Git
from aish.worktree.naming import PLACE

if TYPE_CHECKING:
    from collections.abc import Sequence


class Repository(NamedTuple):
    """`top` is the working tree that the folder is in, `prefix` the folder in it ("" or "a/b"); `common` is what all
    working trees of the repository share; `place` is where new ones are made."""

    top: str
    prefix: str
    common: str
    place: str


def find(folder: str) -> Repository:
    """Raises NotFoundError (no repository), ConflictError (a bare one), RefusedError (not trusted),
    UnavailableError."""
    git = Git(folder)
    if git("rev-parse", "--is-inside-work-tree").line != "true":
        hint = "a bare repository has none: git worktree add one, and begin there"
        raise ConflictError(f"{folder} is in no working tree of its repository", hint=hint)
    top = git("rev-parse", "--show-toplevel").line
    prefix = git("rev-parse", "--show-prefix").line.rstrip("/")
    git_dir, common = git("rev-parse", "--absolute-git-dir").line, common_of(folder)
    return Repository(top, prefix, common, place_of(top, git_dir, common))


def common_of(folder: str) -> str:
    """Raises as `find`; a bare repository has one, too."""
    return Git(folder)("rev-parse", "--path-format=absolute", "--git-common-dir").line


def inside(common: str, folder: str, keep: Sequence[int] = (), options: Sequence[str] = ()) -> Git:
    """In a worktree by what its repository knows of it: where its own .git leads, and what a configuration there has
    git run, may have been written by who worked in it. `keep`, `options` as of Git. Raises ConflictError."""
    git_dir = git_dir_of(common, folder)
    if git_dir is None:
        hint = f"git -C {folder} worktree repair, if you know that its .git is right"
        raise ConflictError(f"{folder} is no worktree of {common}", hint=hint)
    return Git(folder, git_dir, keep, ("-c", "core.fsmonitor=false", *options))


def git_dir_of(common: str, folder: str) -> str | None:
    """None: the repository knows no such worktree."""
    for each in git_dirs(common):
        if points_to(each) == os.path.join(folder, ".git"):
            return each
    return None


def git_dirs(common: str) -> list[str]:
    """Of all worktrees of a repository. Raises StorageError."""
    try:
        return [entry.path for entry in os.scandir(os.path.join(common, "worktrees"))]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StorageError(f"{error.filename}: {error.strerror}") from error


def points_to(git_dir: str) -> str | None:
    """The .git of the worktree that it is of; git may write it as seen from there."""
    try:
        with open(os.path.join(git_dir, "gitdir"), "rb") as file:
            return os.path.normpath(os.path.join(git_dir, os.fsdecode(file.read().removesuffix(b"\n"))))
    except OSError:
        return None


def above_worktree(folder: str) -> str:
    """Of a folder in a worktree of ours, one of its repository that is not in it; else itself. Pure."""
    above, found, _ = folder.rpartition(f"/{PLACE}/")
    return above if found else folder


def place_of(top: str, git_dir: str, common: str) -> str:
    """In the main working tree, also where it begins in another: whose worktree goes takes no other's with it. A bare
    repository has no such tree, and a submodule's is not to be found: it is in what they share. Pure."""
    if git_dir == common:
        return os.path.join(top, PLACE)
    if os.path.dirname(top).endswith("/" + PLACE):
        return os.path.dirname(top)
    if os.path.basename(common) == ".git":
        return os.path.join(os.path.dirname(common), PLACE)
    return os.path.join(common, PLACE)


def exclude(common: str, *patterns: str) -> None:
    """Have `git status` not show them, in any working tree. Raises StorageError."""
    path = os.path.join(common, "info", "exclude")
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "a+b") as file:
            file.seek(0)
            content = file.read()
            lines = [os.fsencode(pattern) for pattern in patterns if os.fsencode(pattern) not in content.splitlines()]
            if lines:
                file.write(b"\n" * (content[-1:] not in (b"", b"\n")) + b"\n".join(lines) + b"\n")
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}") from error
