"""From here to the program: its signals as the holder made them, its environment, exec."""

from __future__ import annotations

import errno
import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

_SHELL = b"/bin/sh"
_LISTEN_PID = b"LISTEN_PID="


def become(candidates: Sequence[bytes], argv: Sequence[bytes], env: Sequence[bytes]) -> NoReturn:
    """The program, or 127 (not found) or 126 and a word about it."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them
        signal.signal(number, signal.SIG_DFL)
    environ = dict(entry.partition(b"=")[::2] for entry in listening(env))
    told = errno.ENOENT
    for path in candidates:
        try:
            os.execve(path, list(argv), environ)
        except OSError as error:
            if error.errno == errno.ENOEXEC:  # a script without #!: the shell's, as POSIX has it
                told = _by_shell(path, argv, environ)
                break
            if error.errno == errno.EACCES:
                told = errno.EACCES
            elif error.errno not in (errno.ENOENT, errno.ENOTDIR):
                told = error.errno or errno.EINVAL
                break
    word = argv[0].decode(errors="backslashreplace")
    sys.stderr.write(f"aish: {word} cannot be run in its sandbox: {os.strerror(told)}\n")
    sys.stderr.flush()
    os._exit(127 if told == errno.ENOENT else 126)


def _by_shell(path: bytes, argv: Sequence[bytes], environ: dict[bytes, bytes]) -> int:
    try:
        os.execve(_SHELL, [_SHELL, path, *argv[1:]], environ)
    except OSError as error:
        return error.errno or errno.ENOEXEC


def listening(env: Sequence[bytes]) -> list[bytes]:
    """Descriptors are for the process whose pid this is (sd_listen_fds(3)): ours, as the program will see it."""
    return [_LISTEN_PID + b"%d" % os.getpid() if entry == _LISTEN_PID + b"0" else entry for entry in env]
