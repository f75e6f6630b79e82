"""<( ), >( ) and coproc: copies of the shell at the other end of a pipe."""

from __future__ import annotations

import os

from aish.lang import descriptors, process
from aish.lang.control import CommandError
from aish.lang.job import Job
from aish.lang.source import Site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.compile_word import Text
    from aish.lang.runtime import Run, Runtime
    from aish.lang.source import Source
    from aish.lang.tree import Node, ProcessSub
    from aish.lang.tree_bash import Coprocess


def _body(src: Source, node: Node) -> Run:
    """The closure that a copy of the shell runs and ends with."""
    from aish.lang.compile import compile_command

    return compile_command(src, node, last=True)


def _pipe() -> tuple[int, int]:
    try:
        return os.pipe()
    except OSError as error:
        raise CommandError(f"cannot make a pipe: {error.strerror}") from None


# ------------------------------------------------------------------------------- process substitution


def substitution(src: Source, part: ProcessSub) -> Text:
    """The name of the pipe's end that is ours; Runtime.files has its descriptor."""
    from aish.lang.compile_substitution import direct

    body = _body(src, part.body)
    text = src.text[part.start : part.end]
    reads = part.op == "<"
    written = direct(src, part) if reads else None

    def run(rt: Runtime) -> str:
        if written is not None and not (rt.functions or rt.disabled or rt.xtrace or rt.debugs or rt.nounset):
            fd = descriptors.document(written(rt))
        else:
            fd = _start(rt, body, text, reads=reads)
        ours = descriptors.open_high(fd)
        rt.files.append(ours)
        return f"/dev/fd/{ours}"

    return run


def _start(rt: Runtime, body: Run, text: str, *, reads: bool) -> int:
    """Fork the commands; our end of the pipe."""
    read, write = _pipe()
    ours, theirs = (read, write) if reads else (write, read)
    job = Job(text)
    monitor, rt.monitor = rt.monitor, False  # it stays in the shell's own process group
    loops = rt.loops

    def child() -> int:
        os.close(ours)
        rt.loops, rt.monitor_outside = loops, rt.monitor_outside or monitor  # as in $( )
        for fd in rt.files:  # ends of other substitutions: whoever reads them must see them end
            os.close(fd)
        rt.files.clear()
        rt.trace_depth += 1
        return body(rt)

    try:
        process.fork(rt, child, job, foreground=False, streams=(-1, theirs) if reads else (theirs, -1))
    except CommandError:
        os.close(ours)
        raise
    finally:
        rt.monitor = monitor
        os.close(theirs)
    rt.jobs.add_loose(job)
    return ours


def closing(run: Run) -> Run:
    """A command whose words open files in this way, which end with it."""

    def whole(rt: Runtime) -> int:
        before = len(rt.files)
        try:
            return run(rt)
        finally:
            rt.close_files(before)

    return whole


# ------------------------------------------------------------------------------------------- coproc


def coprocess(src: Source, node: Coprocess) -> Run:
    """coproc: a background job between two pipes."""
    body = _body(src, node.command)
    text = src.text[node.start : node.end]
    site = Site(src, node.start, node.end)
    name = node.name

    def run(rt: Runtime) -> int:
        rt.at = site
        rt.jobs.reap()
        theirs_read, ours_write = _pipe()
        ours_read, theirs_write = _pipe()
        job = Job(text)

        def child() -> int:
            os.close(ours_read)
            os.close(ours_write)
            return body(rt)

        process.fork(rt, child, job, foreground=False, background=True, streams=(theirs_read, theirs_write))
        os.close(theirs_read)
        os.close(theirs_write)
        ends = [descriptors.open_high(fd, inheritable=False) for fd in (ours_read, ours_write)]
        rt.jobs.last_pid = job.processes[-1].pid
        rt.jobs.register(job)
        from aish.lang import coprocesses

        coprocesses.began(rt, name, job, ends)
        if rt.interactive:
            rt.error_line(f"[{job.number}] {rt.jobs.last_pid}")
        rt.status, rt.pipe_status = 0, None
        return 0

    return run
