"""What runs in copies of the shell: pipelines, ( ), &, $( ).

The shell that makes a pipeline makes its pipes and tensor edges too. Every stage is a child of this process and
a member of one job; a supervised stage's child is the stub that stands for it.
"""

from __future__ import annotations

import os

from aish.errors import AishError
from aish.lang import builtins, options, process, signals
from aish.lang.control import CommandError, status_of
from aish.lang.jobs import Job
from aish.lang.source import Site
from aish.lang.text import decode, encode
from aish.lang.tree import (
    Background,
    Calculation,
    DoubleQuoted,
    Literal,
    Parameter,
    Pipeline,
    Quoted,
    Simple,
    Subshell,
    Test,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.compile_word import Text
    from aish.lang.host import TensorEdge
    from aish.lang.runtime import Run, Runtime
    from aish.lang.source import Source
    from aish.lang.tree import CommandSub, Node, ProcessSub, Redirect

_CHUNK = 1 << 16
_CHANGING = frozenset(["RANDOM", "BASHPID", "BASH_SUBSHELL"])
"""Variables that a process of its own would see differently."""

_OUTPUT_ONLY = frozenset(["echo", "printf", "pwd"])
"""Built-ins that do nothing but write: their output can be had without a process."""


def compile_node(src: Source, node: Node, tested: bool, last: bool) -> Run:
    """The closure for a pipeline, a subshell, or a command in the background."""
    match node:
        case Pipeline():
            return _pipeline(src, node, tested)
        case Subshell():
            return _subshell(src, node, tested, last)
        case Background():
            return _background(src, node)
        case _:
            raise AssertionError(node)


def _body(src: Source, node: Node, tested: bool) -> Run:
    """The closure that a copy of the shell runs and ends with."""
    from aish.lang.compile import compile_command

    return compile_command(src, node, tested=tested, last=True)


# ------------------------------------------------------------------------------------------ pipelines


class _Stages:
    """A pipeline's closures: stages, edges, and the text for `jobs`."""

    def __init__(self, src: Source, node: Pipeline, tested: bool) -> None:
        tested = tested or node.negated
        self.runs = [_body(src, stage, tested) for stage in node.stages]
        self.edges = node.edges
        self.text = src.text[node.start : node.end]
        self.texts = [src.text[stage.start : stage.end] for stage in node.stages]

    def start(self, rt: Runtime, *, foreground: bool) -> Job:
        """Fork every stage. Raises CommandError, with nothing left running."""
        return self._start(rt, foreground, self.runs)[0]

    def start_but_last(self, rt: Runtime) -> tuple[Job, int]:
        """Fork all stages but the last one; gives also the descriptor that it is to read from."""
        return self._start(rt, True, self.runs[:-1])

    def _start(self, rt: Runtime, foreground: bool, runs: list[Run]) -> tuple[Job, int]:
        job = Job(self.text)
        gate = _Gate(rt) if foreground and rt.jobs.terminal is not None else None
        edges: dict[int, TensorEdge] = {}
        before = -1
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
        except (OSError, AishError) as error:
            for item in job.processes:
                os.kill(item.pid, signals.SIGKILL)
            if isinstance(error, AishError):
                raise
            raise CommandError(f"cannot start the pipeline: {error.strerror}", status=126) from None
        finally:
            if gate is not None:
                gate.open(job)
            for open_edge in edges.values():
                open_edge.close()
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

        def body() -> int:
            if other >= 0:
                os.close(other)
            if gate is not None:
                gate.wait()
            if merge:
                os.dup2(1, 2, True)
            _join_edges(rt, edges, i)
            return run(rt)

        process.fork(
            rt,
            body,
            job,
            foreground=foreground and gate is None,
            background=not foreground and i == 0,
            streams=(read, write),
        )
        job.processes[-1].text = self.texts[i]


class _Gate:
    """Stages wait here until all of them exist and have the terminal: Ctrl-Z must stop the whole pipeline, and
    no stage may read from the terminal before it is theirs."""

    def __init__(self, rt: Runtime) -> None:
        self.terminal = rt.jobs.terminal
        self.read, self.write = os.pipe()

    def wait(self) -> None:
        """In a stage."""
        os.close(self.write)
        os.read(self.read, 1)
        os.close(self.read)

    def open(self, job: Job) -> None:
        """In the shell."""
        if self.terminal is not None and job.pgid:
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


def _pipeline(src: Source, node: Pipeline, tested: bool) -> Run:
    if len(node.stages) == 1:
        return _negated(src, node)
    stages = _Stages(src, node, tested)
    here = _here(src, node, tested)
    site = Site(src, node.start, node.end)
    negated = node.negated

    simple = sum(isinstance(stage, Simple) for stage in node.stages)

    def run(rt: Runtime) -> int:
        rt.at = site
        if rt.debugs:
            for _ in range(simple):
                rt.run_moment(signals.DEBUG)
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


# -------------------------------------------------------------------------------- subshell, background


def _subshell(src: Source, node: Subshell, tested: bool, last: bool) -> Run:
    """( ): a copy of the shell; where this process is one that has nothing else to do, itself."""
    body = _body(src, node.body, tested)
    if node.redirects:
        body = _redirected_for_good(src, node, body)
    site = Site(src, node.start, node.end)
    text = src.text[node.start : node.end]

    def inside(rt: Runtime) -> int:
        rt.jobs.inherited.clear()  # only $( ) and pipelines still show them
        return body(rt)

    def run(rt: Runtime) -> int:
        rt.at = site
        if last and rt.in_subshell and not rt.signals.traps:
            rt.subshells += 1
            return body(rt)
        job = Job(text)
        process.fork(rt, lambda: inside(rt), job, foreground=True)
        rt.status = status = rt.jobs.wait_foreground(rt, job)
        rt.pipe_status = None
        if status and rt.errexit and not tested:
            rt.failed(status)
        return status

    return run


def _redirected_for_good(src: Source, node: Subshell, body: Run) -> Run:
    """In the copy of the shell: its redirections last as long as itself, its traps and its last words included."""
    from aish.lang.compile_redirect import compile_redirects

    redirects = compile_redirects(src, node.redirects)
    site = Site(src, node.start, node.end)

    def run(rt: Runtime) -> int:
        try:
            for apply in redirects:
                apply(rt, None)
        except CommandError as error:
            rt.at = site
            rt.report(error)
            return error.status
        return body(rt)

    return run


def _background(src: Source, node: Background) -> Run:
    command = node.command
    text = src.text[command.start : command.end]
    if isinstance(command, Pipeline) and len(command.stages) > 1 and not command.negated:
        stages = _Stages(src, command, False)

        def start(rt: Runtime) -> Job:
            return stages.start(rt, foreground=False)

    else:
        body = _body(src, command, False)

        def start(rt: Runtime) -> Job:
            job = Job(text)
            process.fork(rt, lambda: body(rt), job, foreground=False, background=True)
            return job

    spec = _job_spec(command)

    def run(rt: Runtime) -> int:
        if spec and rt.monitor:
            from aish.lang.compile_simple import invoke

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


# -------------------------------------------------------------------------------------- substitution


def captured(src: Source, part: CommandSub) -> Text:
    """$(..): the output of its commands without the newlines at its end."""
    node = part.body
    body = _body(src, node, False)
    text = src.text[part.start : part.end]
    whole = _file(src, part)
    if whole is not None:
        return whole
    written = direct(src, part)

    def run(rt: Runtime) -> str:
        if written is not None and not (rt.functions or rt.xtrace or rt.nounset):
            return written(rt).replace("\0", "").rstrip("\n")
        return _capture(rt, body, text)

    return run


def _capture(rt: Runtime, body: Run, text: str) -> str:
    try:
        read, write = os.pipe()
    except OSError as error:
        raise CommandError(f"cannot substitute: {error.strerror}") from None
    job = Job(text)
    monitor, rt.monitor = rt.monitor, False  # it stays in the shell's own process group

    def child() -> int:
        os.close(read)
        rt.trace_depth += 1
        if "inherit_errexit" not in rt.shopt:
            options.turn(rt, "errexit", False)  # as in bash
        return body(rt)

    try:
        process.fork(rt, child, job, foreground=True, streams=(-1, write))
        os.close(write)
        output = _read_all(rt, read)
        rt.substituted = rt.status = rt.jobs.wait_foreground(rt, job)
    finally:
        rt.monitor = monitor
        os.close(read)
    return decode(output.replace(b"\0", b"")).rstrip("\n")


def _read_all(rt: Runtime, fd: int) -> bytes:
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
            output = _read_all(rt, fd)
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
