"""From a payload to a running program: check, fork, become the child, exec. No policy.

Between fork and exec the child, in this order: fork → its session → its descriptors → controlling tty → cwd, umask,
control groups, nice, oom score, io priority → "born" into the journal (its last chance to be refused by a take-over)
→ rlimits → signals → exec.
Rlimits come after the announcement because RLIMIT_FSIZE would forbid it. Everything that needs memory is made
before the fork, and what the child does is short: each page that it touches first, by as little as a reference to an
object, is a page fault, and these are most of what it costs. The parent learns of the exec by the end of a
close-on-exec pipe, of a failure by words in it.

Fork, not vfork: a child of vfork could not announce itself, and a holder killed at that moment would leave a
program that runs without anybody knowing its id.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # signal.signal makes an enum of what was before, which costs the child twenty page faults
import errno
import fcntl
import json
import os
import resource
import signal
import stat

from . import kernel, wire
from .journal import born_prefix, failed_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ctypes
    from collections.abc import Sequence
    from typing import Any, NoReturn

# What the two programs and their interpreter ignore; everything else is at its default all along.
IGNORED = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ)
RLIMITS = {name[7:].lower(): getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")}
TIOCSCTTY = 0x540E  # from asm-generic/ioctls.h; the same on every architecture that Python 3.11 is packaged for
_DEFAULT_PATH = b"/usr/local/bin:/usr/bin:/bin"
_SHELL = b"/bin/sh"
_LISTEN_PID = b"LISTEN_PID="


class Plan:
    """A checked payload, in the form in which the child needs it."""

    __slots__ = (
        "argv",
        "candidates",
        "cwd",
        "env",
        "groups",
        "ioprio",
        "listen_pid",
        "nice",
        "oom_score_adj",
        "pty",
        "rlimits",
        "script",
        "targets",
        "umask",
    )

    def __init__(
        self,
        argv: list[bytes],
        env: list[bytes],
        *,
        cwd: bytes,
        umask: int,
        nice: int | None,
        rlimits: list[tuple[int, int, int]],
        pty: bool,
        targets: list[int],
        groups: int = 0,
        oom_score_adj: int | None = None,
        ioprio: int | None = None,
        program: bytes | None = None,
        listen_pid: int | None = None,
    ) -> None:
        self.argv: ctypes.Array[ctypes.c_char_p] = kernel.vector(argv)
        self.script: ctypes.Array[ctypes.c_char_p] = kernel.vector([_SHELL, *argv])
        self.env: ctypes.Array[ctypes.c_char_p] = kernel.vector(env)
        self.candidates = candidates(argv[0], env) if program is None else [program]
        self.cwd = cwd
        self.umask = umask
        self.nice = nice
        self.rlimits = rlimits
        self.pty = pty
        self.targets = targets
        self.groups = groups
        self.oom_score_adj = oom_score_adj
        self.ioprio = ioprio
        self.listen_pid = listen_pid  # which entry of `env` it is


class Failure:
    """Why a child did not come to run its program."""

    __slots__ = ("errno", "stage")

    def __init__(self, stage: str, number: int) -> None:
        self.stage = stage
        self.errno = number

    def refusal(self) -> wire.Refusal:
        """As the answer to `spawn`."""
        return wire.Refusal("spawn", f"{self.stage}: {os.strerror(self.errno)}", stage=self.stage, errno=self.errno)


def candidates(word: bytes, env: Sequence[bytes]) -> list[bytes]:
    """The paths to try for argv[0], as execvp does with the child's own PATH."""
    if b"/" in word:
        return [word]
    path = next((pair[5:] for pair in env if pair.startswith(b"PATH=")), _DEFAULT_PATH)
    return [folder + b"/" + word if folder else word for folder in path.split(b":")]


def take(fd: int) -> None:
    """From here on the payload cannot be taken back: see `spawn` of wire. What is no memfd is refused later."""
    try:
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    except OSError:  # one that was made without sealing: its sender does not mean to take it back
        return


def read_payload(fd: int) -> bytes:
    """What a payload memfd holds. Raises Refusal for anything that is not a memfd or is too big.

    Asking for its seals is what tells a memfd from a pipe or a file that could make the holder wait.
    """
    try:
        fcntl.fcntl(fd, fcntl.F_GET_SEALS)
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise wire.Refusal("bad-request", "the first descriptor must be a memfd")
        if not status.st_size:
            raise wire.Refusal("revoked", "the payload was taken back before anything was done with it")
        if status.st_size > wire.PAYLOAD_BYTES:
            raise wire.Refusal("too-large", f"the payload has {status.st_size} bytes, at most {wire.PAYLOAD_BYTES}")
        return os.pread(fd, status.st_size, 0)
    except OSError as error:
        raise wire.Refusal("bad-request", f"the first descriptor must be a memfd: {error.strerror}") from None


