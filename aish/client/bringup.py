"""Starting keeper, holder and daemon where none runs."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import platform
import sys
from typing import Final

from aish.client import scope, standstill
from aish.config import folders
from aish.errors import AishError, StorageError, UnavailableError
from aish.report import told
from aish.supervisor.holder import kernel, link, wire

FOLDER_LOCK: Final = "daemon.lock"
"""A daemon has it for life, with its host's name in it: see aish.supervisor.daemon.lock."""
ANSWER_S: Final = 1.0
"""A holder that runs has answered by then."""
DAEMONS_MOST: Final = 4
"""So many that nobody could ask anything are no accident."""
_LEAST_BYTES: Final = 128 << 10
"""For the table, its write-ahead log and the index of that, all empty."""


def log_path() -> str:
    """Where keeper, holder and daemon write what nobody else can be told: while the disk of the state folder is
    read-only, in the runtime folder."""
    folder = folders.runtime() if folders.read_only(folders.state()) else folders.state()
    return os.path.join(folder, "daemon.log")


def start() -> None:
    """Make sure that a holder runs and has been asked for a daemon. Raises UnavailableError, StorageError.

    Where a supervisor has been before, a read-only disk keeps nobody from looking: the daemon reads what is there,
    and takes nothing on.
    """
    state = folders.state()
    if not holder_runs():  # one that runs knows how to live with a full disk
        check_space(state)
        _check_log()
    host = foreign_host(state)
    if host is not None:
        raise UnavailableError(
            f"the supervisor of {host} uses {state}",
            hint="two machines cannot share it: give this one a folder of its own in XDG_STATE_HOME",
        )
    try:
        launch()
    except OSError as error:
        raise UnavailableError(
            f"cannot start the supervisor: {error.strerror or error}", hint=f"its log is {log_path()}"
        ) from error


def launch(kept: dict[str, int] | None = None) -> None:
    """Keeper and holder, with the daemon that they are to look after; `kept` are descriptors for it, by name. Raises
    HolderError, OSError.

    Their lock is in the state folder: the runtime folder may go with a logout while they live on.
    """
    argv = [sys.executable, "-P", "-m", "aish.supervisor.daemon"]  # -P: never a module out of the user's folder
    lock_path = None if folders.read_only(folders.state()) else holder_lock()  # the daemon has one there all the same
    prefix = scope.find().prefix if kept is None else ()  # what a daemon starts is in its own scope already
    try:
        link.launch(folders.runtime(), argv, log_path(), lock_path=lock_path, kept=kept, prefix=prefix)
    except link.StartError:
        if not prefix:
            raise
        # The user's systemd does not do it, or not now: without a scope, as where there is no systemd.
        link.launch(folders.runtime(), argv, log_path(), lock_path=lock_path)


def holder_lock() -> str:
    """What keeper and holder have locked as long as either lives."""
    return os.path.join(folders.state(), f"holder-{platform.node()}-{kernel.boot_id()}.lock")


def foreign_host(folder: str) -> str | None:
    """The other machine whose daemon has the state folder now; None if none has. Raises nothing."""
    try:
        with open(os.path.join(folder, FOLDER_LOCK), encoding="utf-8", errors="replace") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                host = file.read(256).strip()
                return host if host not in ("", platform.node()) else None
    except OSError:
        return None  # no daemon has ever been there, or such a folder cannot be locked
    return None


def broke_off() -> bool:
    """Whether the last daemon here was killed, and everything with it: what it supervised may live. One that leaves
    clears its lock."""
    path = os.path.join(folders.state(), FOLDER_LOCK)
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(256).strip() == platform.node()
    except OSError:
        return False


def check_space(folder: str) -> None:
    """Raises StorageError where a daemon could not even open its table: it could only tell its log, on that disk."""
    space = os.statvfs(folder)
    if space.f_bavail * space.f_frsize < _LEAST_BYTES:
        raise StorageError(f"the disk of {folder} is full", hint="free some space, then try again")


def _check_log() -> None:
    """Raises StorageError where nothing can be kept: nobody else would say so in time."""
    state, path = folders.state(), log_path()
    if folders.read_only(state) and not os.path.exists(os.path.join(state, folders.TABLE)):
        error = OSError(errno.EROFS, os.strerror(errno.EROFS))
        raise StorageError(f"{state}: {error.strerror}", hint=folders.hint(error, state))
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}", hint=folders.hint(error, path)) from error


def holder_runs() -> bool:
    """Whether a holder is there, which starts its daemon again when that dies; at once, since somebody waits.

    Raises UnavailableError where it, or the keeper that is to fork the next one, is stopped."""
    try:
        holder = link.HolderLink.connect(folders.runtime())
        try:
            holder.call("hello", timeout_s=ANSWER_S, version=wire.VERSION, role=wire.CLIENT)
            holder.send("daemon")
        finally:
            holder.close()
    except (wire.HolderError, OSError):
        if not _locked(holder_lock()):
            return False
        why = standstill.why()
        if why is not None:
            raise UnavailableError(why, hint="then try again") from None
    return True  # it may be there, and its runtime folder not yet again


def why_not(met: set[int]) -> str | None:
    """The last words in the log, where a holder runs that has no daemon: it ends at its start. None: it has one.

    `met`: the daemons that were there at earlier looks and did not answer, by pid; that of now is added. On a slow
    machine a next one is always about to start: after some of them that is told as an end at the start, too."""
    try:
        holder = link.HolderLink.connect(folders.runtime())
        try:
            told = holder.call("hello", timeout_s=ANSWER_S, version=wire.VERSION, role=wire.CLIENT).body
        finally:
            holder.close()
        if told["daemon_pid"] is not None:
            met.add(told["daemon_pid"])
            if len(met) <= DAEMONS_MOST:
                return None
    except (wire.HolderError, OSError):
        return None
    try:
        with open(log_path(), "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 4096))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError as error:  # where nobody can write a log, a daemon cannot be either
        return f"{log_path()}: {error.strerror}"
    said = [line for line in lines if not line.startswith(("holder ", "keeper "))]
    return said[-1][-300:] if said else None


def elsewhere() -> str | None:
    """Where the supervisor of our state folder has its sockets, if not where our environment says: it was started
    with another XDG_RUNTIME_DIR, or that went with a logout. None: here, or there is none."""
    path = _lock_text(holder_lock())
    return path if path and path != folders.runtime() and os.path.isabs(path) else None


def _locked(path: str) -> bool:
    return _lock_text(path) is not None


def _lock_text(path: str) -> str | None:
    """What its owner wrote into a lock that somebody has; None: nobody has it."""
    try:
        with open(path, "rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return os.fsdecode(file.read(4096))
    except OSError:
        return None
    return None


def main() -> int:
    """`python -m aish.client.bringup`: start, and the error, if any, as JSON on stdout."""
    try:
        start()
    except AishError as error:
        sys.stdout.write(json.dumps({"op": "Failure", **told(error)}))
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
