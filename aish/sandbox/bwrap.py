"""A plan as words for bubblewrap. Pure but for what is there: see `Seen`."""

from __future__ import annotations

import functools
import os
import subprocess
from typing import TYPE_CHECKING, Final, NamedTuple

from aish.sandbox import paths
from aish.sandbox.profile import GUARDED, LINKED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from aish.sandbox.profile import Plan

SHARE: Final = 8
"""Of the machine's memory, for each folder that is kept in it: all of them do not fill it."""
_BLOCK: Final = 1 << 20
NAMESPACES: Final = ("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")

GPUS: Final = (
    *(f"/dev/nvidia{number}" for number in range(16)),
    *("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/dri", "/dev/kfd"),
)


def _within(path: str) -> list[str]:
    try:
        return sorted(each.path for each in os.scandir(path) if each.is_dir(follow_symlinks=False))
    except OSError:
        return []


@functools.cache
def _memory_bytes(program: str) -> int | None:
    """What a folder in memory may take; None: this bubblewrap (before 0.7) knows no bound."""
    try:
        said = subprocess.run([program, "--help"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    known = "--size " in said.stdout + said.stderr
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // SHARE // _BLOCK * _BLOCK if known else None


class Seen(NamedTuple):
    """Questions to the file system, and to bubblewrap."""

    exists: Callable[[str], bool] = os.path.exists
    is_folder: Callable[[str], bool] = os.path.isdir
    is_link: Callable[[str], bool] = os.path.islink
    is_writable: Callable[[str], bool] = functools.partial(os.access, mode=os.W_OK)
    within: Callable[[str], list[str]] = _within
    """The folders in one, by their paths."""
    memory_bytes: Callable[[str], int | None] = _memory_bytes


def words(program: str, plan: Plan, seen: Seen | None = None) -> list[str]:
    """The program and its options; what is run in it follows. A later mount lies over an earlier one."""
    seen = seen or Seen()
    return [program, *NAMESPACES, *_words(plan, seen, seen.memory_bytes(program))]


def _words(plan: Plan, seen: Seen, memory_bytes: int | None) -> Iterator[str]:
    sized = () if memory_bytes is None else ("--size", str(memory_bytes))
    if plan.network == "own":
        yield "--unshare-net"
    yield from ("--as-pid-1", "--cap-drop", "ALL", "--proc", "/proc", "--dev", "/dev")
    for path in ("/tmp", "/var/tmp", "/dev/shm"):  # noqa: S108
        yield from (*sized, "--tmpfs", path)
    if plan.home != "/":
        yield from (*sized, "--tmpfs", plan.home)  # what is left there is gone with it
    for path, target in plan.links:
        yield from ("--symlink", target, path)
    if plan.cache is not None:
        yield from ("--bind", plan.cache, os.path.join(plan.home, ".cache"))
    if plan.gpu:
        for name in GPUS:
            yield from ("--dev-bind-try", name, name)
    yield from _files(plan, seen)
    for path in plan.own:
        yield from ("--bind-try", path, path)
    # Root owns the settings in /proc and needs no capability to write to what it owns.
    yield from ("--remount-ro", "/proc", "--remount-ro", "/dev", "--remount-ro", "/")
    shown = (*plan.read, *plan.write, *plan.own, plan.home, "/tmp")  # noqa: S108
    yield from ("--chdir", plan.cwd if paths.covered(plan.cwd, shown) else "/")


def _files(plan: Plan, seen: Seen) -> Iterator[str]:
    """In the order of their depth, so that none lies over one within it."""
    mounts = [(path, "--ro-bind") for path in plan.read] + [(path, "--bind") for path in plan.write]
    mounts = [(path, option) for path, option in mounts if seen.exists(path)]
    for path, option in sorted([*mounts, *guards(plan, seen)]):
        yield from (option, path, path)
    for path in plan.hide:
        if seen.exists(path) and paths.covered(path, (*plan.read, *plan.write)):
            yield from (
                ("--perms", "0111", "--tmpfs", path) if seen.is_folder(path) else ("--ro-bind", "/dev/null", path)
            )


def guards(plan: Plan, seen: Seen) -> Iterator[tuple[str, str]]:
    """Mounts over what is written to. .git is one itself, so that nobody moves it out of the way and puts another one
    there; so is each folder between what is written to and what is not in it. Where .git is a file, it says where the
    repository is."""
    kept = [path for path in (*plan.hide, *plan.read) if seen.exists(path)]
    for path in sorted({above for each in kept for above in _between(each, plan.write)}):
        if seen.is_folder(path) and not seen.is_link(path):
            yield path, "--bind"
    for git in plan.git:
        if seen.is_link(git) or not seen.exists(git):
            continue
        if not seen.is_folder(git):
            yield git, "--ro-bind"
            continue
        yield git, "--bind"
        yield from _kept(git, guarded(git), seen)
        linked = seen.within(os.path.join(git, "worktrees"))
        yield from ((path, "--bind") for path in ([os.path.dirname(linked[0]), *linked] if linked else ()))
        for each in linked:
            yield from _kept(each, [os.path.join(each, name) for name in LINKED], seen)


def _kept(folder: str, paths: Sequence[str], seen: Seen) -> Iterator[tuple[str, str]]:
    there = {*folders_made(folder), *files_made(folder)} if seen.is_writable(folder) else set()
    yield from ((path, "--ro-bind") for path in paths if path in there or seen.exists(path))


def _between(path: str, roots: Sequence[str]) -> Iterator[str]:
    """The folders above `path` and below the one of `roots` that it is in."""
    root = next((root for root in roots if paths.within(path, root)), None)
    above = os.path.dirname(path)
    while root is not None and above != root and paths.within(above, root):
        yield above
        above = os.path.dirname(above)


def guarded(git: str) -> list[str]:
    return [os.path.join(git, name) for name in GUARDED]


def folders_made(git: str) -> list[str]:
    """That are made where they are missing, so that they can be kept as they are."""
    return [os.path.join(git, name) for name in ("hooks", "modules", "aish")]


def files_made(git: str) -> dict[str, str]:
    """The same of files, and what is in them: what their absence means, too."""
    return {os.path.join(git, "config.worktree"): "", os.path.join(git, "commondir"): ".\n"}
