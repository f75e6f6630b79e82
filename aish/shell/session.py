"""An interactive shell: start-up file, the loop around the prompt, notices about jobs, the end."""

from __future__ import annotations

import os

from aish.errors import AishError
from aish.lang import jobs, options, signals
from aish.lang.builtins.jobs import line
from aish.lang.control import Exit, Interrupted
from aish.lang.evaluate import run_line, run_source
from aish.lang.source import ParseError, Source
from aish.lang.text import decode
from aish.shell import short_forms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from aish.lang.runtime import Runtime
    from aish.shell.host import ShellHost

    class Reader(Protocol):
        """Where the lines come from."""

        def read(self) -> str | None:
            """The next complete command, several lines perhaps; None at the end of the input.

            Raises Interrupted for Ctrl-C."""


def prepare(rt: Runtime, *, config: bool) -> None:
    """Make the shell interactive: job control, then the user's start-up file."""
    rt.interactive = rt.lasting = True
    options.turn(rt, "monitor", True)
    rt.signals.be_interactive()
    if config:
        from aish.config import folders

        source_file(rt, os.path.join(folders.config(), "config.aish"))


def source_file(rt: Runtime, path: str) -> None:
    """Run a start-up file, if it is there. An error in it is told, and does not keep the shell from starting."""
    try:
        with open(path, "rb") as file:
            text = decode(file.read())
    except FileNotFoundError:
        return
    except OSError as error:
        rt.error_line(f"aish: {path}: {error.strerror}")
        return
    try:
        run_source(rt, Source(path, text))
    except (AishError, ParseError) as error:
        rt.report(error)
    except Interrupted:
        rt.error_line(f"aish: {path}: interrupted")


def interact(rt: Runtime, host: ShellHost, *, login: bool, config: bool) -> int:
    """Read and run lines until the end; the exit status."""
    if login:
        source_file(rt, "/etc/profile")
        source_file(rt, os.path.join(rt.values.get("HOME", ""), ".profile"))
    rt.values.setdefault("PS1", "$ ")
    rt.values.setdefault("PS2", "> ")
    if not rt.posix:
        run_source(rt, Source("short forms", short_forms.functions(tuple(host.verbs))))
    prepare(rt, config=config)
    reader = _reader(rt, host)
    warned = False
    try:
        while True:
            notify(rt)
            try:
                text = reader.read()
            except Interrupted as error:
                rt.status = 128 + error.signo
                continue
            try:
                if text is None:
                    if rt.ignoreeof:
                        rt.error_line('aish: use "exit" to leave')
                        continue
                    raise Exit(rt.status)
                run_line(rt, text)
                warned = False
            except Exit as error:
                left = "" if warned else _left_behind(rt)
                if not left:
                    return error.status
                rt.error_line(f"aish: there are {left} jobs (`jobs` lists them; leave again to end them)")
                warned = True
    finally:
        if login and "huponexit" in rt.shopt:
            _hang_up(rt)
        if rt.jobs.terminal is not None:
            rt.jobs.terminal.release()
            rt.jobs.terminal = None


def _reader(rt: Runtime, host: ShellHost) -> Reader:
    """prompt_toolkit on a terminal that can do it; else plain reading."""
    if os.isatty(0) and os.isatty(2) and os.environ.get("TERM", "dumb") not in ("", "dumb"):
        from aish.shell.prompt import Prompt

        return Prompt(rt, host.names, verbs=host.verbs, after=host.after)
    from aish.shell.plain import PlainReader

    return PlainReader(rt)


def notify(rt: Runtime) -> None:
    """Tell what became of background jobs since the last prompt."""
    rt.jobs.reap()
    for job in list(rt.jobs.order):
        if not job.changed:
            continue
        job.changed = False
        if job.state != jobs.RUNNING:
            rt.error_line(line(rt, job))
        if job.state == jobs.DONE:
            rt.jobs.remove(job)


def _left_behind(rt: Runtime) -> str:
    """What kind of jobs would be left behind and is worth a word: stopped ones, with `checkjobs` running ones."""
    rt.jobs.reap()
    states = {job.state for job in rt.jobs.order}
    if jobs.STOPPED in states:
        return "stopped"
    return "running" if jobs.RUNNING in states and "checkjobs" in rt.shopt else ""


def _hang_up(rt: Runtime) -> None:
    """`huponexit`: the jobs of a login shell end with it, but for those that `disown -h` keeps."""
    for job in rt.jobs.order:
        if not job.kept:
            try:
                rt.jobs.signal(job, signals.SIGHUP)
                rt.jobs.signal(job, signals.SIGCONT)
            except OSError:
                continue  # it has just ended
