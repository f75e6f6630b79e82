"""Where a folder stands in git: the branch by reading, the rest by asking git with a time limit."""

from __future__ import annotations

import os
import subprocess

WITHIN_S = 1.5
_QUIETLY = (
    "-c", "core.fsmonitor=false",  # a program that the repository names would run
    "-c", "core.hooksPath=/dev/null",
    "--no-optional-locks",
)  # fmt: skip


def branch(cwd: str) -> str | None:
    """The branch, or the beginning of the commit where none is checked out."""
    place = _git_folder(cwd)
    if place is None:
        return None
    try:
        with open(os.path.join(place, "HEAD"), encoding="utf-8", errors="replace") as file:
            head = file.read(1000).strip()
    except OSError:
        return None
    reference = head.removeprefix("ref: ")
    name = head[:7] if reference == head else reference.removeprefix("refs/heads/")
    return "".join([char if char.isprintable() else "?" for char in name]) or None


def _git_folder(cwd: str) -> str | None:
    folder = cwd
    while True:
        place = os.path.join(folder, ".git")
        try:
            with open(place, encoding="utf-8", errors="replace") as file:  # a worktree's or a submodule's
                link = file.read(4096).removeprefix("gitdir:").strip()
                return os.path.join(folder, link)
        except IsADirectoryError:
            return place
        except OSError:
            pass
        parent = os.path.dirname(folder)
        if parent == folder:
            return None
        folder = parent


def dirty(cwd: str, path: str) -> bool | None:
    """Whether there is something that is not committed, files that git does not know included."""
    try:
        done = subprocess.run(
            ["git", *_QUIETLY, "-C", cwd, "status", "--porcelain", "--ignore-submodules=dirty"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=WITHIN_S,
            check=False,
            env={**os.environ, "PATH": path, "GIT_TERMINAL_PROMPT": "0"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return bool(done.stdout) if done.returncode == 0 else None
