"""`aish cont`."""

from __future__ import annotations

from aish.cli.arguments import Parser, targets
from aish.cli.each import each
from aish.wire.message import Cont


def main(argv: list[str]) -> int:
    parser = Parser("cont", "Let paused processes go on.")
    targets(parser)
    return each("cont", parser.parse_args(argv).target, lambda target: Cont(target=target))
