"""`aish start`: what has ended runs again, under the same id and name, with the surroundings of here."""

from __future__ import annotations

from aish.cli.arguments import Parser, json_option, targets
from aish.cli.each import each
from aish.client import launch
from aish.wire.message import Start


def main(argv: list[str]) -> int:
    parser = Parser("start", "Start ended processes again: same id, name and logs, with the environment of here.")
    targets(parser, labels=True)
    json_option(parser)
    options = parser.parse_args(argv)
    here = launch.capture()
    return each("start", options, lambda target: Start(target=target, launch=here), ended=True, gone=True)
