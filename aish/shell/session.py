"""An interactive shell: start-up files, the loop around the prompt, notices about jobs, the end."""

from __future__ import annotations

import os
import sys
import time

from aish.error import AishError
from aish.lang import options, terminal_size
from aish.lang.control import CommandError, Exit, Interrupted
from aish.lang.ending import last_word
from aish.lang.evaluate import run_line, run_source, run_text
from aish.lang.prompts import expand
from aish.lang.signals import SIGHUP
from aish.lang.source import Source
from aish.shell import own_name, short_forms
from aish.shell.companion.link import Link
from aish.shell.history import History
from aish.shell.leaving import IdleError, Leaving, terminal_is_gone
from aish.shell.start_files import source_file, source_named, source_profiles

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from aish.lang.runtime import Runtime
    from aish.shell.host import ShellHost
    from aish.shell.program import Arguments

    class Reader(Protocol):
        """Where the lines come from."""

        def read(self) -> str | None:
            """The next complete command, several lines perhaps; None at the end of the input.

            Raises Interrupted for Ctrl-C."""

        def offer(self, text: str) -> bool:
            """Have the next line begin with this; whether that is possible."""

        def begins(self, text: str) -> None:
            """What was read is about to run."""

        def ended(self, text: str, duration_s: float) -> None:
            """It has run."""


PLAIN_PS1 = "\\w \\$ "
"""PS1 where nobody has set it. An editor that can show more shows its own prompt in place of it."""


def prepare(rt: Runtime, *, config: bool, rc: str | None = None) -> None:
    """Make the shell interactive: job control, then the user's start-up files: what ENV names, as POSIX has it, and
    ours unless we are called as sh; `rc` in place of both."""
    rt.interactive = rt.lasting = True
    options.turn(rt, "monitor", True)
    rt.signals.be_interactive()
    _read_inputrc(rt)
    if rc is not None:
        if config:
            source_file(rt, rc)
        return
    source_named(rt, "ENV")
    if config and not rt.posix:
        from aish.config import folders

        source_file(rt, os.path.join(folders.config(), "config.aish"))


def _read_inputrc(rt: Runtime) -> None:
    """The keys that somebody has bound for readline, as bash reads them; start-up files may bind others."""
    home = rt.values.get("HOME")
    path = rt.values.get("INPUTRC") or (home and os.path.join(home, ".inputrc"))
    if path and not rt.posix and os.path.isfile(path):
        from aish.lang.builtins.bind import read_file

        try:
            read_file(rt, path)
        except CommandError as error:
            rt.error_line(f"aish: {error.message}")


def interact(rt: Runtime, host: ShellHost, asked: Arguments) -> int:
    """Read and run lines until the end; the exit status."""
    if os.isatty(0):
        own_name.show_as(("-" if asked.login else "") + os.path.basename(rt.program), sys.argv[1:])
    if asked.login and asked.profile:
        source_profiles(rt)
    rt.values.setdefault("PS1", "$ " if rt.posix else PLAIN_PS1)
    rt.values.setdefault("PS2", "> ")
    if not rt.posix:
        run_source(rt, Source("short forms", short_forms.functions(tuple(host.verbs))))
    editing = asked.editing and not _is_edited_already(rt)
    rt.emacs = rt.emacs or (editing and not rt.vi)  # start-up files may choose vi, or no editing
    prepare(rt, config=asked.config, rc=asked.rc)
    link = _link(host)
    rt.typed = history = History(rt, link)
    reader = _reader(rt, host, link, history, editing=editing)
    try:
        return _lines(rt, reader, history, login=asked.login)
    except Interrupted as error:
        if error.signo == SIGHUP:
            rt.jobs.hang_up()
        raise
    finally:
        if rt.typed is not None:
            rt.typed.close()
        if rt.jobs.terminal is not None:
            rt.jobs.terminal.release()
            rt.jobs.terminal = None


