"""`aish receive`: for a script that is an agent: its next message."""

from __future__ import annotations

import sys

from aish.cli.arguments import Parser
from aish.cli.output import json_line
from aish.client import connect
from aish.errors import TimedOutError
from aish.wire.message import Receive
from aish.wire.reply import Mail


def main(argv: list[str]) -> int:
    parser = Parser(
        "receive",
        "For a supervised script: wait for its oldest message that is not answered, and print its number on the\n"
        "first line and its text below. `aish respond mN` answers it; until then it comes again.",
        'example: while message=$(aish receive); do … | aish respond "${message%%[[:space:]]*}"; done',
    )
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="give up after that time, with 124")
    parser.add_argument("--json", action="store_true", help="the message as one line of JSON")
    options = parser.parse_args(argv)
    with connect(start=False, program="receive") as client:
        mail = client.ask(Mail, Receive(timeout_s=options.timeout)).mail
    if mail is None:
        raise TimedOutError(f"no message within {options.timeout:g} s")
    if options.json:
        print(json_line(mail))
    else:
        sys.stdout.write(f"m{mail.number}\n{mail.text}\n")
    return 0
