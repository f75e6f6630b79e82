"""`aish next`: what needs a person, oldest first."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from aish.cli.arguments import Parser, json_option
from aish.cli.output import age, json_line, print_json, print_table
from aish.client import Aish, connect
from aish.client.finding import recorded
from aish.errors import NotFoundError
from aish.model import state
from aish.report import clean
from aish.top.answering import answer_new, go_through, waiting

if TYPE_CHECKING:
    from aish.client import Client
    from aish.wire.question import QuestionPart

_NEWS: Final = ("asked", "exited", "failed", "lost", "ended")


def main(argv: list[str]) -> int:
    parser = Parser(
        "next",
        "Go through all that agents ask, oldest first: the question, the command or diff, and one key answers it.\n"
        "Off a terminal, or with --list, they are only listed. With -f it goes on with what will be asked: of one\n"
        "process until that has ended.",
    )
    parser.add_argument(
        "target", nargs="?", metavar="PROCESS", help="only what that one asks, and what it has started"
    )
    parser.add_argument("--list", action="store_true", help="list them, answer none")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what will be asked")
    json_option(parser)
    options = parser.parse_args(argv)
    listed = options.json or options.list or not (os.isatty(0) and os.isatty(1))
    with connect(start=options.follow or recorded(), program="next") as client:
        if options.follow:
            _follow(client, options.target, listed=listed, as_json=options.json)
        elif listed:
            _list(waiting(client, options.target), as_json=options.json)
        else:
            go_through(client, options.target)
    return 0


def _follow(client: Client, target: str | None, *, listed: bool, as_json: bool) -> None:
    seen: set[int] = set()
    with Aish(start=False, program="next") as aish:
        since = max((event.number for event in aish.events(last=1)), default=0)
        target = None if target is None else aish.process(target).id  # a name may be another's later
        news = aish.events(since=since, follow=True, kinds=_NEWS)
        try:
            while True:
                if not listed:
                    if not answer_new(client, target, seen):
                        return
                else:
                    for part in waiting(client, target):
                        if part.number not in seen:
                            seen.add(part.number)
                            print(json_line(part) if as_json else _line(part), flush=True)
                if target is not None and aish.inspect(target).process.lifecycle in state.ENDED:
                    return
                next(news)
        except NotFoundError:
            return  # forgotten meanwhile


def _line(part: QuestionPart) -> str:
    return clean(f"q{part.number}  {part.name} ({part.process})  {part.told()}  [{_options(part)}]")


def _list(questions: list[QuestionPart], *, as_json: bool) -> None:
    if as_json:
        print_json(questions)
    elif questions:
        rows = [
            (f"q{part.number}", part.process, part.name, age(part.asked_s), part.told(), _options(part))
            for part in questions
        ]
        print_table(("Q", "ID", "NAME", "AGE", "QUESTION", "ANSWERS"), rows, ("AGE",))


def _options(part: QuestionPart) -> str:
    return ", ".join([*(option.id for option in part.options), *(["words"] if part.words else [])])
