"""`aish pause`."""

from __future__ import annotations

from aish.cli.arguments import Parser, targets
from aish.cli.each import each
from aish.wire.message import Pause


def main(argv: list[str]) -> int:
    parser = Parser("pause", "Stop processes (SIGSTOP) until cont lifts it.")
    targets(parser)
    return each("pause", parser.parse_args(argv).target, lambda target: Pause(target=target))
