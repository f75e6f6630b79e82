"""`aish send`: a message to an agent that runs."""

from __future__ import annotations

import secrets

from aish.cli.arguments import Parser, json_option
from aish.cli.message import message, shown
from aish.cli.output import print_json
from aish.client import connect
from aish.wire.message import AwaitResponse, Send
from aish.wire.reply import Mail, Sent


def main(argv: list[str]) -> int:
    parser = Parser(
        "send",
        "Put a message into the mail of an agent that runs: it reads it when its turn is over. The message outlives\n"
        "every death of the supervisor. Prints its number; `aish mail` shows what has become of it.",
        "examples: aish send @coder now the tests, too        git diff | aish send @reviewer --wait",
    )
    parser.add_argument("target", metavar="AGENT", help="an id (p12) or a name, with or without @")
    parser.add_argument("words", nargs="*", metavar="WORD", help="the message; what stdin has follows it")
    parser.add_argument("-w", "--wait", action="store_true", help="wait for its answer and print that")
    json_option(parser)
    options = parser.parse_args(argv)
    text = message(options.words)
    with connect(start=False, program="send") as client:
        sent = client.ask(Sent, Send(token=secrets.token_hex(16), target=options.target, text=text))
        if options.wait:
            mail = client.ask(Mail, AwaitResponse(number=sent.number)).mail
            return shown("send", mail, as_json=options.json)
    if options.json:
        print_json(sent)
    else:
        print(f"m{sent.number}")
    return 0