def plan(payload: dict[str, Any], fd_count: int, limits: dict[str, tuple[int, int]]) -> Plan:
    """Check a payload for a child that gets `fd_count` descriptors. Pure. Raises Refusal(bad-request)."""
    argv = _words(payload, "argv")
    if not argv or not argv[0]:
        raise wire.Refusal("bad-request", "argv: at least one word, the first not empty")
    targets = payload.get("targets")
    if not isinstance(targets, list) or not all(type(target) is int for target in targets):
        raise wire.Refusal("bad-request", "targets: a list of integers")
    groups = wire.integer(payload, "groups", 0, wire.FDS_MAX, 0)
    fd_count -= groups
    if len(targets) != fd_count or len(set(targets)) != fd_count:
        raise wire.Refusal("bad-request", f"targets: {fd_count} different numbers, one per descriptor")
    if not all(0 <= target <= wire.TARGET_MAX for target in targets):
        raise wire.Refusal("bad-request", f"targets: from 0 to {wire.TARGET_MAX}")
    pty = wire.flag(payload, "pty")
    if pty and 0 not in targets:
        raise wire.Refusal("bad-request", "pty: descriptor 0 must be among the targets")
    (cwd,) = _words({"cwd": [payload.get("cwd")]}, "cwd")
    env = _words(payload, "env")
    listen_pid = None
    if wire.flag(payload, "listen_pid"):
        listen_pid = next((at for at, pair in enumerate(env) if pair.startswith(_LISTEN_PID)), None)
        if listen_pid is None:
            raise wire.Refusal("bad-request", "listen_pid: env must have a LISTEN_PID=")
    return Plan(
        argv,
        env,
        cwd=cwd,
        umask=wire.integer(payload, "umask", 0, 0o777),
        nice=wire.integer(payload, "nice", -20, 19),
        rlimits=_rlimits(payload.get("rlimits", {}), limits),
        pty=pty,
        targets=targets,
        groups=groups,
        oom_score_adj=_optional(payload, "oom_score_adj", -1000, 1000),
        ioprio=_optional(payload, "ioprio", 0, 0xFFFF),
        program=_words({"program": [payload["program"]]}, "program")[0] if payload.get("program") else None,
        listen_pid=listen_pid,
    )


def _optional(payload: dict[str, Any], key: str, low: int, high: int) -> int | None:
    return None if payload.get(key) is None else wire.integer(payload, key, low, high)


def _words(payload: dict[str, Any], key: str) -> list[bytes]:
    words = payload.get(key)
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise wire.Refusal("bad-request", f"{key}: a list of strings")
    try:
        encoded = [word.encode("latin-1") for word in words]
    except UnicodeEncodeError:
        raise wire.Refusal("bad-request", f"{key}: bytes as characters U+0000 to U+00FF") from None
    if any(b"\0" in word for word in encoded):
        raise wire.Refusal("bad-request", f"{key}: no byte may be zero")
    return encoded


def _rlimits(limits: object, before: dict[str, tuple[int, int]]) -> list[tuple[int, int, int]]:
    """(resource, soft, hard) each. What the holder has changed of its own (it had `before`) is never inherited."""
    if not isinstance(limits, dict):
        raise wire.Refusal("bad-request", "rlimits: an object")
    checked = []
    for name, pair in {**{name: list(pair) for name, pair in before.items()}, **limits}.items():
        if name not in RLIMITS:
            raise wire.Refusal("bad-request", f"rlimits: no limit is called {name!r}; known: {', '.join(RLIMITS)}")
        if not isinstance(pair, list) or [type(value) for value in pair] != [int, int]:
            raise wire.Refusal("bad-request", f"rlimits: {name}: [soft, hard]")
        if not all(-1 <= value < 1 << 63 for value in pair):
            raise wire.Refusal("bad-request", f"rlimits: {name}: from 0 to 2^63-1, or -1 for none")
        checked.append((RLIMITS[name], pair[0], pair[1]))
    return checked


def fork(plan: Plan, id: str, fds: Sequence[int], journal_fd: int) -> tuple[int, int]:
    """Start the child; the caller keeps `fds`. Returns (pid, pipe): see `outcome`. Raises Refusal(spawn)."""
    prefix = born_prefix(id)
    try:
        pipe, words = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise Failure("fds", error.errno or errno.EMFILE).refusal() from None
    parent = os.getpid()
    crowded = min(journal_fd, words, *fds) <= max([2, *plan.targets])
    try:
        pid = os.fork()
    except OSError as error:
        os.close(pipe)
        raise Failure("fork", error.errno or errno.EAGAIN).refusal() from None
    else:
        if pid == 0:
            _become(plan, id, fds, journal_fd, words, parent, prefix, crowded)
    finally:
        os.close(words)
    return pid, pipe


