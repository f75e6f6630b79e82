"""Errors as people see them: place, message, the line with a caret, what to do next.

build.aish:3:6: x: parameter not set
  echo $x
       ^~
  hint: ${x-} allows it to be unset
"""

from __future__ import annotations

from aish.error import SourceError
from aish.lang.control import CommandError
from aish.lang.source import WINDOWS, ParseError, ScriptError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.error import AishError
    from aish.lang.runtime import Runtime
    from aish.lang.source import Site

_WIDEST = 160
"""Columns of a source line that are shown around the place."""


def render(error: AishError) -> str:
    """The lines for any error; a SourceError's with its place."""
    lines = [str(error)]
    if isinstance(error, SourceError) and error.source_line is not None and error.column is not None:
        width = error.end - error.start if isinstance(error, ScriptError) else 1
        lines += excerpt(error.source_line, error.column, width)
    if error.hint:
        lines.append(f"  hint: {error.hint}")
    if isinstance(error, ParseError) and "\r\n" in error.source.text:
        lines.append(f"  hint: {WINDOWS}")
    return "\n".join(lines)


def excerpt(line: str, column: int, width: int) -> list[str]:
    """The source line and a caret below `column` (from 1), cut to what fits a screen."""
    begin = 0 if column <= _WIDEST else column - _WIDEST // 2
    shown = line[begin : begin + _WIDEST]
    at = column - 1 - begin
    pad = "".join(["\t" if char == "\t" else " " for char in shown[:at]])
    tail = min(max(width, 1), max(len(shown) - at, 1)) - 1
    return [
        "  " + "".join([char if char.isprintable() or char == "\t" else "?" for char in shown]),
        f"  {pad}^{'~' * tail}",
    ]


def report(rt: Runtime, error: AishError) -> str:
    """What `Runtime.report` writes."""
    if isinstance(error, SourceError):
        return render(error)
    return complaint(rt, error.message, error.hint)


def complaint(rt: Runtime, message: str, hint: str | None) -> str:
    """What `Runtime.complain` writes: the place is the command that is being run."""
    lines = [f"{place(rt, rt.at)}{message}"]
    if hint:
        lines.append(f"  hint: {hint}")
    return "\n".join(lines)


def place(rt: Runtime, site: Site | None) -> str:
    """`file:line:column: `; just `aish: ` at the prompt, where the line is in view."""
    if site is None or (rt.interactive and not rt.calls):
        return "aish: "
    source = site.source
    return f"{source.name}:{source.line(site.start)}:{source.column(site.start)}: "


def command_error(rt: Runtime, name: str, error: CommandError) -> str:
    """A built-in's own complaint."""
    return complaint(rt, f"{name}: {error.message}", error.hint)


def fault(rt: Runtime, error: BaseException) -> str:
    """What `Runtime.report_fault` writes: one line that a report can quote, and no traceback."""
    if isinstance(error, MemoryError):
        return complaint(rt, "out of memory", None)
    if isinstance(error, RecursionError):
        return complaint(rt, "the commands are nested too deeply", None)
    if isinstance(error, OSError):
        return complaint(rt, error.strerror or str(error), None)
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = "" if trace is None else f" in {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
    return complaint(rt, f"a fault in aish: {type(error).__name__}: {error}{where}", "please report this line")


def not_run(rt: Runtime, name: str, error: CommandError) -> str:
    """A command word that could not be run: the line is shown, as for a syntax error."""
    site = rt.at
    shown = "".join(["?" if char < " " or char in "\x7f\ufeff" else char for char in name])
    lines = [f"{place(rt, site)}{shown}: {error.message}"]
    if site is not None and not (rt.interactive and not rt.calls):
        lines += excerpt(site.source.line_text(site.start), site.source.column(site.start), site.end - site.start)
    hint = WINDOWS if name.endswith("\r") else error.hint
    if hint:
        lines.append(f"  hint: {hint}")
    return "\n".join(lines)
