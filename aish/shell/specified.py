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
from aish.lang.control import CommandError, Unwind
from aish.lang.job import Job
from aish.lang.text import decode, encode
from aish.shell.complete import COMMAND, VARIABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.runtime import Runtime
    from aish.shell.complete import Situation

_DEFAULT, _EMPTY, _INITIAL = "-D", "-E", "-I"
"""The names of what is specified for any command, for an empty line, for the word of the command itself."""
_CALLED = {_EMPTY: "_EmptycmD_", _INITIAL: "_InitialWorD_"}
"""The command's name that a function is told there, as in bash."""
_BREAKS = "\"'><=;|&(:"
_AGAIN = 124
"""The status of a function that has loaded another specification."""
_MOST_BYTES = 1 << 20
_LENGTH_BYTES = 4
"""An answer's length comes before it."""


class Specified:
    """What a specification gave: the words, as they go into the line from `start` on. `ends`: a blank follows one
    that is alone. `names_files`: they are names of files, to be quoted."""

    __slots__ = ("ends", "names_files", "start", "words")

    def __init__(self, words: list[str], start: int, options: set[str]) -> None:
        self.words = words
        self.start = start
        self.ends = "nospace" not in options
        self.names_files = "filenames" in options


def specified(rt: Runtime, wanted: Situation, line: str, within_s: float, *, named: bool = False) -> Specified | None:
    """The words that fit; None where nothing is specified, or it wants what is usual (-o default). `named`: only
    what is specified for the command by its name counts."""
    if wanted.quote or wanted.kind == VARIABLE:
        return None
    command = _command(wanted, line)
    spec = _spec(rt, command) if command else None
    if spec is None or (named and spec is rt.completions.get(_DEFAULT)):
        return None
    words, cut = _broken(wanted) if command != _EMPTY else ([], 0)
    data = _asked(rt, command, words, line, within_s)
    if data is None:
        return None
    options, *found = decode(data).split("\0")
    if not found[:-1] and {"default", "bashdefault"} & set(options.split()):
        return None
    return Specified(list(dict.fromkeys(found[:-1])), wanted.start + cut, set(options.split()))


def _command(wanted: Situation, line: str) -> str:
    """Whose specification is asked for; '' for none."""
    if wanted.kind == COMMAND:  # its words are those of the command before it
        return _INITIAL if line.strip() else _EMPTY
    return wanted.words[0] if wanted.words else ""


def _asked(rt: Runtime, command: str, words: list[str], line: str, within_s: float) -> bytes | None:
    """What a copy of the shell answers; None without an answer in time, or without room for the copy."""
    job = Job("completion")
    opened: list[int] = []
    try:
        read, write = os.pipe()
        opened += [read, write]
        opened[1] = write = rt.private(write)
        for flags in (os.O_RDONLY, os.O_WRONLY):
            opened.append(os.open(os.devnull, flags | os.O_CLOEXEC))
        streams = (opened[2], opened[3])
        process.fork(rt, lambda: _answer(rt, command, words, line, write), job, foreground=False, streams=streams)
        return _all(read, within_s)
    except (CommandError, OSError):
        return None
    finally:
        for fd in opened:
            os.close(fd)
        if job.processes:
            _end(job)


def _spec(rt: Runtime, command: str) -> Spec | None:
    known = rt.completions
    if command in _CALLED:
        return known.get(command)
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


def _answer(rt: Runtime, command: str, words: list[str], line: str, out: int) -> int:
    """In the copy of the shell."""
    os.dup2(1, 2)
    before, word = ["", "", *words][-2:]
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
            found = candidates(rt, spec, word, (_CALLED.get(command, command), word, before))
        except Unwind:
            break
        if rt.status != _AGAIN or _spec(rt, command) is spec:
            break
    options = " ".join(rt.completing.options) if rt.completing is not None else ""
    answer = encode("\0".join([options, *found, ""]))
    with open(out, "wb") as file:
        file.write(len(answer).to_bytes(_LENGTH_BYTES) + answer)
    return 0


def _all(fd: int, within_s: float) -> bytes | None:
    """An answer by its length: its end is not that of the pipe, which whatever a function has left behind may still
    hold open. None where it is not whole, or that takes too long."""
    end = time.monotonic() + within_s
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    found = b""
    while len(found) < _MOST_BYTES:
        if not poll.poll(max(end - time.monotonic(), 0) * 1000):
            return None
        piece = os.read(fd, 1 << 16)
        if not piece:
            return None
        found += piece
        end_at = _LENGTH_BYTES + int.from_bytes(found[:_LENGTH_BYTES])
        if len(found) >= max(end_at, _LENGTH_BYTES):
            return found[_LENGTH_BYTES:end_at]
    return None


def _end(job: Job) -> None:
    """Whatever is left of it goes."""
    pid = job.processes[0].pid
    try:
        os.killpg(job.pgid, signal.SIGKILL) if job.pgid else os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        pass  # SIGCHLD is ignored: the system has done that
