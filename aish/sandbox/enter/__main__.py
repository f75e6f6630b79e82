"""`python -I -S …/aish/sandbox/enter/__main__.py FD`: enter the sandbox that the memfd FD orders, and be its program.

Landlock tier: in place. bwrap tier: this process stays outside as the leader (see proxy); inside, the same file is
pid 1 of the namespace (`--first ORDER SOCKET STREAM STREAM STREAM`).

Run by its path in an isolated interpreter: nothing of aish is imported, and no variable of the caller counts.
"""

from __future__ import annotations

import os
import signal
import socket
import sys

if not __package__:  # run by path: PEP 366 lets it import relatively all the same
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    __package__ = "enter"

from . import descriptors, first, kernel, landlock, order, proxy, seccomp
from .become import become

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main(words: list[str]) -> NoReturn:
    if words[:1] == ["--first"]:
        _inside(*map(int, words[1:]))
    wanted = order.read(int(words[0]))
    try:
        if wanted.bwrap:
            _outside(wanted)
        _in_place(wanted)
    except OSError as error:
        sys.stderr.write(f"aish: the sandbox cannot be set up: {error.strerror}: {error.filename or ''}\n")
        sys.stderr.flush()
        os._exit(126)


def _inside(fd: int, sock: int, *streams: int) -> NoReturn:
    try:
        first.run(order.read(fd), socket.socket(fileno=sock), list(streams))
    except OSError as error:
        sys.stderr.write(": ".join(filter(None, (error.strerror, error.filename))))  # to the leader, who tells
        sys.stderr.flush()
        os._exit(126)


def _filter(wanted: order.Order) -> bytes:
    return seccomp.program(kernel.machine(), seccomp.Wanted(wanted.inet, unix=wanted.unix))


def _in_place(wanted: order.Order) -> NoReturn:
    os.chdir(wanted.cwd)
    for folder in wanted.folders:
        os.makedirs(folder, 0o700, exist_ok=True)
    kernel.drop_capabilities()
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    rules = landlock.Rules(wanted.read, wanted.write, wanted.devices)
    landlock.restrict(rules, wanted.ports, fds=descriptors.streams())
    kernel.seccomp(_filter(wanted))
    become(wanted.candidates, wanted.argv, wanted.env)


def _outside(wanted: order.Order) -> NoReturn:
    for folder in wanted.folders:
        os.makedirs(folder, 0o700, exist_ok=True)
    for path, text in wanted.files.items():
        _make(path, text.encode())
    given = [fd for fd in descriptors.others() if os.get_inheritable(fd)]
    wanted.fds = [fd for fd in given if fd != wanted.channel]  # the program's own
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    words, says = os.pipe2(os.O_CLOEXEC)
    streams = [descriptors.high(fd) for fd in (0, 1, 2)]
    errors = os.dup(2)
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    child = os.fork()
    if child == 0:
        try:
            _bwrap(wanted, descriptors.high(theirs.fileno()), streams, says)
        except OSError as error:
            os.write(says, f"{error.strerror}: {error.filename or ''}".encode())
            os._exit(126)
    theirs.close()
    os.close(says)
    proxy.stand(child, ours, words, errors)


def _make(path: str, data: bytes) -> None:
    """Whole or not at all: somebody may read it at any time."""
    if os.path.lexists(path):
        return
    draft = f"{path}.{os.getpid()}"
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    os.write(fd, data)
    os.close(fd)
    os.rename(draft, path)


def _bwrap(wanted: order.Order, sock: int, streams: list[int], says: int) -> NoReturn:
    null = os.open(os.devnull, os.O_RDWR)
    for target, fd in ((0, null), (1, null), (2, says)):
        os.dup2(fd, target, inheritable=True)
    wanted.opened = {path: descriptors.high(kernel.open_plain(path)) for path in wanted.plain}
    if wanted.channel is not None:
        wanted.channel = descriptors.high(wanted.channel)
    data = descriptors.memory("order", order.encode(wanted.fields()))
    rules = descriptors.memory("filter", _filter(wanted))
    inner = [os.path.realpath(sys.executable), "-I", "-S", os.path.abspath(__file__), "--first"]
    inner += map(str, (data, sock, *streams))
    words = "\0".join([*wanted.bwrap[1:], "--seccomp", str(rules), ""])
    listed = descriptors.memory("words", words.encode("utf-8", "surrogateescape"))
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    landlock.restrict(None, None)  # signals; abstract sockets, where the network is open
    os.execve(wanted.bwrap[0], [wanted.bwrap[0], "--args", str(listed), "--", *inner], os.environb)


if __name__ == "__main__":
    main(sys.argv[1:])
