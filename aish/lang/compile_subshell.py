"""( ), and what any copy of the shell runs and ends with. ($( ) is in compile_process and compile_inside.)"""

from __future__ import annotations

from aish.lang import process
from aish.lang.control import CommandError
from aish.lang.job import Job
from aish.lang.source import Site
from aish.lang.tree import Simple, Subshell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.runtime import Run, Runtime
    from aish.lang.source import Source
    from aish.lang.tree import Node


def subshell(src: Source, node: Subshell, tested: bool, last: bool) -> Run:
    """( ): a copy of the shell; where this process is one that has nothing else to do, itself, unless
    it is asked for its number."""
    commands = _inside(src, node, tested)
    site = Site(src, node.start, node.end, node)
    text = src.text[node.start : node.end]
    itself = last and "BASHPID" not in text

    def inside(rt: Runtime) -> int:
        rt.jobs.inherited.clear()  # only $( ) and pipelines still show them
        rt.stdin_given = False
        return commands(rt)

    def run(rt: Runtime) -> int:
        rt.at = site
        if itself and rt.in_subshell and not rt.signals.traps:
            rt.subshells += 1
            rt.loops = 0
            return inside(rt)
        job = Job(text, site)
        process.fork(rt, lambda: inside(rt), job, foreground=True)
        rt.status = status = rt.jobs.wait_foreground(rt, job)
        rt.pipe_status = None
        if status and rt.errexit and not tested:
            rt.failed(status)
        return status

    return run


def _inside(src: Source, node: Subshell, tested: bool) -> Run:
    """What the copy of the shell does that a ( ) is."""
    from aish.lang.compile import compile_command

    commands = compile_command(src, node.body, tested=tested, last=True)
    whole = _redirected_for_good(src, node, commands) if node.redirects else commands

    def run(rt: Runtime) -> int:
        rt.in_parentheses = True
        return whole(rt)

    return run


def _redirected_for_good(src: Source, node: Subshell, commands: Run) -> Run:
    """In the copy of the shell: its redirections last as long as itself, its traps and its last words included."""
    from aish.lang.compile_redirect import compile_redirects, give_stdin

    redirects = compile_redirects(src, node.redirects)
    site = Site(src, node.start, node.end)
    gives = give_stdin(node.redirects)

    def run(rt: Runtime) -> int:
        try:
            for apply in redirects:
                apply(rt, None)
            rt.stdin_given = rt.stdin_given or gives
        except CommandError as error:
            rt.at = site
            rt.report(error)
            return error.status
        return commands(rt)

    return run


def body(src: Source, node: Node, tested: bool) -> Run:
    """The closure that a copy of the shell runs and ends with. A ( ) is that copy itself."""
    if isinstance(node, Subshell):
        return _inside(src, node, tested)
    from aish.lang.compile import compile_command

    run = compile_command(src, node, tested=tested, last=True)
    if isinstance(node, Simple) and node.words and node.words[0].literal() in ("break", "continue"):
        return _ending(run)
    return _apart(node, run) if isinstance(node, Simple) else run


def _apart(node: Node, command: Run) -> Run:
    """A simple command that has a copy of the shell to itself."""

    def run(rt: Runtime) -> int:
        rt.apart = node
        return command(rt)

    return run


def _ending(command: Run) -> Run:
    """`break |`, `continue &`: of a loop around the copy, which ends without a word. In { } or ( ) it is of none."""

    def run(rt: Runtime) -> int:
        rt.loops = rt.loops_outside
        return command(rt)

    return run
