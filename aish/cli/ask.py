"""`aish ask`: a message to an agent, and its answer; one that does not run is run for it."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING

from aish.agents import schema
from aish.agents.asked import LAST
from aish.cli import asking
from aish.cli.arguments import Parser, json_option
from aish.cli.message import message, shown
from aish.client import connect, launch
from aish.client.finding import outside
from aish.errors import AishError, ConflictError, InputError, NotFoundError
from aish.wire.message import AwaitResponse, Send
from aish.wire.reply import Mail, Sent

if TYPE_CHECKING:
    from aish.agents.asked import Asked


def main(argv: list[str]) -> int:
    parser = Parser(
        "ask",
        "Ask an agent and wait for its answer, which is all that stdout gets; the exit status is that of its turn.\n"
        "One that runs reads it as a message (`aish send --wait`); one that does not is run for this one question.",
        "examples: aish ask @coder what is left to do        aish ask @summarise < notes.md\n"
        "          aish ask --schema issue.json @sort < mail.txt        aish ask --continue @claude and now?",
    )
    asking.options(parser)
    parser.add_argument("target", metavar="AGENT", help="an id (p12) or a name, with or without @")
    parser.add_argument("words", nargs="*", metavar="WORD", help="the question; what stdin has follows it")
    json_option(parser)
    options = parser.parse_args(argv)
    asked = asking.asked(options)
    by = None if asked.schema is None else schema.of_word(asked.schema, launch.folder())
    with connect(start=outside(), program="ask") as client:
        text = message(options.words)
        written = None if by is None else json.dumps(by)
        request = Send(token=secrets.token_hex(16), target=options.target, text=text, schema=written)
        try:
            if asked.session not in (None, LAST):  # who runs has a conversation of its own
                _run(options.target, text, asked, NotFoundError(f"no agent is called {options.target}"))
            sent = client.ask(Sent, request)
        except (NotFoundError, ConflictError) as error:
            _run(options.target, text, asked, error)
        mail = client.ask(Mail, AwaitResponse(number=sent.number)).mail
    status = shown("ask", mail, as_json=options.json)
    wrong = schema.flaw(by, mail.answer) if by is not None and mail is not None and mail.answer else None
    if not status and wrong is not None:
        raise InputError(
            f"the answer is not by the schema: {wrong}", hint="it is what reads mail that has to keep to it"
        )
    return status


def _run(target: str, text: str, asked: Asked, why_not: AishError) -> None:
    """It does not run: run it, and end as it ends. Raises `why_not` where there is no such agent either."""
    from aish.agents.stub import resolve
    from aish.client import stage

    try:
        part = resolve(target, ["--", text], asked=asked)
    except NotFoundError:
        raise why_not from None
    stage.leave(stage.run(part, launch.capture(), (0, 1, 2)))
