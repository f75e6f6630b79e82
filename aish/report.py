"""How an error looks to a person: one line of what happened, the place if it has one, one line of what to do."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.errors import AishError


class _Told:
    """How errors are told now: a verb's parts, a stage among them, report theirs from within."""

    as_json = False


def told_as_json(on: bool) -> bool:
    """From now on errors are one line of JSON each, or text; how it was before."""
    before, _Told.as_json = _Told.as_json, on
    return before


def report(program: str, error: AishError) -> None:
    """Write the error to stderr. Control characters in names that others chose are made harmless."""
    if _Told.as_json:
        return _report_json(error)
    lines = [f"{program}: {error}"]
    source_line = getattr(error, "source_line", None)
    if source_line:
        lines.append(f"    {source_line.rstrip()}")
        column = getattr(error, "column", None)
        if column:
            lines.append("    " + " " * (column - 1) + "^")
    if error.hint:
        lines.append(f"  {error.hint}")
    try:
        print("\n".join(clean(line) for line in lines), file=sys.stderr, flush=True)
    except OSError:
        pass  # nobody reads stderr any more: the exit status still tells


def _report_json(error: AishError) -> None:
    """For who asked with --json: the same facts, as one line of JSON."""
    import json

    try:
        print(json.dumps({"error": told(error)}, ensure_ascii=False), file=sys.stderr, flush=True)
    except OSError:
        pass  # nobody reads stderr any more: the exit status still tells


def told(error: AishError) -> dict[str, object]:
    """The error as --json has it: the stable word, one line of what happened, one of what to do."""
    return {"code": error.code, "message": str(error), "hint": error.hint}


def clean(text: str) -> str:
    """`text` with control characters shown as escapes: what others named must not steer a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\t" else repr(c)[1:-1] for c in text)
