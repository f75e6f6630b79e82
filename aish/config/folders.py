"""The folders of one user, by the XDG base directory specification.

runtime  $AISH_RUNTIME_DIR, else $XDG_RUNTIME_DIR/aish, else /tmp/aish-UID
                                                       sockets, captured environments; gone after a reboot
state    $XDG_STATE_HOME/aish  (~/.local/state/aish)   process table, usage, logs, secret, lock
data     $XDG_DATA_HOME/aish   (~/.local/share/aish)   models
config   $XDG_CONFIG_HOME/aish (~/.config/aish)        config.toml, config.aish, agents/
cache    $XDG_CACHE_HOME/aish  (~/.cache/aish)         trees of scripts; may be deleted at any time
"""

from __future__ import annotations

import os
import stat

from aish.errors import StorageError

RUNTIME_VARIABLE = "AISH_RUNTIME_DIR"
"""Set by the holder for its daemon, and by a client for itself when it finds the supervisor elsewhere."""

TABLE = "processes.db"
"""In the state folder: what is and was supervised."""


def runtime() -> str:
    told = os.environ.get(RUNTIME_VARIABLE, "")
    if os.path.isabs(told):
        return told
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(base):
        return os.path.join(base, "aish")
    return f"/tmp/aish-{os.getuid()}"  # noqa: S108  private() refuses it unless it is ours


def state() -> str:
    return _xdg("XDG_STATE_HOME", ".local/state")


def data() -> str:
    return _xdg("XDG_DATA_HOME", ".local/share")


def config() -> str:
    return _xdg("XDG_CONFIG_HOME", ".config")


def cache() -> str:
    return _xdg("XDG_CACHE_HOME", ".cache")


def daemon_socket() -> str:
    return os.path.join(runtime(), "daemon.sock")


def _xdg(variable: str, fallback: str) -> str:
    base = os.environ.get(variable, "")
    if not os.path.isabs(base):  # the specification: relative values are to be ignored
        base = os.path.join(os.path.expanduser("~"), fallback)
    return os.path.join(base, "aish")


def private(path: str) -> str:
    """Make `path` a folder that only this user can enter, and return it.

    Raises StorageError when it cannot be made, is a link or something else, or belongs to somebody else: in /tmp
    another user could have put it there first.
    """
    try:
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            pass
        status = os.lstat(path)
        if not stat.S_ISDIR(status.st_mode):
            raise StorageError(f"{path} is not a folder", hint="move it away; aish keeps its own files there")
        if status.st_uid != os.getuid():
            raise StorageError(
                f"{path} belongs to user {status.st_uid}, not to you",
                hint=f"set {_variable(path)} to a folder of your own",
            )
        if status.st_mode & 0o077:
            os.chmod(path, 0o700)
    except OSError as error:
        raise StorageError(f"cannot make the folder {path}: {error.strerror}", hint=hint(error, path)) from error
    return path


def read_only(path: str) -> bool:
    """Whether it is on a file system that nobody can write to now."""
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def _variable(path: str) -> str:
    """By which `path` could be elsewhere."""
    places = {state(): "XDG_STATE_HOME", data(): "XDG_DATA_HOME", config(): "XDG_CONFIG_HOME"}
    found = (name for place, name in places.items() if f"{path}/".startswith(f"{place}/"))
    return next(found, "XDG_RUNTIME_DIR")


def hint(error: OSError, path: str) -> str:
    """What to do where `path`, a folder of ours or in one, cannot be written."""
    import errno

    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return "the disk is full: free some space and try again"
        case errno.EROFS:
            return f"the file system is read-only: mount it writable, or set {_variable(path)} to a folder elsewhere"
        case errno.EACCES | errno.EPERM:
            return "check who owns the folders above it"
        case _:
            return "check the path above it"
