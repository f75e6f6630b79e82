"""`aish pause`."""

from __future__ import annotations

from aish.cli.arguments import Parser, json_option, targets
from aish.cli.each import each
from aish.wire.message import Pause


def main(argv: list[str]) -> int:
    parser = Parser("pause", "Stop processes (SIGSTOP) until cont lifts it.")
    targets(parser, labels=True, tree=True)
    json_option(parser)
    options = parser.parse_args(argv)
    return each("pause", options, lambda target: Pause(target=target))
