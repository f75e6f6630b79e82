"""`aish next`: what needs a person, oldest first: the question, what it is about, one key."""

from __future__ import annotations

import os
import sys
import termios
import tty
from typing import TYPE_CHECKING, Final

from aish.cli.arguments import Parser, json_option
from aish.cli.output import age, print_json, print_table
from aish.client import connect
from aish.client.finding import recorded
from aish.client.reply import keys
from aish.errors import ConflictError, NotFoundError
from aish.report import clean
from aish.wire.message import Answer, Questions
from aish.wire.question import DIFF
from aish.wire.reply import Answered, QuestionList

if TYPE_CHECKING:
    from aish.client import Client
    from aish.client.reply import Key
    from aish.wire.question import QuestionPart

BODY_LINES: Final = 30
"""Shown at first; `v` shows all."""
_SKIP, _VIEW, _QUIT = "s", "v", "q"
_COLOURS: Final = {"+": "\x1b[32m", "-": "\x1b[31m", "@": "\x1b[36m"}


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
            return _listed(_waiting(client, options.target), as_json=options.json)
        return _go_through(client, options.target)


def _waiting(client: Client, target: str | None) -> list[QuestionPart]:
    return client.ask(QuestionList, Questions(target=target)).questions


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


def _go_through(client: Client, target: str | None) -> int:
    """Until nothing is left that was not skipped; new ones come behind."""
    seen: set[int] = set()
    while True:
        waiting = _waiting(client, target)
        left = [part for part in waiting if part.number not in seen]
        if not left:
            skipped = len(waiting)
            print("nobody needs you" if not skipped else f"{skipped} skipped, still waiting")
            return 0
        seen.add(left[0].number)
        if not _one(client, left[0], len(left)):
            return 0


def _one(client: Client, part: QuestionPart, left: int) -> bool:
    """Show it and do what the key says. False: leave."""
    print(f"\n\x1b[1mq{part.number}  {clean(part.name)} ({part.process})\x1b[0m  {age(part.asked_s)} ago", end="")
    print(f"  [{left} to go]" if left > 1 else "")
    print(f"\x1b[1m{clean(part.told())}\x1b[0m")
    lines = part.body.splitlines()
    _show(part, lines[:BODY_LINES])
    offered = keys(part)
    hidden = len(lines) - BODY_LINES
    while True:
        _offer(offered, hidden)
        key = _key()
        found = [each for each in offered if each.key == key]
        if found:
            reply = _answer(found[0])
            if reply is not None:
                _send(client, part, reply)
                return True
        elif key == _VIEW and hidden > 0:
            _show(part, lines[BODY_LINES:])
            hidden = 0
        elif key == _SKIP:
            return True
        elif key in (_QUIT, "", "\x04"):
            return False


def _show(part: QuestionPart, lines: list[str]) -> None:
    for line in lines:
        colour = _COLOURS.get(line[:1], "") if part.form == DIFF else ""
        print(f"  {colour}{clean(line)}{colour and chr(27) + '[0m'}")


def _offer(offered: list[Key], hidden: int) -> None:
    words = [f"[{key.key}] {clean(key.label)}" for key in offered]
    words += [f"[{_VIEW}] view {hidden} more lines"] if hidden > 0 else []
    print("  ".join([*words, f"[{_SKIP}] skip", f"[{_QUIT}] quit"]), end=" ", flush=True)


def _key() -> str:
    """One key, without Enter. Empty at the end of input."""
    before = termios.tcgetattr(0)
    try:
        tty.setcbreak(0)
        found = os.read(0, 1).decode("ascii", "replace")
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
    print(found if found.isprintable() else "")
    return found


def _answer(key: Key) -> Answer | None:
    """None: the person thought better of it."""
    if key.option is not None:
        return Answer(number=0, option=key.option)
    print("your answer (empty: none): ", end="", flush=True)
    words = sys.stdin.readline().strip()
    return Answer(number=0, words=words) if words else None


def _send(client: Client, part: QuestionPart, reply: Answer) -> None:
    """It may have been answered from elsewhere, or its asker has ended."""
    try:
        client.ask(Answered, Answer(number=part.number, option=reply.option, words=reply.words))
    except (ConflictError, NotFoundError) as error:
        print(f"too late: {error}")
