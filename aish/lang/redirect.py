"""Redirections to closures, and the descriptors they move.

A redirection of a built-in, a function or a compound command is done in the shell itself and undone after it:
what was under the number is kept on a high close-on-exec descriptor. A program inherits 0-2 and what the
script opened, nothing else.
"""

from __future__ import annotations

import errno
import fcntl
import os

from aish.lang import compile_word
from aish.lang.control import CommandError
from aish.lang.text import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.lang.compile_word import Text
    from aish.lang.runtime import Runtime
    from aish.lang.source import Source
    from aish.lang.tree import Redirect

    Saved = list[tuple[int, int]]
    """(descriptor, its copy or -1 where it was closed)"""
    Apply = Callable[[Runtime, "Saved | None"], None]

FIRST_PRIVATE = 64
"""The shell's own descriptors are at or above this number."""

_FLAGS = {
    "<": os.O_RDONLY,
    ">": os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
    ">|": os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
    ">>": os.O_WRONLY | os.O_CREAT | os.O_APPEND,
    "<>": os.O_RDWR | os.O_CREAT,
}


def compile_redirects(src: Source, redirects: list[Redirect]) -> list[Apply]:
    """One closure for each redirection, to be called in order. They raise CommandError."""
    return [_compile(src, node) for node in redirects]


def _compile(src: Source, node: Redirect) -> Apply:
    target = compile_word.as_text(compile_word.text(src, node.target))
    fd = node.fd if node.fd is not None else int(node.op[0] not in "<")
    match node.op:
        case "<<":
            return lambda rt, saved: _document(target(rt), fd, saved)
        case "<<<":
            return lambda rt, saved: _document(target(rt) + "\n", fd, saved)
        case "<&" | ">&":
            return _duplicate(node, target, fd)
        case "&>" | "&>>":
            return _both(target, ">" if node.op == "&>" else ">>")
        case op:
            return lambda rt, saved: _file(rt, op, target(rt), fd, saved)


def _file(rt: Runtime, op: str, path: str, fd: int, saved: Saved | None) -> None:
    _place(_open(rt, op, path), fd, saved)


def _open(rt: Runtime, op: str, path: str) -> int:
    flags = _FLAGS[op]
    if op == ">" and rt.noclobber:
        flags = _without_clobbering(path, flags)
    try:
        with rt.reading():
            return os.open(path, flags | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}", hint=_open_hint(rt, error, op)) from None
    except ValueError:
        raise CommandError(f"{path!r}: not a path") from None


def _open_hint(rt: Runtime, error: OSError, op: str) -> str | None:
    if isinstance(error, FileExistsError) and rt.noclobber:
        return "set -C is on; >| overwrites"
    return None


def _without_clobbering(path: str, flags: int) -> int:
    """`set -C`: an existing regular file is an error, a device or a pipe is not."""
    try:
        os.stat(path)
    except OSError:
        return flags | os.O_EXCL
    if os.path.isfile(path):
        return flags | os.O_EXCL
    return flags & ~os.O_CREAT


def _duplicate(node: Redirect, target: Text, fd: int) -> Apply:
    either = node.op == ">&" and node.fd is None

    def run(rt: Runtime, saved: Saved | None) -> None:
        word = target(rt)
        if word == "-":
            keep(fd, saved)
            _close(fd)
        elif word.isdecimal() and word.isascii():
            keep(fd, saved)
            _copy(int(word), fd)
        elif either:
            _place(_open(rt, ">", word), 1, saved)
            keep(2, saved)
            _copy(1, 2)
        else:
            raise CommandError(f"{word}: a descriptor's number expected", hint=f"{node.op}- closes, > opens a file")

    return run


def _both(target: Text, op: str) -> Apply:
    def run(rt: Runtime, saved: Saved | None) -> None:
        _file(rt, op, target(rt), 1, saved)
        keep(2, saved)
        _copy(1, 2)

    return run


def _document(text: str, fd: int, saved: Saved | None) -> None:
    """A file in memory: no writer that could block, no name, seekable."""
    document = os.memfd_create("here-document", os.MFD_CLOEXEC)
    data = memoryview(encode(text))
    while data:
        data = data[os.write(document, data) :]
    os.lseek(document, 0, os.SEEK_SET)
    _place(document, fd, saved)


def _place(new: int, fd: int, saved: Saved | None) -> None:
    """Put the open file `new` under the number `fd`."""
    if new == fd:  # it was closed before
        if saved is not None:
            saved.append((fd, -1))
        os.set_inheritable(fd, True)
        return
    keep(fd, saved)
    os.dup2(new, fd, True)
    os.close(new)


def _copy(source: int, fd: int) -> None:
    if source >= FIRST_PRIVATE and not os.get_inheritable(source):
        raise CommandError(f"{source}: Bad file descriptor")
    try:
        if source == fd:
            os.set_inheritable(fd, True)
        else:
            os.dup2(source, fd, True)
    except OSError as error:
        raise CommandError(f"{source}: {error.strerror}") from None


def _close(fd: int) -> None:
    try:
        os.close(fd)
    except OSError:
        pass  # it was closed: that is what was asked for


def keep(fd: int, saved: Saved | None) -> None:
    """Remember what is under `fd`, to be put back by `restore`."""
    if saved is None:
        return
    try:
        saved.append((fd, _private_copy(fd)))
    except OSError as error:
        if error.errno != errno.EBADF:
            raise CommandError(f"{fd}: cannot keep a copy: {error.strerror}") from None
        saved.append((fd, -1))


def restore(saved: Saved) -> None:
    """Undo redirections, the last one first."""
    while saved:
        fd, copy = saved.pop()
        if copy < 0:
            _close(fd)
        else:
            os.dup2(copy, fd, True)
            os.close(copy)


def drop(saved: Saved) -> None:
    """`exec` without a command: the redirections stay."""
    while saved:
        copy = saved.pop()[1]
        if copy >= 0:
            os.close(copy)


def private(fd: int) -> int:
    """Move a descriptor of the shell's own out of the way of scripts."""
    moved = _private_copy(fd)
    os.close(fd)
    return moved


def _private_copy(fd: int) -> int:
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, FIRST_PRIVATE)
    except OSError as error:
        if error.errno != errno.EINVAL:  # the limit on descriptors is lower than our place
            raise
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)
