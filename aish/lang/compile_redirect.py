"""Redirections to closures. (What happens to the descriptors is in descriptors.py.)"""

from __future__ import annotations

import os

from aish.lang import compile_word
from aish.lang.control import CommandError
from aish.lang.descriptors import close, copy, document, duplicate, keep, open_high, place
from aish.lang.digits import saturated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.lang.compile_word import Text
    from aish.lang.descriptors import Saved
    from aish.lang.runtime import Runtime
    from aish.lang.source import Source
    from aish.lang.tree import Redirect

    Apply = Callable[[Runtime, "Saved | None"], None]

_NO_DESCRIPTOR = 0x7FFFFFFF
"""A number that fits the system's calls, and that no open file has."""

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


def give_stdin(redirects: list[Redirect]) -> bool:
    """Whether one of them says what stdin is."""
    return any(not item.variable and (item.fd == 0 or (item.fd is None and item.op[0] == "<")) for item in redirects)


def _compile(src: Source, node: Redirect) -> Apply:
    apply = _plain(src, node)
    if not compile_word.opens_files([node.target]):
        return apply

    def closing(rt: Runtime, saved: Saved | None) -> None:
        before = len(rt.files)
        try:
            apply(rt, saved)
        finally:
            rt.close_files(before)

    return closing


def _plain(src: Source, node: Redirect) -> Apply:
    if node.variable:
        return _named(src, node, node.variable)
    fd = node.fd if node.fd is not None else int(node.op[0] not in "<")
    match node.op:
        case "<&" | ">&":
            return _duplicate(node, _target(src, node), fd)
        case "&>" | "&>>":
            return _both(_target(src, node), ">" if node.op == "&>" else ">>")
        case _:
            open_file = opened(src, node)
            return lambda rt, saved: place(open_file(rt), fd, saved)


def opened(src: Source, node: Redirect) -> Callable[[Runtime], int]:
    """A closure that gives a new close-on-exec descriptor for what < > << and their kin name."""
    target = _target(src, node)
    op = node.op
    if op == "<<":
        return lambda rt: document(target(rt))
    if op == "<<<":
        return lambda rt: document(target(rt) + "\n")
    return lambda rt: _open(rt, op, target(rt))


def _target(src: Source, node: Redirect) -> Text:
    """The word as one string: a file's name, a number, or a document. What gives more than one field, or none, is
    no file's name, except in posix mode, where nothing is split."""
    text = compile_word.as_text(compile_word.text(src, node.target))
    if node.op in ("<<", "<<<"):
        return text
    fields = compile_word.fields(src, node.target)
    if not isinstance(fields, compile_word.Many):
        return text
    many = fields.run
    written = src.text[node.target.start : node.target.end]

    def one(rt: Runtime) -> str:
        if rt.posix:
            return text(rt)
        found = many(rt)
        if len(found) != 1:
            raise CommandError(f"{written}: ambiguous redirect", hint="it does not give exactly one word: quote it")
        return found[0]

    return one


def _named(src: Source, node: Redirect, name: str) -> Apply:
    """{name}>file: a new descriptor above the usual ones, which stays until {name}>&- closes it."""
    from aish.lang import subscripts

    target = _target(src, node)
    duplicates = node.op in ("<&", ">&")
    open_file = None if duplicates else opened(src, node)

    def run(rt: Runtime, saved: Saved | None) -> None:
        if open_file is not None:
            fd = open_high(open_file(rt))
            if saved is not None and "varredir_close" in rt.shopt:
                saved.append((fd, -1))
            subscripts.store(rt, name, str(fd))
            return
        word = target(rt)
        if word == "-":
            close(_number(subscripts.fetch(rt, name) or ""))
            return
        source = word.removesuffix("-")
        subscripts.store(rt, name, str(duplicate(_number(source))))
        if source != word:
            close(int(source))

    return run


def _number(word: str) -> int:
    if not (word.isdecimal() and word.isascii()):
        raise CommandError(f"{word}: a descriptor's number expected")
    return min(saturated(word), _NO_DESCRIPTOR)


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
        source = word.removesuffix("-")
        if word == "-":
            keep(fd, saved)
            close(fd)
        elif source.isdecimal() and source.isascii():  # a number too large for any descriptor names no file
            number = min(saturated(source), _NO_DESCRIPTOR)
            if number == fd and fd > 2:  # nothing is done, nothing is asked
                return
            keep(fd, saved)
            copy(number, fd)
            if source != word and number != fd:  # >&3- moves it
                keep(number, saved)
                close(number)
        elif either:
            place(_open(rt, ">", word), 1, saved)
            keep(2, saved)
            copy(1, 2)
        else:
            raise CommandError(f"{word}: a descriptor's number expected", hint=f"{node.op}- closes, > opens a file")

    return run


def _both(target: Text, op: str) -> Apply:
    def run(rt: Runtime, saved: Saved | None) -> None:
        place(_open(rt, op, target(rt)), 1, saved)
        keep(2, saved)
        copy(1, 2)

    return run
