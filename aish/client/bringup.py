"""Starting keeper, holder and daemon where none runs."""

from __future__ import annotations

import os
import sys
from typing import Final

from aish.config import folders
from aish.errors import StorageError, UnavailableError
from aish.supervisor.holder import link, wire

_LEAST_BYTES: Final = 128 << 10
"""For the table, its write-ahead log and the index of that, all empty."""


def log_path() -> str:
    """Where keeper, holder and daemon write what nobody else can be told."""
    return os.path.join(folders.state(), "daemon.log")


def start() -> None:
    """Make sure that a holder runs and has been asked for a daemon. Raises UnavailableError, StorageError."""
    check_space(folders.state())
    argv = [sys.executable, "-P", "-m", "aish.supervisor.daemon"]  # -P: never a module out of the user's folder
    try:
        link.launch(folders.runtime(), argv, log_path())
    except OSError as error:
        raise UnavailableError(
            f"cannot start the supervisor: {error.strerror or error}", hint=f"its log is {log_path()}"
        ) from error


def check_space(folder: str) -> None:
    """Raises StorageError where a daemon could not even open its table: it could only tell its log, on that disk."""
    space = os.statvfs(folder)
    if space.f_bavail * space.f_frsize < _LEAST_BYTES:
        raise StorageError(f"the disk of {folder} is full", hint="free some space, then try again")


def holder_runs() -> bool:
    """Whether a holder is there, which starts its daemon again when that dies."""
    try:
        link.HolderLink.connect(folders.runtime()).close()
    except (wire.HolderError, OSError):
        return False
    return True


def pidfds(daemon_pid: int) -> list[int]:
    """Descriptors that become readable when daemon, holder and keeper end; without those that are gone already."""
    pids = [daemon_pid]
    try:
        holder = link.HolderLink.connect(folders.runtime())
        try:
            told = holder.call("hello", version=wire.VERSION, role=wire.CLIENT).body
        finally:
            holder.close()
        pids += [told["pid"], told["keeper_pid"]]
    except (wire.HolderError, OSError):
        pass  # no holder: the daemon alone is left
    found = []
    for pid in pids:
        try:
            found.append(os.pidfd_open(pid))
        except (ProcessLookupError, TypeError):
            continue
    return found
