"""`aish respond`: for a script that is an agent: its answer to a message."""

from __future__ import annotations

from aish.agents import stdin
from aish.cli.arguments import Parser, json_option
from aish.cli.mail import number_of
from aish.cli.output import print_json
from aish.client import connect
from aish.wire.message import Respond
from aish.wire.reply import Done


def main(argv: list[str]) -> int:
    parser = Parser("respond", "For a supervised script: answer a message that it has received.")
    parser.add_argument("number", metavar="mN", help="the number that `aish receive` told")
    parser.add_argument("words", nargs="*", metavar="WORD", help="the answer; without words it is what stdin has")
    parser.add_argument("--status", type=int, default=0, metavar="N", help="the exit status that the asker gets (0)")
    json_option(parser)
    options = parser.parse_args(argv)
    number = number_of(options.number)
    text = " ".join(options.words) or stdin.read(0, out_fd=2).text
    with connect(start=False, program="respond") as client:
        done = client.ask(Done, Respond(number=number, text=text, status=options.status))
    if options.json:
        print_json(done)
    return 0
