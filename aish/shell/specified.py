"""Completion as `complete` has specified it: what bash's completion files are written for.

Their functions run in a copy of the shell, by a deadline: one that hangs is ended, and none can change the shell.
"""

from __future__ import annotations

import os
import select
import signal
import time

from aish.lang import process
from aish.lang.builtins.candidates import candidates
from aish.lang.builtins.completion import Spec
from aish.lang.control import Unwind
from aish.lang.jobs import Job
from aish.lang.text import decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.runtime import Runtime
    from aish.shell.complete import Situation

_DEFAULT, _EMPTY = "-D", "-E"
"""The names of `complete -D` and `complete -E`."""
_BREAKS = "\"'><=;|&(:"
_AGAIN = 124
"""The status of a function that has loaded another specification."""
_MOST_BYTES = 1 << 20


class Specified:
    """What a specification gave: the words, as they go into the line from `start` on. `ends`: a blank follows one
    that is alone. `names_files`: they are names of files, to be quoted."""

    __slots__ = ("ends", "names_files", "start", "words")

    def __init__(self, words: list[str], start: int, options: set[str]) -> None:
        self.words = words
        self.start = start
        self.ends = "nospace" not in options
        self.names_files = "filenames" in options


def specified(rt: Runtime, wanted: Situation, line: str, within_s: float) -> Specified | None:
    """The words that fit; None where nothing is specified, or it wants what is usual (-o default)."""
    if wanted.quote or not wanted.words or _spec(rt, wanted.words[0]) is None:
        return None
    words, cut = _broken(wanted)
    read, write = os.pipe()
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    job = Job("completion")
    try:
        process.fork(rt, lambda: _answer(rt, words, line, write), job, foreground=False, streams=nothing)
    finally:
        for fd in (write, *nothing):
            os.close(fd)
    try:
        data = _all(read, within_s)
    finally:
        os.close(read)
        _end(job)
    if data is None:
        return None
    options, *found = decode(data).split("\0")
    if not found[:-1] and {"default", "bashdefault"} & set(options.split()):
        return None
    return Specified(list(dict.fromkeys(found[:-1])), wanted.start + cut, set(options.split()))


def _spec(rt: Runtime, command: str) -> Spec | None:
    known = rt.completions
    return known.get(command) or known.get(command.rpartition("/")[2]) or known.get(_DEFAULT)


def _broken(wanted: Situation) -> tuple[list[str], int]:
    """COMP_WORDS, and how much of the word that is typed belongs to those before its last piece."""
    pieces = [""]
    for char in wanted.written:
        if char in _BREAKS:
            pieces += [char, ""]
        else:
            pieces[-1] += char
    pieces = [*[piece for piece in pieces[:-1] if piece], pieces[-1]]
    return [*wanted.words, *pieces], len(wanted.written) - len(pieces[-1])


def _answer(rt: Runtime, words: list[str], line: str, out: int) -> int:
    """In the copy of the shell."""
    os.dup2(1, 2)
    command, before, word = words[0], words[-2], words[-1]
    rt.set_list("COMP_WORDS", words)
    for name, value in (
        ("COMP_CWORD", str(len(words) - 1)), ("COMP_LINE", line), ("COMP_POINT", str(len(encode(line)))),
        ("COMP_TYPE", "9"), ("COMP_KEY", "9"),
    ):  # fmt: skip
        rt.vars.set(name, value)
    found: list[str] = []
    for _ in range(2):
        spec = rt.completing = _spec(rt, command)
        if spec is None:
            break
        rt.status = 0
        try:
            found = candidates(rt, spec, word, (command, word, before))
        except Unwind:
            break
        if rt.status != _AGAIN or _spec(rt, command) is spec:
            break
    options = " ".join(rt.completing.options) if rt.completing is not None else ""
    with open(out, "wb") as file:
        file.write(encode("\0".join([options, *found, ""])))
    return 0


def _all(fd: int, within_s: float) -> bytes | None:
    """All that is written until the other end closes; None where that takes too long."""
    end = time.monotonic() + within_s
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    found = b""
    while len(found) < _MOST_BYTES:
        if not poll.poll(max(end - time.monotonic(), 0) * 1000):
            return None
        piece = os.read(fd, 1 << 16)
        if not piece:
            return found
        found += piece
    return None


def _end(job: Job) -> None:
    """Whatever is left of it goes."""
    pid = job.processes[0].pid
    try:
        os.killpg(job.pgid, signal.SIGKILL) if job.pgid else os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    os.waitpid(pid, 0)
