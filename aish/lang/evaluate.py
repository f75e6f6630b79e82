"""Running programs: text -> complete commands, each parsed, compiled and run before the next one is read."""

from __future__ import annotations

from aish.error import AishError
from aish.lang.compile import compile_command
from aish.lang.control import CommandError, Exit, Interrupted, NothingMore, status_of
from aish.lang.runtime import MAX_CALLS
from aish.lang.signals import SIGHUP, SIGINT
from aish.lang.source import ExpansionError, ParseError, Source
from aish.lang.text import decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from aish.lang.kept_trees import KeptParser
    from aish.lang.parser import Parser
    from aish.lang.runtime import Runtime
    from aish.lang.tree import Sequence


LATE_BYTES = 4096
"""Of a sourced file that is longer, functions are compiled when they are called, and the tree is kept."""


def run_source(
    rt: Runtime,
    source: Source,
    more: Callable[[], str] | None = None,
    *,
    main: bool = False,
    last: bool = False,
    parser: Parser | KeptParser | None = None,
) -> int:
    """Run all of a source; gives the status of its last command.

    `parser`: what reads it, where that is known already.
    `main`: it is the program itself, not the text of `eval`, a trap or a sourced file.
    `last`: the process ends behind it, so that its last command may take the process over.
    It goes on behind a complete command that an ExpansionError ended, except in posix mode and in a subshell.
    Raises ParseError for the first complete command that cannot be parsed: those before it have run.
    """
    if parser is None:
        from aish.lang.parser import Parser  # here: a script whose tree is kept does without it

        parser = Parser(source, more, posix=rt.posix)
    parser.forgiving = True
    parser.warn = lambda message, at: rt.error_line(f"{source.name}:{source.line(at)}: warning: {message}")
    status = 0
    files = len(rt.files)
    while True:
        parser.posix = rt.posix
        parser.extended = "extglob" in rt.shopt
        parser.aliases = rt.aliases if rt.aliases and rt.expands_aliases() else None
        begin = parser.pos
        try:
            command = parser.next()
        except ParseError as wrong:
            if not rt.noexec or rt.interactive:
                raise
            from aish.lang.script import errors_from  # who only wants to look wants them all

            *others, final_one = errors_from(parser, wrong)
            for each in others:
                rt.report(each)
            raise final_one from None
        if rt.verbose:
            _show(rt, source.text[begin : parser.pos])
        if command is None:
            return status
        if rt.noexec and not rt.interactive:
            continue
        if rt.history and main and not rt.interactive:
            from aish.lang import script_history

            script_history.of(rt).record(source.text[begin : parser.pos])
        final = last and more is None and not source.text[parser.pos :].strip()
        status = _of_main(rt, source, command, final) if main else _recovering(rt, source, command, final, False)
        if len(rt.files) > files:
            rt.close_files(files)
        if rt.pending:
            rt.signals.poll()
        if rt.onecmd and main and not rt.from_string:
            raise Exit(rt.status)


def _show(rt: Runtime, text: str) -> None:
    """`set -v`: what was read."""
    if text:
        rt.error_line(text.removesuffix("\n"))


def _recovering(rt: Runtime, source: Source, command: Sequence, final: bool, main: bool) -> int:
    """Run a complete command; one that could not be expanded is told, and fails."""
    try:
        return compile_command(source, command, last=final)(rt)
    except (ExpansionError, CommandError) as error:
        fatal = isinstance(error, ExpansionError) and error.fatal
        if fatal or rt.posix or rt.in_subshell or (main and rt.exits):
            raise
        rt.report(error)
        rt.status = status_of(error)
        return rt.status


def _of_main(rt: Runtime, source: Source, command: Sequence, final: bool) -> int:
    """Run a complete command of the program itself."""
    try:
        return _recovering(rt, source, command, final, True)
    except NothingMore as error:
        return error.status
    except OSError as error:  # no descriptor left, perhaps not even to load a part of ours with
        rt.complain(error.strerror or str(error))
        rt.status = 1
        return 1


def run_file(rt: Runtime, path: str, data: bytes, status: os.stat_result) -> int:
    """Run a file that is sourced: `data` is its text, `status` what the system said of it before it was read.

    Raises ParseError."""
    source = Source(path, decode(data))
    if len(data) < LATE_BYTES:
        return run_source(rt, source)
    from aish.lang.kept_trees import parser_of

    source.late = True
    parser = parser_of(source, status, rt.host.tree_folder(), rt.began_s) if len(data) == status.st_size else None
    try:
        return run_source(rt, source, parser=parser)
    finally:
        if parser is not None:
            parser.close()


def run_text(rt: Runtime, text: str, name: str, *, line_shift: int = 0) -> int:
    """Run text from inside a program: `eval`, a trap. Raises ParseError."""
    rt.calls += 1
    rt.uncounted = False
    try:
        if rt.calls > MAX_CALLS:
            raise rt.too_deep()
        return run_source(rt, Source(name, text, line_shift=line_shift))
    finally:
        rt.calls -= 1


def run_line(rt: Runtime, text: str) -> int:
    """Run what was typed at a prompt: no error leaves it but the shell's own end."""
    try:
        from aish.lang.parser import Parser

        source = Source("aish", text)
        parser = Parser(source, posix=rt.posix)
        parser.comments = not rt.interactive or "interactive_comments" in rt.shopt
        status = run_source(rt, source, parser=parser)
    except AishError as error:
        rt.report(error)
        status = status_of(error)
    except Interrupted as error:
        if error.signo == SIGHUP:
            raise  # nobody is there any more
        if rt.interactive and error.signo == SIGINT:
            rt.error_line("")  # behind the ^C that the terminal has shown
        status = 128 + error.signo
    except Exception as error:  # noqa: BLE001 -- the edge of a line: told, and the prompt comes back
        status = rt.report_fault(error)
    rt.status = status
    rt.tested = rt.loops = 0
    return status
