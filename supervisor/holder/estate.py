"""What keeper and holder both own, handed from one to the other simply by fork; to another program by `state`.

The runtime folder (opened once, so that later renames and links do not matter), the singleton lock, the listening
socket, the descriptor store, the journal, and how all this was started.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import resource
import socket
import stat
import time

from . import kernel, wire
from .journal import Child, Journal
from .store import Entry, Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

BACKLOG = 128
NOFILE_MOST = 65536


class StartError(Exception):
    """The folder, lock or socket does not allow a start: `busy` when another keeper or holder has the lock."""

    def __init__(self, message: str, *, busy: bool = False) -> None:
        super().__init__(message)
        self.busy = busy


class Options:
    """The command line. `daemon_argv` None: no daemon to look after."""

    __slots__ = ("daemon_argv", "kept", "lock_path", "log_path", "resume_fd", "runtime_dir")

    def __init__(self, runtime_dir: str) -> None:
        self.runtime_dir = runtime_dir
        self.daemon_argv: list[bytes] | None = None
        self.log_path: str | None = None
        self.lock_path: str | None = None
        self.resume_fd: int | None = None
        self.kept: dict[str, int] = {}  # descriptors by name that whoever starts us wants to be stored

    def words(self) -> list[str]:
        """The command line that says the same."""
        words = [self.runtime_dir]
        if self.daemon_argv is not None:
            words += ["--daemon-argv", json.dumps([os.fsdecode(word) for word in self.daemon_argv])]
        for name, path in (("--log", self.log_path), ("--lock", self.lock_path)):
            if path is not None:
                words += [name, path]
        return words


class Estate:
    """See the module. Everything is inherited over a fork; `children` is what the last take-over found."""

    __slots__ = (
        "boot_id",
        "children",
        "dir_fd",
        "environment",
        "home_lock_fd",
        "journal",
        "leaving",
        "limits",
        "listener",
        "lock_fd",
        "options",
        "socket_id",
        "started",
        "store",
    )

    def __init__(self, options: Options) -> None:
        """Claim the folder. Raises StartError; OSError where the system refuses."""
        self.options = options
        self.started = time.time()
        self.boot_id = kernel.boot_id()
        self.environment = _initial_environment()
        self.limits = _own_limits()
        self.dir_fd = open_private_dir(options.runtime_dir)
        self.lock_fd = -1
        if options.lock_path is not None:
            path = options.lock_path
            self.lock_fd = _lock(lambda flags: os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
        self.home_lock_fd = self._lock_home(self.dir_fd)
        self._tell_where()
        self.listener = self._listen()
        self.store = Store({name: Entry(name, [fd]) for name, fd in options.kept.items()})
        self.journal = Journal()
        self.leaving = False  # told to leave everything alive: only terminals are still drained
        self.children: dict[str, Child] = {}

    @classmethod
    def inherited(cls, options: Options, state: dict[str, Any]) -> Estate:
        """What the program before this one, in the same process, had: see `state`."""
        self = cls.__new__(cls)
        self.options = options
        self.started = state["started"]
        self.boot_id = kernel.boot_id()
        self.environment = _initial_environment()
        self.limits = {name: (soft, hard) for name, (soft, hard) in state["limits"].items()}
        self.dir_fd, self.lock_fd, self.home_lock_fd = state["dir_fd"], state["lock_fd"], state["home_lock_fd"]
        self.socket_id = (state["socket_id"][0], state["socket_id"][1])
        self.listener = socket.socket(fileno=state["listener"])
        self.listener.setblocking(False)
        self.journal = Journal(state["journal"])
        self.journal.punched, self.journal.kept = state["punched"], state["kept"]
        self.store = Store.inherited(state["store"])
        self.leaving = False  # nobody is upgraded who leaves
        self.children = {}
        for fd in self.fds():
            os.set_inheritable(fd, False)
        return self

    def state(self) -> dict[str, Any]:
        """All that another program in this process has to be told, as JSON: descriptors are numbers."""
        return {
            "started": self.started,
            "limits": self.limits,
            "dir_fd": self.dir_fd,
            "lock_fd": self.lock_fd,
            "home_lock_fd": self.home_lock_fd,
            "socket_id": self.socket_id,
            "listener": self.listener.fileno(),
            "journal": self.journal.fd,
            "punched": self.journal.punched,
            "kept": self.journal.kept,
            "store": self.store.state(),
        }

    def fds(self) -> list[int]:
        """Every descriptor that `state` names."""
        own = [self.dir_fd, self.lock_fd, self.home_lock_fd, self.listener.fileno(), self.journal.fd]
        return [fd for fd in own if fd >= 0] + [fd for entry in self.store.values() for fd in entry.all_fds()]

    def _lock_home(self, dir_fd: int) -> int:
        """The lock of the runtime folder: what is under our names there is ours. Raises StartError."""
        try:
            return _lock(
                lambda flags: os.open(wire.LOCK_NAME, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600, dir_fd=dir_fd)
            )
        except StartError:
            if self.lock_fd < 0:
                raise
            folder = self.options.runtime_dir
            raise StartError(
                f"{folder}: another supervisor has its sockets there (set another XDG_RUNTIME_DIR)"
            ) from None

    def _listen(self) -> socket.socket:
        """Bind holder.sock through the open folder: no link can redirect it and no path is too long for it."""
        try:
            os.unlink(wire.SOCKET_NAME, dir_fd=self.dir_fd)  # stale: we have the lock
        except FileNotFoundError:
            pass
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        listener.bind(f"/proc/self/fd/{self.dir_fd}/{wire.SOCKET_NAME}")
        os.chmod(wire.SOCKET_NAME, 0o600, dir_fd=self.dir_fd)
        listener.listen(BACKLOG)
        self.know_socket()
        return listener

    def know_socket(self) -> None:
        """Remember which file holder.sock is."""
        status = os.stat(wire.SOCKET_NAME, dir_fd=self.dir_fd, follow_symlinks=False)
        self.socket_id = (status.st_dev, status.st_ino)

    def homeless(self) -> bool:
        """Whether clients would not find our socket: a logout or a tidy person took the folder away."""
        try:
            status = os.stat(os.path.join(self.options.runtime_dir, wire.SOCKET_NAME), follow_symlinks=False)
        except OSError:
            return True
        return (status.st_dev, status.st_ino) != self.socket_id

    def return_home(self) -> None:
        """Folder and socket anew; what is connected stays. Where the folder cannot be made (its parent went with a
        logout) another one will do: the lock says which. Raises StartError, OSError: nowhere."""
        try:
            dir_fd = open_private_dir(self.options.runtime_dir)
        except StartError:
            if self.lock_fd < 0:
                raise
            self.options.runtime_dir = self._other_home()
            dir_fd = open_private_dir(self.options.runtime_dir)
            self._tell_where()
        home_lock_fd = self._lock_home(dir_fd)
        os.close(self.dir_fd)
        os.close(self.home_lock_fd)
        self.dir_fd, self.home_lock_fd = dir_fd, home_lock_fd
        listener = self._listen()
        self.listener.close()
        self.listener = listener

    def _other_home(self) -> str:
        """A folder that no other supervisor of this user takes, named after our lock."""
        status = os.fstat(self.lock_fd)
        return f"/tmp/aish-{os.getuid()}-{status.st_dev:x}-{status.st_ino:x}"  # noqa: S108  it must be ours, and 0700

    def _tell_where(self) -> None:
        """Who is started without XDG_RUNTIME_DIR (cron, sudo) finds us by the lock."""
        if self.lock_fd < 0:
            return
        try:
            os.ftruncate(self.lock_fd, 0)
            os.pwrite(self.lock_fd, os.fsencode(self.options.runtime_dir), 0)
        except OSError:
            return  # a full disk: they have to be told by their environment

    def take_home(self, fds: list[int]) -> None:
        """The keeper's side of `return_home`; takes folder and listener."""
        self.listener.close()
        os.close(self.dir_fd)
        os.close(self.home_lock_fd)
        self.home_lock_fd = fds.pop()
        self.listener = socket.socket(fileno=fds.pop())
        self.dir_fd = fds.pop()
        self.know_socket()

    def vanish(self) -> None:
        """Take socket and lock file away, still under the lock. After this a new keeper may start."""
        for name in (wire.SOCKET_NAME, wire.LOCK_NAME, self.options.lock_path):
            if name is None:
                continue
            try:
                os.unlink(name, dir_fd=self.dir_fd)
            except FileNotFoundError:
                continue


