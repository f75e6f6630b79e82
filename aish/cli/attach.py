"""`aish attach`: this terminal at a process that has one of its own."""

from __future__ import annotations

import os
import sys

from aish.cli.arguments import Parser, targets
from aish.cli.output import json_line
from aish.client import stage, terminal
from aish.errors import UsageError


def main(argv: list[str]) -> int:
    """0 after detaching; else it ends as the process ended, and does not return."""
    parser = Parser(
        "attach",
        "Attach this terminal to a process that `aish run` or `aish spawn --pty` started, now or long ago.\n"
        "One terminal at a time types and sets the size, others only show. Ctrl-] d detaches; the process goes on.",
        'config.toml: [attach] detach = "ctrl-] d"',
    )
    parser.add_argument("--read-only", action="store_true", help="only show: keys do not reach it")
    parser.add_argument("--take", action="store_true", help="take over from the terminal that types now")
    parser.add_argument("-n", "--lines", type=int, metavar="N", help="its last N lines first; default: a screenful")
    parser.add_argument("--json", action="store_true", help="at its end, one line of JSON on stderr: how it ended")
    targets(parser, many=False)
    options = parser.parse_args(argv)
    if options.lines is not None and options.lines < 0:
        raise UsageError(f"--lines must not be negative: {options.lines}")
    if options.read_only and options.take:
        raise UsageError("--take is for typing: it says nothing with --read-only")
    if not (os.isatty(0) and os.isatty(1)):
        raise UsageError("attach needs a terminal", hint=f"`aish logs -f {options.target}` shows its output anywhere")
    end = terminal.attach(options.target, write=not options.read_only, take=options.take, lines=options.lines)
    if options.json:
        print(json_line({"exit": end}), file=sys.stderr, flush=True)
    if end is not None:
        stage.leave(end)
    return 0
