"""The few kernel calls and /proc reads that Python's standard library has no function for."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import struct

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_FALLOC_KEEP_SIZE = 1
_FALLOC_PUNCH_HOLE = 2
_PIDFD_SIGNAL_PROCESS_GROUP = 4  # linux/pidfd.h, from 6.9
_PIDFD_INFO_EXIT = 1 << 3  # linux/pidfd.h, from 6.15
_PIDFD_INFO_BYTES = 64  # PIDFD_INFO_SIZE_VER0: mask, cgroupid, 11 x u32, exit_code
_PIDFD_GET_INFO = 3 << 30 | _PIDFD_INFO_BYTES << 16 | 0xFF << 8 | 11  # _IOWR(0xFF, 11, struct pidfd_info)

_libc = ctypes.CDLL(None, use_errno=True)
_libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
_libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]
_libc.execve.argtypes = [ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p]


def say(text: str) -> None:
    """A line for the log. A full disk must not end who keeps everything alive: what cannot be written is not said."""
    try:
        os.write(2, text.encode("utf-8", "replace") + b"\n")
    except OSError:
        return


def become_subreaper() -> None:
    """Descendants whose parent dies become this process's children. Raises OSError."""
    if _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def die_with_parent(parent: int) -> bool:
    """Have the kernel kill us when `parent`, which forked us, is gone; False: it is already. Raises OSError."""
    if _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    return os.getppid() == parent


def vector(items: list[bytes]) -> ctypes.Array[ctypes.c_char_p]:
    """A NULL-terminated char *[], built before the fork so that the child allocates nothing."""
    return (ctypes.c_char_p * (len(items) + 1))(*items, None)


def execve(path: bytes, argv: ctypes.Array[ctypes.c_char_p], env: ctypes.Array[ctypes.c_char_p]) -> int:
    """execve(2) with the very strings given (os.execve takes a mapping: no duplicates, no bare words).

    Returns only on failure: the errno.
    """
    _libc.execve(path, argv, env)
    return ctypes.get_errno()


def punch(fd: int, length_bytes: int) -> bool:
    """Give back the memory of a file's first bytes; offsets stay. False where the file system cannot."""
    mode = _FALLOC_PUNCH_HOLE | _FALLOC_KEEP_SIZE
    return bool(_libc.fallocate(fd, mode, 0, length_bytes) == 0)


_IN_GONE = 0x40 | 0x200 | 0x400 | 0x800 | 0x2000  # moved from, deleted, deleted itself, moved itself, unmounted


def watch_folder(dir_fd: int) -> int | None:
    """An inotify descriptor (O_NONBLOCK) that gets readable when something in an open folder, or the folder itself,
    is taken away; None where the system has no watch left."""
    fd: int = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if fd < 0:
        return None
    if _libc.inotify_add_watch(fd, b"/proc/self/fd/%d" % dir_fd, ctypes.c_uint32(_IN_GONE)) < 0:
        os.close(fd)
        return None
    return fd


def start_time(pid: int) -> int | None:
    """Clock ticks since boot at which `pid` started (proc(5), stat field 22); None if there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            return int(file.read(4096).rpartition(b")")[2].split()[19])
    except (OSError, IndexError):
        return None


def set_oom_score_adj(score: int) -> None:
    """Of this process. Raises OSError (EACCES: lower than before needs a right)."""
    fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, b"%d" % score)
    finally:
        os.close(fd)


def set_ioprio(ioprio: int) -> None:
    """ioprio_set(2) of this process. Raises OSError; ENOSYS where the call's number is not known."""
    call = {"x86_64": 251, "aarch64": 30, "riscv64": 30}.get(os.uname().machine)
    if call is None:
        raise OSError(38, "ioprio_set")
    if _libc.syscall(ctypes.c_long(call), ctypes.c_long(1), ctypes.c_long(0), ctypes.c_long(ioprio)) != 0:
        raise OSError(ctypes.get_errno(), "ioprio_set")


