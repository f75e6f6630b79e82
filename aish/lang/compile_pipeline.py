"""Pipelines, and commands in the background.

The shell that makes a pipeline makes its pipes and tensor edges too. Every stage is a child of this process and
a member of one job; a supervised stage's child is the stub that stands for it.
"""

from __future__ import annotations

import os

from aish.error import AishError
from aish.lang import process, signals
from aish.lang.compile_subshell import body
from aish.lang.control import CommandError, status_of
from aish.lang.footprint import only_writes
from aish.lang.job import Job
from aish.lang.source import Site
from aish.lang.text import encode
from aish.lang.tree import Background, Pipeline, Simple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.host import TensorEdge
    from aish.lang.runtime import Run, Runtime
    from aish.lang.source import Source
    from aish.lang.tree import Node

_FITS_BYTES = 4096
"""What a new pipe takes before anybody reads, however little of the kernel's memory the user has left for pipes."""


def compile_node(src: Source, node: Node, tested: bool) -> Run:
    """The closure for a pipeline or a command in the background."""
    match node:
        case Pipeline():
            return _pipeline(src, node, tested)
        case Background():
            return _background(src, node)
        case _:
            raise AssertionError(node)


# ------------------------------------------------------------------------------------------ pipelines


class _Stages:
    """A pipeline's closures: stages, edges, and the text for `jobs`."""

    def __init__(self, src: Source, node: Pipeline, tested: bool) -> None:
        tested = tested or node.negated
        from aish.lang.compile_inside import compile_inside
        from aish.lang.compile_program import compile_program

        self.runs = [body(src, stage, tested) for stage in node.stages]
        self.programs = [compile_program(src, stage) for stage in node.stages]
        self.first = compile_inside(src, node.stages[0], tested=tested) if only_writes(node.stages[0]) else None
        self.edges = node.edges
        self.text = src.text[node.start : node.end]
        self.site = Site(src, node.start, node.end, node)
        self.texts = [src.text[stage.start : stage.end] for stage in node.stages]
        self.simple = [isinstance(stage, Simple) for stage in node.stages]

    def start(self, rt: Runtime, *, foreground: bool) -> Job:
        """Fork every stage. Raises CommandError, with nothing left running."""
        return self._start(rt, foreground, self.runs)[0]

    def start_but_last(self, rt: Runtime) -> tuple[Job, int]:
        """Fork all stages but the last one; gives also the descriptor that it is to read from."""
        return self._start(rt, True, self.runs[:-1])

    def _start(self, rt: Runtime, foreground: bool, runs: list[Run]) -> tuple[Job, int]:
        job = Job(self.text, self.site)
        gate = _Gate(rt) if rt.jobs.terminal is not None else None
        edges: dict[int, TensorEdge] = {}
        before = -1
        started = False
        try:
            for i, edge in enumerate(self.edges):
                if edge == "|=":
                    edges[i] = rt.host.tensor_edge()
            for i, run in enumerate(runs):
                after, write = -1, -1
                if i < len(self.edges) and i not in edges:
                    after, write = os.pipe()
                self._fork(rt, job, i, run, edges, (before, write, after), foreground, gate)
                for fd in (before, write):
                    if fd >= 0:
                        os.close(fd)
                if i in edges:  # an end that stays open here would hide that its stage has died
                    edges[i].close_writer()
                if i - 1 in edges:
                    edges[i - 1].close_reader()
                before = after
            started = True
        except (OSError, AishError) as error:
            for item in job.processes:
                if item.pid:
                    os.kill(item.pid, signals.SIGKILL)
            if isinstance(error, AishError):
                raise
            raise CommandError(f"cannot start the pipeline: {error.strerror}", status=126) from None
        finally:
            if gate is not None:
                gate.open(job, foreground=foreground and started)
            for open_edge in edges.values():
                open_edge.close()
        if foreground:
            rt.jobs.forward_missed(rt, job)
        return job, before

    def _fork(
        self,
        rt: Runtime,
        job: Job,
        i: int,
        run: Run,
        edges: dict[int, TensorEdge],
        pipes: tuple[int, int, int],
        foreground: bool,
        gate: _Gate | None,
    ) -> None:
        read, write, other = pipes
        merge = i < len(self.edges) and self.edges[i] == "|&"
        if foreground and gate is None and not edges and self._lean(rt, job, i, read, write, merge):
            return

        def body() -> int:
            if other >= 0:
                os.close(other)
            if gate is not None:
                gate.wait()
            if merge:
                os.dup2(1, 2, True)
            _join_edges(rt, edges, i)
            rt.uncounted = self.simple[i]
            rt.debugged = rt.debugs and self.simple[i]
            return run(rt)

        process.fork(
            rt,
            body,
            job,
            foreground=False,  # not yet, and not alone
            background=not foreground and i == 0,
            streams=(read, write),
        )
        job.processes[-1].text = self.texts[i]

    def _lean(self, rt: Runtime, job: Job, i: int, read: int, write: int, merge: bool) -> bool:
        """Whether the stage did without a copy of the shell: a program, or a first one that has written all."""
        program = self.programs[i]
        if program is not None:
            pid = program.start(rt, (read, write), merge=merge)
            if pid is not None:
                job.add(pid)
                return True
        if i or self.first is None or merge or write < 0 or "lastpipe" in rt.shopt:  # its reader may be gone first
            return False
        before = rt.status
        done = self.first.run(rt)
        rt.status = before  # $? of the stages behind it
        if done is None or len(data := encode(done[1])) > _FITS_BYTES:
            return False
        os.write(write, data)
        job.add(0).raw = done[0] << 8
        return True


