"""$( ) to closures: a copy of the shell at the other end of a pipe; none where the output can be had without it."""

from __future__ import annotations

import os

from aish.lang import builtins, options, process, signals
from aish.lang.control import CommandError
from aish.lang.job import Job
from aish.lang.source import Site
from aish.lang.text import decode, encode
from aish.lang.tree import DoubleQuoted, Literal, Parameter, Quoted, Simple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.compile_word import Text
    from aish.lang.runtime import Run, Runtime
    from aish.lang.source import Source
    from aish.lang.tree import CommandSub, Node, ProcessSub, Redirect

_CHUNK = 1 << 16
_CHANGING = frozenset(["RANDOM", "BASHPID", "BASH_SUBSHELL"])
"""Variables that a process of its own would see differently."""

_OUTPUT_ONLY = frozenset(["echo", "printf", "pwd"])
"""Built-ins that do nothing but write: their output can be had without a process."""


def captured(src: Source, part: CommandSub) -> Text:
    """$(..): the output of its commands without the newlines at its end."""
    from aish.lang.compile import compile_command

    body = compile_command(src, part.body, last=True)
    text = src.text[part.start : part.end]
    whole = _file(src, part)
    if whole is not None:
        return whole
    written = direct(src, part)

    def run(rt: Runtime) -> str:
        if written is not None and not (rt.functions or rt.disabled or rt.xtrace or rt.debugs or rt.nounset):
            return written(rt).replace("\0", "").rstrip("\n")
        return _capture(rt, body, text)

    return run


def _capture(rt: Runtime, body: Run, text: str) -> str:
    read, write = pipe(rt)
    job = Job(text)
    monitor, rt.monitor = rt.monitor, False  # it stays in the shell's own process group
    loops = rt.loops

    def child() -> int:
        os.close(read)
        rt.trace_depth += 1
        rt.loops = loops  # as everywhere, `break` ends it there
        rt.monitor_outside |= monitor
        if "inherit_errexit" not in rt.shopt:
            options.turn(rt, "errexit", False)  # as in bash
        return body(rt)

    try:
        process.fork(rt, child, job, foreground=True, streams=(-1, write))
        os.close(write)
        output = read_all(rt, read)
        rt.substituted = rt.status = rt.jobs.wait_foreground(rt, job, settles=False)
    finally:
        rt.monitor = monitor
        os.close(read)
    return decode(output.replace(b"\0", b"")).rstrip("\n")


def pipe(rt: Runtime) -> tuple[int, int]:
    """Both ends of a pipe, neither of them where a closed standard descriptor was. Raises CommandError."""
    try:
        read, write = os.pipe()
        return rt.private(read) if read < 3 else read, rt.private(write) if write < 3 else write
    except OSError as error:
        raise CommandError(f"cannot substitute: {error.strerror}") from None


def read_all(rt: Runtime, fd: int) -> bytes:
    chunks = []
    with signals.Section(rt.signals, signals.WAITING):
        while chunk := os.read(fd, _CHUNK):
            chunks.append(chunk)
    return b"".join(chunks)


def _file(src: Source, part: CommandSub) -> Text | None:
    """$(< file): what is in it, without a process."""
    node = part.body.items[0] if len(part.body.items) == 1 else None
    if not isinstance(node, Simple) or node.assigns or node.words or len(node.redirects) != 1:
        return None
    redirect = node.redirects[0]
    if redirect.op != "<" or redirect.fd not in (None, 0) or redirect.variable:
        return None
    from aish.lang.compile_redirect import opened

    site = Site(src, node.start, node.end)
    open_file = opened(src, redirect)

    def run(rt: Runtime) -> str:
        rt.at = site
        try:
            fd = open_file(rt)
        except CommandError as error:
            rt.report(error)
            rt.substituted = rt.status = error.status
            return ""
        try:
            output = read_all(rt, fd)
        except OSError as error:
            rt.complain(f"{text_of(src, redirect)}: {error.strerror}")
            rt.substituted = rt.status = 1
            return ""
        finally:
            os.close(fd)
        rt.substituted = rt.status = 0
        return decode(output.replace(b"\0", b"")).rstrip("\n")

    return run


def text_of(src: Source, redirect: Redirect) -> str:
    """A redirection's target as it was written."""
    return src.text[redirect.target.start : redirect.target.end]


def direct(src: Source, part: CommandSub | ProcessSub) -> Text | None:
    """$(echo ..) and the like without a process, where expanding the words has no effect on the shell."""
    if len(part.body.items) != 1:
        return None
    node = part.body.items[0]
    if not isinstance(node, Simple) or node.assigns or node.redirects:
        return None
    name = node.words[0].literal()
    if name not in _OUTPUT_ONLY or not all(_is_pure(item) for word in node.words for item in word.parts):
        return None
    from aish.lang.compile import compile_command

    assert name is not None
    command = compile_command(src, node, tested=True)
    builtins.find(name)

    def run(rt: Runtime) -> str:
        outer, rt.capture = rt.capture, []
        last = rt.last_argument
        try:
            rt.substituted = command(rt)
            output = "".join(rt.capture)
            if output.isascii():
                return output
            return decode(encode(output))  # characters that were written byte by byte
        finally:
            rt.capture = outer
            rt.last_argument = last

    return run


def _is_pure(part: Node) -> bool:
    """Whether expanding a part leaves the shell as it was."""
    match part:
        case Literal() | Quoted():
            return True
        case DoubleQuoted():
            return all(map(_is_pure, part.parts))
        case Parameter():
            if part.index is not None or part.indirect or part.op in ("=", "?", ":", "bad") or part.name in _CHANGING:
                return False
            words = [word for word in (part.argument, part.second) if word is not None]
            return all(_is_pure(inner) for word in words for inner in word.parts)
        case _:
            return False
