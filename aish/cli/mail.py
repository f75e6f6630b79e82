"""`aish mail`: messages to agents, and what has become of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aish.cli.arguments import Parser, json_option
from aish.cli.message import shown
from aish.cli.output import age, print_json, print_table
from aish.client import connect
from aish.client.finding import recorded
from aish.errors import UsageError
from aish.wire.message import AwaitResponse, MailQuery
from aish.wire.reply import Mail, MailList

if TYPE_CHECKING:
    from aish.wire.mail import MailPart

_TEXT_CHARS = 60


def main(argv: list[str]) -> int:
    parser = Parser(
        "mail", "Show messages to agents, oldest first; with a number wait for its answer and print that."
    )
    parser.add_argument("target", nargs="?", metavar="AGENT|mN", help="only those to this one, or that one alone")
    json_option(parser)
    options = parser.parse_args(argv)
    number = (options.target or "").removeprefix("m")
    with connect(start=recorded(), program="mail") as client:
        if number.isascii() and number.isdigit() and options.target.startswith("m"):
            mail = client.ask(Mail, AwaitResponse(number=int(number))).mail
            return shown("mail", mail, as_json=options.json)
        found = client.ask(MailList, MailQuery(target=options.target)).mail
    if options.json:
        print_json(found)
    elif found:
        print_table(("M", "FROM", "TO", "AGE", "STATE", "TEXT"), [_cells(part) for part in found], ("AGE",))
    return 0


def _cells(part: MailPart) -> tuple[str, ...]:
    text = " ".join(part.text.split())
    short = text if len(text) <= _TEXT_CHARS else text[: _TEXT_CHARS - 1] + "…"
    state = part.state if not part.status else f"{part.state} {part.status}"
    return f"m{part.number}", part.sender_name or "you", part.to_name, age(part.sent_s), state, short


def number_of(word: str) -> int:
    """The number that m7 is. Raises UsageError."""
    number = word.removeprefix("m")
    if not (number.isascii() and number.isdigit()):
        raise UsageError(f"{word}: expected the number of a message, such as m7", hint="`aish receive` told it")
    return int(number)
