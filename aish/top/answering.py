"""Going through what agents ask, on a terminal: the question, what it is about, one key answers."""

from __future__ import annotations

import os
import sys
import termios
import time
import tty
from typing import TYPE_CHECKING, Final

from aish.client.reply import keys
from aish.errors import ConflictError, NotFoundError
from aish.report import clean
from aish.top import amount
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
_CTRL_C: Final = "\x03"
_COLOURS: Final = {"+": "\x1b[32m", "-": "\x1b[31m", "@": "\x1b[36m"}


def waiting(client: Client, target: str | None) -> list[QuestionPart]:
    """All that wait for an answer, oldest first."""
    return client.ask(QuestionList, Questions(target=target)).questions


def go_through(client: Client, target: str | None) -> None:
    """Until nothing is left that was not skipped; new ones come behind. Raises KeyboardInterrupt for Ctrl-C."""
    seen: set[int] = set()
    if answer_new(client, target, seen):
        skipped = len(waiting(client, target))
        print("nobody needs you" if not skipped else f"{skipped} skipped, still waiting")


def answer_new(client: Client, target: str | None, seen: set[int]) -> bool:
    """All that are not `seen`, by their numbers, which are added. False: the person wants to leave."""
    while left := [part for part in waiting(client, target) if part.number not in seen]:
        seen.add(left[0].number)
        if not _one(client, left[0], len(left)):
            return False
    return True


def _one(client: Client, part: QuestionPart, left: int) -> bool:
    """Show it and do what the key says. False: leave."""
    asked = amount.age(time.time() - part.asked_s)
    print(f"\n\x1b[1mq{part.number}  {clean(part.name)} ({part.process})\x1b[0m  {asked} ago", end="")
    print(f"  [{left} to go]" if left > 1 else "")
    print(f"\x1b[1m{clean(part.told())}\x1b[0m")
    lines = part.body.splitlines()
    _show(part, lines[:BODY_LINES])
    offered = keys(part)
    hidden = len(lines) - BODY_LINES
    while True:
        key = _key(_offer(offered, hidden))
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


def _offer(offered: list[Key], hidden: int) -> str:
    words = [f"[{key.key}] {clean(key.label)}" for key in offered]
    words += [f"[{_VIEW}] view {hidden} more lines"] if hidden > 0 else []
    return "  ".join([*words, f"[{_SKIP}] skip", f"[{_QUIT}] quit"])


def _key(offer: str) -> str:
    """One key, without Enter. Empty at the end of input. Ctrl-C is a key, too: its signal may be somebody else's.

    What was typed before the offer is seen is no answer to it, and is dropped; what is typed from then on is one, so
    the terminal is made ready first.
    """
    before = termios.tcgetattr(0)
    try:
        tty.setcbreak(0)
        quiet = termios.tcgetattr(0)
        quiet[3] &= ~termios.ISIG
        termios.tcsetattr(0, termios.TCSADRAIN, quiet)
        print(offer, end=" ", flush=True)
        found = os.read(0, 1).decode("ascii", "replace")
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
    print(found if found.isprintable() else "")
    if found == _CTRL_C:
        raise KeyboardInterrupt
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