def boot_id() -> str:
    """The kernel's random name of this boot; '' would be a lie, so an unreadable /proc raises OSError."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def close_others(keep: set[int]) -> None:
    """Close every descriptor above 2 that is not in `keep`."""
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        if fd > 2 and fd not in keep:
            try:
                os.close(fd)
            except OSError:  # the listing's own descriptor
                continue


def default_signals() -> None:
    """Every disposition at its default, nothing blocked: nohup and the like do not reach our children."""
    for number in range(1, signal.NSIG):
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            try:
                signal.signal(number, signal.SIG_DFL)
            except (OSError, ValueError):  # 32 and 33: see below
                continue
    for number in (32, 33):  # the C library keeps these to itself, and its posix_spawn leaves them ignored
        _raw_default(number)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _raw_default(number: int) -> None:
    """rt_sigaction(number, SIG_DFL), where the system call's number is known."""
    call = {"x86_64": 13, "aarch64": 134, "riscv64": 134}.get(os.uname().machine)
    if call is not None:
        action = ctypes.create_string_buffer(32)  # struct kernel_sigaction, all zero: SIG_DFL
        _libc.syscall(ctypes.c_long(call), ctypes.c_long(number), action, None, ctypes.c_long(8))


def pidfd_of(pid: int, started: int | None) -> int | None:
    """A pidfd of `pid` if it is still the process that started at `started` (ticks), else None.

    The start time is compared after the pidfd is open: what it then names can no longer be swapped.
    """
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return None
    if started is None or start_time(pid) != started:
        os.close(fd)
        return None
    return fd


def pidfd_status(pidfd: int) -> int | None:
    """The raw wait status of a reaped process that was somebody else's child (Linux >= 6.15), else None."""
    request = bytearray(struct.pack("=Q", _PIDFD_INFO_EXIT).ljust(_PIDFD_INFO_BYTES, b"\0"))
    try:
        fcntl.ioctl(pidfd, _PIDFD_GET_INFO, request)
    except OSError:  # ENOTTY or EINVAL on an older kernel, ESRCH while it is not reaped
        return None
    (mask,) = struct.unpack_from("=Q", request, 0)
    if not mask & _PIDFD_INFO_EXIT:
        return None
    (status,) = struct.unpack_from("=i", request, _PIDFD_INFO_BYTES - 4)
    return int(status)


def stranger_status(pidfd: int, pid: int, started: int | None) -> int | None:
    """The raw wait status of somebody else's child whose pidfd says that it has ended; None: not to be told (yet)."""
    status = pidfd_status(pidfd)
    if status is None:
        status = _zombie_status(pid, started)
    return pidfd_status(pidfd) if status is None else status  # it may have been reaped between the two looks


def _zombie_status(pid: int, started: int | None) -> int | None:
    """The same before it is reaped, on any kernel: an init may take seconds over that (proc(5), stat field 52).

    Who may not know gets 0 there, so a 0 counts only where /proc/PID/ns/user, which asks for the same right, is told.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            fields = file.read(4096).rpartition(b")")[2].split()
        if fields[0] != b"Z" or int(fields[19]) != started:
            return None
        status = int(fields[49])
        if status == 0:
            os.readlink(f"/proc/{pid}/ns/user")
    except (OSError, IndexError):
        return None
    return status


def signal_stranger(pidfd: int, pid: int, sig: int, group: bool) -> None:
    """Signal a process that is not our child, or its group. Raises OSError.

    Before 6.9 a group has no race-free call: `pid` is then checked through the pidfd first.
    """
    if not group:
        signal.pidfd_send_signal(pidfd, sig)
        return
    try:
        signal.pidfd_send_signal(pidfd, sig, None, _PIDFD_SIGNAL_PROCESS_GROUP)
    except OSError as error:
        if error.errno != 22:  # EINVAL: the flag is not known
            raise
        signal.pidfd_send_signal(pidfd, 0)
        os.killpg(pid, sig)
