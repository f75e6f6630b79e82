"""The options about one run of an agent, shared by run, spawn, ask and map: its answer's schema, its conversation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aish.agents import schema
from aish.agents.asked import CONTINUE, LAST, SESSION, Asked
from aish.errors import UsageError

if TYPE_CHECKING:
    from argparse import Namespace

    from aish.cli.arguments import Parser


def options(parser: Parser) -> None:
    parser.add_argument(
        schema.OPTION,
        metavar="FILE|JSON",
        help="of an agent or model: its answer is a JSON object by that JSON schema",
    )
    parser.add_argument(
        SESSION,
        metavar="ID",
        help=f"of an agent: the conversation to go on with, in its program's word for it; {LAST}: its last one here",
    )
    parser.add_argument(CONTINUE, action="store_true", help=f"{SESSION} {LAST}")


def asked(options: Namespace) -> Asked:
    """Raises UsageError."""
    if getattr(options, "continue") and options.session not in (None, LAST):
        raise UsageError(f"{CONTINUE} and {SESSION} {options.session}", hint=f"{CONTINUE} is {SESSION} {LAST}")
    for option, value in ((schema.OPTION, options.schema), (SESSION, options.session)):
        if value == "":
            raise UsageError(f"{option} is empty")
    return Asked(options.schema, LAST if getattr(options, "continue") else options.session)
