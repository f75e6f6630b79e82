"""`aish confirm`: for a script that is an agent: the person's permission for what it is about to do."""

from __future__ import annotations

from typing import Final

from aish.agents import stdin
from aish.cli.arguments import Parser, json_option
from aish.cli.output import print_json
from aish.client import Aish
from aish.errors import RefusedError
from aish.wire import question as q

DENIED: Final = RefusedError.exit_status


def main(argv: list[str]) -> int:
    parser = Parser(
        "confirm",
        "For a supervised script: ask the person for a permission, and wait for the answer. The exit status is 0\n"
        f"where it is given, {DENIED} where it is denied. `aish next` shows QUESTION, and below it what stdin has.\n"
        "An answer in words is no permission: stdout gets them.",
        "example: aish confirm 'run: make test' && make test",
    )
    parser.add_argument("question", nargs="+", metavar="QUESTION", help="what it wants to do, in one line")
    parser.add_argument(
        "--form", default=q.TEXT, choices=q.FORMS, help="what stdin has: text (default), command, diff"
    )
    json_option(parser)
    options = parser.parse_args(argv)
    body = stdin.read(0, out_fd=1).text if stdin.is_given(0) else ""
    with Aish(start=False, program="confirm") as aish:
        answer = aish.ask_person(" ".join(options.question), body=body, form=options.form, words=True)
    if options.json:
        print_json(answer)
    elif answer.words:
        print(answer.words)
    return 0 if answer.option == q.ALLOW else DENIED
