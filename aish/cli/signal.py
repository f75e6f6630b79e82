"""`aish signal`: a signal to processes, and nothing else."""

from __future__ import annotations

from aish.cli.arguments import Parser, json_option, targets
from aish.cli.each import each
from aish.errors import UsageError
from aish.model.signal_number import signal_number
from aish.wire.message import Signal


def main(argv: list[str]) -> int:
    parser = Parser(
        "signal",
        "Send a signal to processes and their groups, and nothing else: one that does not run yet is not stopped by\n"
        "it, as `aish kill` does.",
        "example: aish signal web worker HUP",
    )
    parser.usage = f"{parser.prog} [OPTION …] PROCESS… SIGNAL"
    targets(parser, labels=True)
    json_option(parser)
    options = parser.parse_args(argv)
    if not options.target:
        raise UsageError("which signal?", hint="its name or number is the last word: aish signal web HUP")
    number = signal_number(options.target.pop())
    return each("signal", options, lambda target: Signal(target=target, signal=number, bare=True))
