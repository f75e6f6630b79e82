"""`aish answer`: what an agent asks the person is answered, at once or before the person looks at anything else."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from aish.cli.arguments import Parser, json_option
from aish.cli.output import print_json
from aish.client import connect
from aish.client.reply import chosen
from aish.errors import ConflictError, NotFoundError, UsageError
from aish.report import clean
from aish.wire.message import Answer, Questions
from aish.wire.reply import Answered, QuestionList

if TYPE_CHECKING:
    from aish.client import Client
    from aish.wire.question import QuestionPart


def main(argv: list[str]) -> int:
    began_s = time.time()
    parser = Parser(
        "answer",
        "Answer what an agent asks: its question, or the one with that number. ANSWER is allow, deny, an\n"
        "option of it, or words where it takes them. Only you answer; no process does, for itself or another.",
        "examples: aish answer @coder allow        aish answer q7 deny        aish answer @coder use port 8081",
    )
    parser.add_argument("who", metavar="PROCESS|qN", help="who asks, or the number of the question: aish next")
    parser.add_argument("said", nargs="+", metavar="ANSWER", help="allow, deny, an option, words")
    parser.add_argument("--always", action="store_true", help="for the rest of its work, where it offers that")
    json_option(parser)
    options = parser.parse_args(argv)
    with connect(start=False, program="answer") as client:
        question = find(client, options.who, began_s)
        reply = chosen(question, " ".join(options.said), always=options.always)
        request = Answer(number=question.number, option=reply.option, words=reply.words)
        done = client.ask(Answered, request).question
    if options.json:
        print_json(done)
    return 0


def find(client: Client, who: str, began_s: float) -> QuestionPart:
    """The question with that number, or the only one of that process, which stood there at `began_s`: what it has
    asked since is not what the person has answered. Raises NotFoundError, UsageError, ConflictError."""
    number = who.removeprefix("q") if who.startswith("q") else ""
    if number.isascii() and number.isdigit():
        found = [part for part in client.ask(QuestionList, Questions()).questions if part.number == int(number)]
        if not found:
            raise NotFoundError(f"{who} does not wait for an answer", hint="`aish next` shows those that do")
        return found[0]
    found = client.ask(QuestionList, Questions(target=who)).questions
    if not found:
        raise NotFoundError(f"{clean(who)} asks nothing", hint="`aish next` shows who does")
    if len(found) > 1:
        names = ", ".join(f"q{part.number}" for part in found)
        raise UsageError(f"{clean(who)} asks {len(found)} things: {names}", hint="say which: aish answer q7 allow")
    if found[0].asked_s > began_s:
        raise ConflictError(
            f"{clean(who)} has only now asked this: {clean(found[0].told())}",
            hint=f"if that is what you mean: aish answer q{found[0].number} …",
        )
    return found[0]