class _Gate:
    """Stages wait here until all of them exist and have the terminal: Ctrl-Z must stop the whole pipeline, and
    no stage may read from the terminal before it is theirs. Behind & it never is: reading from it stops them all."""

    def __init__(self, rt: Runtime) -> None:
        self.terminal = rt.jobs.terminal
        self.read, self.write = os.pipe()

    def wait(self) -> None:
        """In a stage."""
        os.close(self.write)
        os.read(self.read, 1)
        os.close(self.read)

    def open(self, job: Job, *, foreground: bool) -> None:
        """In the shell."""
        if foreground and self.terminal is not None and job.pgid:
            self.terminal.give(job.pgid)
        os.close(self.read)
        os.close(self.write)


def _join_edges(rt: Runtime, edges: dict[int, TensorEdge], i: int) -> None:
    """In the process of stage `i`: let its programs inherit its own sides of the tensor edges, and say so; the
    other sides are not its to hold open."""
    for at, edge in edges.items():
        if at != i:
            edge.close_writer()
        if at != i - 1:
            edge.close_reader()
    reads, writes = edges.get(i - 1), edges.get(i)
    if reads is not None:
        for fd in reads.reader_fds:
            os.set_inheritable(fd, True)
        rt.vars.set("AISH_TENSOR_IN", reads.reader_env())
        rt.vars.export("AISH_TENSOR_IN")
    if writes is not None:
        for fd in writes.writer_fds:
            os.set_inheritable(fd, True)
        rt.vars.set("AISH_TENSOR_OUT", writes.writer_env())
        rt.vars.export("AISH_TENSOR_OUT")


def _all_held_back(rt: Runtime, commands: list[Site]) -> bool:
    """Run the DEBUG trap before each command that gets a process; whether one is not to be run."""
    for site in commands:
        rt.at = site
        if rt.held_back():
            return True
    return False


