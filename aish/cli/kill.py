"""`aish kill`: a signal to the process group."""

from __future__ import annotations

import signal

from aish.cli.arguments import Parser, json_option, targets
from aish.cli.each import each
from aish.errors import UsageError
from aish.model.signal_number import signal_number
from aish.wire.message import Signal


def main(argv: list[str]) -> int:
    argv = [f"--signal={word[1:]}" if _short(word) else word for word in argv]
    parser = Parser("kill", "Send a signal to processes and their groups; TERM unless told otherwise.")
    parser.add_argument("-s", "--signal", default="TERM", metavar="SIGNAL", help="name or number; also -9, -INT")
    targets(parser, labels=True, tree=True)
    json_option(parser)
    options = parser.parse_args(argv)
    if len(options.target) > 1 and _is_signal(options.target[-1]):
        raise UsageError("a signal is an option", hint="aish kill -s NAME PROCESS…, or aish signal PROCESS… NAME")
    number = signal_number(options.signal)
    return each("kill", options, lambda target: Signal(target=target, signal=number))


def _short(word: str) -> bool:
    """-9, -KILL and -SIGKILL, as kill(1) takes them."""
    return len(word) > 1 and word[0] == "-" and (word[1:].isdecimal() or (word[1:].isupper() and len(word) > 2))


def _is_signal(word: str) -> bool:
    return f"SIG{word.removeprefix('SIG')}" in signal.Signals.__members__
