"""`aish ask`: a message to an agent, and its answer; one that does not run is run for it."""

from __future__ import annotations

import secrets

from aish.cli.arguments import Parser, json_option
from aish.cli.message import message, shown
from aish.client import connect
from aish.errors import AishError, ConflictError, NotFoundError
from aish.wire.message import AwaitResponse, Send
from aish.wire.reply import Mail, Sent


def main(argv: list[str]) -> int:
    parser = Parser(
        "ask",
        "Ask an agent and wait for its answer, which is all that stdout gets; the exit status is that of its turn.\n"
        "One that runs reads it as a message (`aish send --wait`); one that does not is run for this one question.",
        "examples: aish ask @coder what is left to do        aish ask @summarise < notes.md",
    )
    parser.add_argument("target", metavar="AGENT", help="an id (p12) or a name, with or without @")
    parser.add_argument("words", nargs="*", metavar="WORD", help="the question; what stdin has follows it")
    json_option(parser)
    options = parser.parse_args(argv)
    with connect(program="ask") as client:
        text = message(options.words)
        request = Send(token=secrets.token_hex(16), target=options.target, text=text)
        try:
            sent = client.ask(Sent, request)
        except (NotFoundError, ConflictError) as error:
            _run(options.target, text, error)
        mail = client.ask(Mail, AwaitResponse(number=sent.number)).mail
    return shown("ask", mail, as_json=options.json)


def _run(target: str, text: str, why_not: AishError) -> None:
    """It does not run: run it, and end as it ends. Raises `why_not` where there is no such agent either."""
    from aish.agents.stub import resolve
    from aish.client import launch, stage

    try:
        part = resolve(target, [text])
    except NotFoundError:
        raise why_not from None
    stage.leave(stage.run(part, launch.capture(), (0, 1, 2)))
