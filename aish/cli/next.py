"""`aish next`: what needs a person, oldest first."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from aish.cli.arguments import Parser, json_option
from aish.cli.output import age, print_json, print_table
from aish.client import connect
from aish.client.finding import recorded
from aish.top.answering import go_through, waiting

if TYPE_CHECKING:
    from aish.wire.question import QuestionPart


def main(argv: list[str]) -> int:
    parser = Parser(
        "next",
        "Go through all that agents ask, oldest first: the question, the command or diff, and one key answers it.\n"
        "Off a terminal, or with --list, they are only listed.",
    )
    parser.add_argument("target", nargs="?", metavar="PROCESS", help="only what that one asks")
    parser.add_argument("--list", action="store_true", help="list them, answer none")
    json_option(parser)
    options = parser.parse_args(argv)
    with connect(start=recorded(), program="next") as client:
        if options.json or options.list or not (os.isatty(0) and os.isatty(1)):
            return _listed(waiting(client, options.target), as_json=options.json)
        go_through(client, options.target)
    return 0


def _listed(questions: list[QuestionPart], *, as_json: bool) -> int:
    if as_json:
        print_json(questions)
    elif questions:
        rows = [
            (f"q{part.number}", part.process, part.name, age(part.asked_s), part.told(), _options(part))
            for part in questions
        ]
        print_table(("Q", "ID", "NAME", "AGE", "QUESTION", "ANSWERS"), rows, ("AGE",))
    return 0


def _options(part: QuestionPart) -> str:
    return ", ".join([*(option.id for option in part.options), *(["words"] if part.words else [])])