def _lines(rt: Runtime, reader: Reader, history: History, *, login: bool) -> int:
    """The loop."""
    leaving = Leaving(rt)
    typed = 0
    while True:
        text: str | None = ""
        try:
            if history.notice:
                rt.error_line(f"aish: {history.notice}")
                history.notice = ""
            _before_prompt(rt)
            text = reader.read()
            terminal_size.look(rt)  # it may have changed while the line was typed
            if text is None:
                if terminal_is_gone():
                    raise Interrupted(SIGHUP)
                if not leaving.end_is_meant():
                    continue
                rt.error_line(last_word(rt))
                raise Exit(rt.status)
            rt.lines_before, typed = typed, typed + text.removesuffix("\n").count("\n") + 1
            if text.strip() and (text := _expanded(rt, reader, history, text)):
                _run(rt, reader, history, text)
            leaving.typed(text)
        except IdleError:
            rt.error_line("\atimed out waiting for input: auto-logout")
            return _left(rt, rt.status, login=login)
        except Interrupted as error:
            if error.signo == SIGHUP:
                raise
            rt.status = 128 + error.signo
            if rt.signals.traps.get(error.signo):
                run_line(rt, rt.signals.traps[error.signo])
                rt.status = 128 + error.signo
        except Exit as error:
            if leaving.is_refused():
                rt.status = rt.status if text is None else 1
                continue
            return _left(rt, error.status, login=login)


def _left(rt: Runtime, status: int, *, login: bool) -> int:
    """The end by the user's will: with `shopt -s huponexit` that of the jobs as well."""
    if login and "huponexit" in rt.shopt:
        rt.jobs.hang_up()
    return status


def _expanded(rt: Runtime, reader: Reader, history: History, text: str) -> str:
    """The command with its !events replaced; '' where there is nothing to run."""
    if not rt.histexpand or ("!" not in text and text[0] != "^"):
        return text
    from aish.lang.history_words import expand as expand_events

    try:
        found = expand_events(text, history.lines())
    except CommandError as error:
        rt.error_line(f"aish: {error.message}")
        return ""  # $? is that of the last command, as in bash
    if found.changed and "histverify" in rt.shopt and reader.offer(found.text.rstrip("\n")):
        return ""
    if found.changed:
        rt.error_line(found.text.rstrip("\n"))
    if found.print_only:
        history.shown(found.text.rstrip("\n"))
        return ""
    return found.text


def _is_command(rt: Runtime, text: str) -> bool:
    """Whether there is more than comments in it: what was typed is numbered (`\\#`), and PS0 stands before it."""
    if rt.interactive and "interactive_comments" not in rt.shopt:
        return True
    return any(line.lstrip()[:1] not in ("", "#") for line in text.splitlines())


def _run(rt: Runtime, reader: Reader, history: History, text: str) -> None:
    """Run a command that was typed, between what terminal and history are told of it."""
    if _is_command(rt, text):
        rt.prompt(expand(rt, "PS0"))
        rt.command_number += 1
    history.begins(text)
    reader.begins(text)
    begin = time.monotonic()
    try:
        if rt.pending:
            rt.signals.poll_apart()  # Ctrl-C behind Enter is for the command
        run_line(rt, text)
    except Exit as error:
        rt.status = error.status
        raise
    finally:
        duration_s = time.monotonic() - begin
        history.ended(rt.status, duration_s)
        reader.ended(text, duration_s)


def _before_prompt(rt: Runtime) -> None:
    """News of jobs, the size of the terminal, PROMPT_COMMAND."""
    rt.jobs.told.clear()
    rt.jobs.tell_news(rt)
    terminal_size.look(rt)
    if rt.pending:
        run_line(rt, ":")  # the actions of signals that came since the last command
    for command in rt.vars.elements("PROMPT_COMMAND"):
        if command:
            status, statuses = rt.status, rt.pipe_status
            try:
                run_text(rt, command, "PROMPT_COMMAND")
            except AishError as error:
                rt.report(error)
            rt.tested = rt.loops = 0
            rt.status, rt.pipe_status = status, statuses


def _link(host: ShellHost) -> Link:
    """The companion, which begins when it is first asked."""

    def serve(fd: int) -> None:
        from aish.shell.companion.answers import Answers
        from aish.shell.companion.work import serve as work

        work(fd, Answers(host.names or list, host.after or _nothing).table())

    return Link(serve)


def _nothing(words: list[str], written: str) -> None:
    """Without verbs any file may follow."""


def _is_edited_already(rt: Runtime) -> bool:
    """Whether Emacs edits the lines."""
    return rt.values.get("TERM", "dumb") in ("", "dumb", "emacs") and "INSIDE_EMACS" in rt.values


def _reader(rt: Runtime, host: ShellHost, link: Link, history: History, *, editing: bool) -> Reader:
    """prompt_toolkit on a terminal; plain reading elsewhere."""
    if os.isatty(0) and os.isatty(2) and (editing or rt.emacs or rt.vi):
        from aish.shell.prompt import Prompt

        return Prompt(rt, link, history, verbs=host.verbs)
    from aish.shell.plain import PlainReader

    return PlainReader(rt)
