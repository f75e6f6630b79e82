"""Redirections to closures. (What happens to the descriptors is in descriptors.py.)"""

from __future__ import annotations

import os

from aish.lang import compile_word
from aish.lang.control import CommandError
from aish.lang.descriptors import close, copy, keep, place
from aish.lang.text import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.lang.compile_word import Text
    from aish.lang.descriptors import Saved
    from aish.lang.runtime import Runtime
    from aish.lang.source import Source
    from aish.lang.tree import Redirect

    Apply = Callable[[Runtime, "Saved | None"], None]

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
    place(_open(rt, op, path), fd, saved)


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
            close(fd)
        elif word.isdecimal() and word.isascii():
            keep(fd, saved)
            copy(int(word), fd)
        elif either:
            place(_open(rt, ">", word), 1, saved)
            keep(2, saved)
            copy(1, 2)
        else:
            raise CommandError(f"{word}: a descriptor's number expected", hint=f"{node.op}- closes, > opens a file")

    return run


def _both(target: Text, op: str) -> Apply:
    def run(rt: Runtime, saved: Saved | None) -> None:
        _file(rt, op, target(rt), 1, saved)
        keep(2, saved)
        copy(1, 2)

    return run


def _document(text: str, fd: int, saved: Saved | None) -> None:
    """A file in memory: no writer that could block, no name, seekable."""
    document = os.memfd_create("here-document", os.MFD_CLOEXEC)
    data = memoryview(encode(text))
    while data:
        data = data[os.write(document, data) :]
    os.lseek(document, 0, os.SEEK_SET)
    place(document, fd, saved)
