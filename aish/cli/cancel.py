"""`aish cancel`: the turn of an agent that is under way ends; the agent does not, where it reads mail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aish.cli.arguments import Parser, json_option, targets
from aish.cli.each import chosen, for_each
from aish.client import connect
from aish.errors import UsageError
from aish.model import kind, state
from aish.wire.message import Cancel, Snapshot
from aish.wire.reply import Done, View

if TYPE_CHECKING:
    from argparse import Namespace

    from aish.client import Client


def main(argv: list[str]) -> int:
    parser = Parser(
        "cancel",
        "End the turns of agents that are under way, as Ctrl-C does; their programs are told in their own way. An\n"
        "agent that reads mail goes on with its next message; one that was started for this turn ends, reason\n"
        "cancelled.",
        "examples: aish cancel @coder        aish cancel --all",
    )
    parser.add_argument("--all", action="store_true", help="all agents that run")
    targets(parser, labels=True)
    json_option(parser)
    options = parser.parse_args(argv)
    with connect(start=False, program="cancel") as client:

        def act(target: str) -> object:
            done = client.ask(Done, Cancel(target=target))
            if not done.changed and not options.json and not options.all:
                print(f"{target.removeprefix('@')}: no turn is under way")
            return {"changed": done.changed}

        return for_each("cancel", _names(client, options), act, as_json=options.json)


def _names(client: Client, options: Namespace) -> list[str]:
    """Raises UsageError."""
    if not options.all:
        return chosen(client, options)
    if options.target or options.label:
        raise UsageError("--all, or names or labels", hint="one of them")
    rows = client.ask(View, Snapshot(figures=False)).processes
    return [
        row.id
        for row in rows
        if row.kind == kind.AGENT and row.lifecycle == state.RUNNING and state.USER not in row.holds
    ]
