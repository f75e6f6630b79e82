"""`aish switch`: another model answers an agent from its next request on."""

from __future__ import annotations

import sys

from aish.cli.arguments import Parser, json_option
from aish.cli.each import each
from aish.client import connect
from aish.errors import UsageError
from aish.model.nearest import nearest
from aish.report import clean
from aish.store import names
from aish.wire.message import Snapshot, Switch
from aish.wire.reply import View


def main(argv: list[str]) -> int:
    parser = Parser(
        "switch",
        "Have another model answer agents from their next request on, whatever they ask for: without a restart, in\n"
        "the middle of a conversation, and without the program's knowing. Vectors stay those of the asked model.",
        "examples: aish switch @coder --model qwen3-32b        aish switch @coder --back",
    )
    parser.add_argument("target", nargs="+", metavar="PROCESS", help="an id (p12) or a name, with or without @")
    parser.add_argument("--model", metavar="MODEL", help="that one")
    parser.add_argument("--back", action="store_true", help="the one that it asks for again")
    json_option(parser)
    options = parser.parse_args(argv)
    if (options.model is None) == (not options.back):
        raise UsageError("to which model?", hint="--model NAME, or --back")
    if options.model is not None:
        _doubt(options.model)
    return each("switch", options, lambda target: Switch(target=target, model=options.model))


def _doubt(model: str) -> None:
    """A model that nobody knows may be one that its server has by another name: told, not refused."""
    with connect(start=False, program="switch") as client:
        running = {row.name for row in client.ask(View, Snapshot()).processes if row.kind == "model"}
    known = running | set(names()) | {"default"}
    if model not in known and not any("*" in name for name in running):
        near = nearest(model, sorted(known))
        hint = f": did you mean {near}?" if near else ""
        print(f"aish switch: no model {clean(model)} is here yet{hint}", file=sys.stderr)
