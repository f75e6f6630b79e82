"""`aish cont`."""

from __future__ import annotations

from aish.cli.arguments import Parser, json_option, targets
from aish.cli.each import each
from aish.wire.message import Cont


def main(argv: list[str]) -> int:
    parser = Parser("cont", "Let paused and parked processes go on.")
    targets(parser, labels=True, tree=True)
    json_option(parser)
    options = parser.parse_args(argv)
    return each("cont", options, lambda target: Cont(target=target))