def open_private_dir(path: str) -> int:
    """Open (create, 0700) a folder that only this user can enter, itself no link. Raises StartError."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass
    except OSError as error:
        raise StartError(f"{path}: cannot create the runtime folder: {error.strerror}") from None
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise StartError(f"{path}: not a folder of our own: {error.strerror}") from None
    status = os.fstat(fd)
    if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
        os.close(fd)
        raise StartError(
            f"{path}: must belong to uid {os.geteuid()} with mode 0700 (chmod 700 it, or choose another)"
        )
    return fd


def _lock(open_lock: Callable[[int], int]) -> int:
    """Take the singleton lock: it stays with this open file, over every fork, until the last copy is closed.

    The last owner unlinks the file while it has the lock, so having locked a name is not enough: what was locked
    must still be what the name leads to.
    """
    while True:
        fd = open_lock(os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            again = open_lock(os.O_RDWR)
        except BlockingIOError:
            os.close(fd)
            raise StartError("already running", busy=True) from None
        except FileNotFoundError:
            os.close(fd)
            continue
        same = os.path.samestat(os.fstat(fd), os.fstat(again))
        os.close(again)
        if same:
            return fd
        os.close(fd)


def _initial_environment() -> list[bytes]:
    """The environment as execve brought it: the interpreter adds LC_CTYPE to its own copy."""
    with open("/proc/self/environ", "rb") as file:
        return [pair for pair in file.read().split(b"\0") if pair]


def _own_limits() -> dict[str, tuple[int, int]]:
    """Use as many descriptors as the hard limit allows, and leave no core file: payloads have secrets in them.
    Returns the limits as they were, which go to the children."""
    core = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, core[1]))
    return {"nofile": _raise_nofile(), "core": core}


def _raise_nofile() -> tuple[int, int]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = NOFILE_MOST if hard == resource.RLIM_INFINITY else min(hard, NOFILE_MOST)
    if soft != resource.RLIM_INFINITY and soft < most:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        except (OSError, ValueError):
            return soft, hard
    return soft, hard


def exhausted(error: OSError) -> bool:
    """Whether an OSError means that descriptors or memory have run out, for now."""
    return error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)