def _pipeline(src: Source, node: Pipeline, tested: bool) -> Run:
    if len(node.stages) == 1:
        return _negated(src, node)
    stages = _Stages(src, node, tested)
    here = _here(src, node, tested)
    site = Site(src, node.start, node.end)
    simple = [Site(src, stage.start, stage.end, stage) for stage in node.stages if isinstance(stage, Simple)]
    last_is_simple = isinstance(node.stages[-1], Simple)
    ended = simple[-1] if last_is_simple else site
    negated = node.negated

    def run(rt: Runtime) -> int:
        rt.at = site
        if rt.debugs:
            done, rt.debugged = rt.debugged, False
            if not done and _all_held_back(rt, simple):
                return 0
            rt.at = site
        inside = here is not None and not rt.monitor and "lastpipe" in rt.shopt
        last: list[int] = []
        try:
            job, read = stages.start_but_last(rt) if inside else (stages.start(rt, foreground=True), -1)
        except AishError as error:
            rt.report(error)
            rt.status = status_of(error)
            return rt.status
        try:
            if inside and here is not None:
                rt.debugged = rt.debugs and last_is_simple
                last.append(_reading_from(rt, read, here))
        finally:
            try:
                rt.jobs.wait_foreground(rt, job)
            finally:  # Ctrl-C at the prompt ends the line here, and leaves PIPESTATUS to look at
                rt.pipe_status = statuses = [item.status for item in job.processes] + last
        status = statuses[-1]
        if rt.pipefail:
            status = next((one for one in reversed(statuses) if one), 0)
        if negated:
            status = 1 if status == 0 else 0
        rt.status = status
        rt.at = ended
        if status and rt.errexit and not tested and not negated:
            rt.failed(status)
        return status

    return run


def _here(src: Source, node: Pipeline, tested: bool) -> Run | None:
    """The last stage as a command of the shell itself, for `shopt -s lastpipe`."""
    if node.edges[-1] == "|=":
        return None
    from aish.lang.compile import compile_command

    return compile_command(src, node.stages[-1], tested=tested or node.negated)


def _reading_from(rt: Runtime, fd: int, command: Run) -> int:
    """Run a command with the end of a pipe as its stdin."""
    from aish.lang import descriptors

    saved: list[tuple[int, int]] = []
    descriptors.place(fd, 0, saved)
    try:
        return command(rt)
    finally:
        descriptors.restore(saved)


def _negated(src: Source, node: Pipeline) -> Run:
    """! command, without a process of its own."""
    from aish.lang.compile import compile_command
    from aish.lang.tree_bash import Calculation, Test

    command = compile_command(src, node.stages[0], tested=True)
    negated = node.negated
    judges = isinstance(node.stages[0], (Calculation, Test))  # PIPESTATUS has what came of them, in bash

    def run(rt: Runtime) -> int:
        status = command(rt)
        if negated:
            if not judges:
                rt.pipe_status = rt.pipe_status or [status]
            status = 1 if status == 0 else 0
        rt.status = status
        return status

    return run


# --------------------------------------------------------------------------------------- background


def _background(src: Source, node: Background) -> Run:
    command = node.command
    text = src.text[command.start : command.end]
    site = Site(src, command.start, command.end, command)
    if isinstance(command, Pipeline) and len(command.stages) > 1 and not command.negated:
        stages = _Stages(src, command, False)

        def start(rt: Runtime) -> Job:
            return stages.start(rt, foreground=False)

    else:
        run_copy = body(src, command, False)
        is_simple = isinstance(command, (Simple, Pipeline))

        def copy(rt: Runtime) -> int:
            rt.debugged = rt.debugs and is_simple
            return run_copy(rt)

        def start(rt: Runtime) -> Job:
            job = Job(text, site)
            process.fork(rt, lambda: copy(rt), job, foreground=False, background=True)
            return job

    spec = _job_spec(command)
    stages_of = command.stages if isinstance(command, Pipeline) else [command]
    simple = [Site(src, one.start, one.end, one) for one in stages_of if isinstance(one, Simple)]

    def run(rt: Runtime) -> int:
        if rt.debugs and _all_held_back(rt, simple):
            return 0
        if spec and rt.monitor:
            from aish.lang.invocation import invoke

            return invoke(rt, ["bg", spec])
        rt.jobs.reap()
        job = start(rt)
        rt.jobs.last_pid = job.processes[-1].pid
        rt.jobs.register(job)
        if rt.interactive:
            rt.error_line(f"[{job.number}] {rt.jobs.last_pid}")
        rt.status = 0
        return 0

    return run


def _job_spec(command: Node) -> str:
    """The %1 of `%1 &`, which means bg %1."""
    if isinstance(command, Simple) and len(command.words) == 1:
        word = command.words[0].literal() or ""
        return word if word[:1] == "%" else ""
    return ""