def outcome(pipe: int) -> Failure | None:
    """What became of the exec: None, it happened. Raises BlockingIOError while it is not known."""
    text = os.read(pipe, 256)
    if not text:
        return None
    stage, _, number = text.partition(b" ")
    return Failure(stage.decode(), int(number))


def _become(
    plan: Plan, id: str, fds: Sequence[int], journal_fd: int, words: int, parent: int, prefix: bytes, crowded: bool
) -> NoReturn:
    """In the child, from fork to exec. Never returns; every failure is told in one write and ends with 127.

    `crowded`: a descriptor may have a number that a target is to get."""
    stage = "session"
    announced = False
    try:
        os.setsid()
        stage = "fds"
        if crowded:
            floor = max([2, *plan.targets]) + 1
            journal_fd, words = _above(journal_fd, floor), _above(words, floor)
            fds = [_above(fd, floor) for fd in fds]
        at = plan.groups
        for target in plan.targets:
            os.dup2(fds[at], target)
            at += 1
        if plan.pty:
            stage = "tty"
            fcntl.ioctl(0, TIOCSCTTY, 0)
        stage = "cwd"
        os.chdir(plan.cwd)
        os.umask(plan.umask)
        stage = "group"
        for group in fds[: plan.groups]:
            os.write(group, b"0")
        stage = "nice"
        if plan.nice is not None:
            os.setpriority(os.PRIO_PROCESS, 0, plan.nice)
        stage = "oom"
        if plan.oom_score_adj is not None:
            kernel.set_oom_score_adj(plan.oom_score_adj)
        stage = "ioprio"
        if plan.ioprio is not None:
            kernel.set_ioprio(plan.ioprio)
        stage = "announce"
        if os.getppid() != parent:  # the holder died, and perhaps the keeper, who alone would seal the journal
            raise OSError(errno.ECHILD, "")
        line = prefix + b"%d}\n" % os.getpid()
        if os.write(journal_fd, line) != len(line):
            raise OSError(errno.ENOSPC, "")
        announced = True
        stage = "rlimit"
        for limit, soft, hard in plan.rlimits:
            _limit(limit, soft, hard)
        stage = "exec"
        for ignored in IGNORED:
            _signal.signal(ignored, _signal.SIG_DFL)
        if plan.listen_pid is not None:
            plan.env[plan.listen_pid] = _LISTEN_PID + b"%d" % os.getpid()
        raise OSError(_exec(plan), "")
    except BaseException as error:  # noqa: BLE001 - the edge of the process: nothing may return into the holder's loop
        number = error.errno if isinstance(error, OSError) and error.errno else errno.EINVAL
        try:
            signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # a killed holder no longer reads
            os.write(words, b"%s %d" % (stage.encode(), number))
            if announced:  # last: the new RLIMIT_FSIZE may kill us here, and the holder writes this line as well
                os.write(journal_fd, failed_line(id, os.getpid()))
        finally:
            os._exit(127)


def _limit(limit: int, soft: int, hard: int) -> None:
    """setrlimit, whose two errors Python tells apart only by their text."""
    try:
        resource.setrlimit(limit, (soft, hard))
    except ValueError:
        ordered = hard == resource.RLIM_INFINITY or 0 <= soft <= hard
        raise OSError(errno.EPERM if ordered else errno.EINVAL, "") from None


def _above(fd: int, floor: int) -> int:
    """`fd`, or a close-on-exec copy at `floor` or higher, out of the way of every target."""
    return fd if fd >= floor else fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, floor)


def _exec(plan: Plan) -> int:
    """Try each candidate, as execvp does. Returns the errno that says most."""
    told = errno.ENOENT
    for path in plan.candidates:
        number = kernel.execve(path, plan.argv, plan.env)
        if number == errno.ENOEXEC:  # a script without #!: the shell's, as POSIX has it
            plan.script[1] = path
            kernel.execve(_SHELL, plan.script, plan.env)
            return number
        if number == errno.EACCES:
            told = number
        elif number not in (errno.ENOENT, errno.ENOTDIR):
            return number
    return told


def daemon_plan(argv: list[bytes], env: list[bytes], limits: dict[str, tuple[int, int]]) -> Plan:
    """The daemon: /dev/null, log, log; the environment that the keeper was started with."""
    return Plan(
        argv, env, cwd=b"/", umask=0o077, nice=None, rlimits=_rlimits({}, limits), pty=False, targets=[0, 1, 2]
    )


def load(fd: int) -> dict[str, Any]:
    """The payload object in a memfd. Raises Refusal."""
    try:
        payload = json.loads(read_payload(fd))
    except (ValueError, RecursionError) as error:
        raise wire.Refusal("bad-request", f"payload: not JSON: {error}") from None
    if not isinstance(payload, dict):
        raise wire.Refusal("bad-request", "payload: not a JSON object")
    return payload
