"""What a new worktree needs that git does not bring: by the repository's own hook, else what is usual."""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
import sys
import zlib
from typing import TYPE_CHECKING, Final

from aish.errors import ConflictError, StorageError, UnavailableError
from aish.worktree.git import Git, clean
from aish.worktree.parsing import counted, listed
from aish.worktree.repository import exclude

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from aish.worktree.record import Record
    from aish.worktree.repository import Repository

HOOK: Final = ".aish/worktree-setup"
PORTS: Final = range(20_000, 30_000)
"""Below those that the kernel and the supervisor give."""
_ENV: Final = (".env", ".env.")


def port_of(folder: str, taken: Collection[int], free: Callable[[int], bool]) -> int:
    """One of its own, the same each time where that is free. Raises UnavailableError. Pure but for `free`."""
    first = zlib.crc32(os.fsencode(folder)) % len(PORTS)
    for step in range(len(PORTS)):
        port = PORTS[(first + step) % len(PORTS)]
        if port not in taken and free(port):
            return port
    raise UnavailableError(f"no free port from {PORTS.start} to {PORTS.stop - 1}")


def variables(record: Record) -> dict[str, str]:
    """For the hook, the process and a check."""
    return {
        "AISH_WORKTREE": record.folder,
        "AISH_REPOSITORY": record.home,
        "AISH_PORT": str(record.port),
        "PORT": str(record.port),
    }


def fit_out(repository: Repository, record: Record, tell: Callable[[str], None]) -> None:
    """Raises UnavailableError where the hook fails, ConflictError where it cannot be run."""
    hook = os.path.join(repository.top, HOOK)
    if os.path.lexists(hook):
        _run(hook, record, os.environ)
        return
    _copy_variables(repository, record, tell)
    _link_venv(repository, record, tell)
    if os.path.exists(os.path.join(record.folder, ".gitmodules")):
        tell("its submodules are empty: git submodule update --init, there or in " + HOOK)


def _run(hook: str, record: Record, surroundings: Mapping[str, str]) -> None:
    """Its output is for people: both streams go to our stderr."""
    if not os.access(hook, os.X_OK):
        raise ConflictError(f"{hook} is not executable", hint=f"chmod +x {hook}")
    sys.stderr.flush()
    try:
        done = subprocess.run(
            [hook],
            cwd=record.folder,
            env=clean(surroundings) | variables(record),
            stdin=subprocess.DEVNULL,
            stdout=2,
            check=False,
        )
    except OSError as error:
        hint = "its first line says what runs it: #!/bin/sh"
        raise ConflictError(f"{hook} cannot be run: {error.strerror}", hint=hint) from error
    if done.returncode:
        how = f"with status {done.returncode}" if done.returncode > 0 else f"by signal {-done.returncode}"
        raise UnavailableError(f"{hook} has ended {how}", hint="what it wrote is above; the worktree is taken away")


def _copy_variables(repository: Repository, record: Record, tell: Callable[[str], None]) -> None:
    """`.env` files that git ignores: others would be landed, and may hold keys."""
    git = Git(repository.top)
    options = ("ls-files", "-z", "--others", "--exclude-standard", "--directory")
    ignored = [path for path in git(*options, "--ignored").items if _is_env(path)]
    told = [path for path in git(*options).items if _is_env(path)]
    for path in ignored:
        target = os.path.join(record.folder, path)
        try:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy2(os.path.join(repository.top, path), target, follow_symlinks=False)
        except OSError as error:
            raise StorageError(f"{target}: {error.strerror}") from error
    if ignored:
        tell(f"{counted(len(ignored), 'file')} copied that git ignores: {listed(ignored)}")
    if told:
        tell(f"not copied, as git does not ignore it and it would be landed: {listed(told)}")


def _is_env(path: str) -> bool:
    name = os.path.basename(path)
    return name == _ENV[0] or name.startswith(_ENV[1])


def _link_venv(repository: Repository, record: Record, tell: Callable[[str], None]) -> None:
    source, target = os.path.join(repository.top, ".venv"), os.path.join(record.folder, ".venv")
    if not os.path.isdir(source) or os.path.lexists(target):
        return
    if editable(source, repository.top):
        tell(
            f"no .venv: that of {repository.top} imports its packages from there, not from the worktree;"
            f" {HOOK} can make one"
        )
        return
    exclude(repository.common, "/.venv")  # patterns for folders (.venv/) do not cover a link
    try:
        os.symlink(source, target)
    except OSError as error:
        raise StorageError(f"{target}: {error.strerror}") from error
    tell(f".venv is linked to {source}")


def editable(venv: str, top: str) -> bool:
    """Whether it imports something of `top` in place."""
    mark = os.fsencode(top)
    for path in glob.glob(os.path.join(glob.escape(venv), "lib*", "python*", "site-packages", "*")):
        name = os.path.basename(path)
        if not name.endswith((".pth", ".egg-link")) and not name.startswith("__editable__"):
            continue
        try:
            with open(path, "rb") as file:
                if mark in file.read(1 << 20):
                    return True
        except OSError:
            continue  # a folder, or unreadable: python cannot read it either
    return False
