"""The middle of a turn, of an agent that may be parked: kept from the turn's first moment to its end, so that the
same turn, asked again after a death, neither does again what was done nor asks again what was answered.

It is no checkpoint: nobody goes back to it, and of files it has none. It is of use where the same is asked at the
same place of the conversation, and goes with the turn.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import structs

from aish.wire.part import Part
from aish.wire.question import ALLOW, ALLOW_ALWAYS, AnswerPart

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aish.agents.checkpoints.checkpoint import Position
    from aish.wire.question import OptionPart

ANSWERS_MOST: Final = 200
"""Of one turn: the newest."""


class Given(Part, frozen=True, kw_only=True):
    """An answer of the person. `asked`: see `digest`; `always`: it counts as often as that is asked; `once`: it
    allows one thing, and that may have been done by now."""

    asked: str
    answer: AnswerPart
    always: bool = False
    once: bool = False


class Midway(Part, frozen=True, kw_only=True):
    """`of`: see `place`. `conversation`: as its adapter gave it, where all that it had begun had its result; None: it
    has given none, and the turn begins with its first request."""

    of: str
    conversation: bytes | None = None
    answers: list[Given] = []


_decode: Final = msgspec.json.Decoder(Midway).decode


def place(asked: str, position: Position) -> str:
    """Which turn it is: what is asked ("m7", or `words`), and after what."""
    return f"{asked} after {position.turn} turns, {position.at}"


def words(prompt: str) -> str:
    """What is asked of a run that has its task as words: with others it is another turn."""
    return f"words {_digest(prompt)}"


def digest(title: str, body: str, options: Sequence[OptionPart]) -> str:
    """Of a question as it was asked, before anything of it is cut: the same one has the same."""
    return _digest([title, body, [option.id for option in options]])


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:32]


def answered(midway: Midway, asked: str, answer: AnswerPart, options: Sequence[OptionPart]) -> Midway:
    meanings = [option.meaning for option in options if option.id == answer.option]
    given = Given(asked=asked, answer=answer, always=ALLOW_ALWAYS in meanings, once=ALLOW in meanings)
    return structs.replace(midway, answers=[*midway.answers, given][-ANSWERS_MOST:])


def known(left: list[Given], asked: str) -> AnswerPart | None:
    """The answer that was given to this question in the run before; each counts once, in order. It leaves `left`."""
    for given in left:
        if given.asked == asked:
            if not given.always:
                left.remove(given)
            return given.answer
    return None


def done(midway: Midway) -> Midway:
    """Something came to its result: who was allowed one thing has done it, and asks for another by the same words."""
    return structs.replace(midway, answers=[each for each in midway.answers if not each.once])


def further(midway: Midway, conversation: bytes) -> Midway:
    """A later point of the turn: what was answered until then is done."""
    return structs.replace(
        midway, conversation=conversation, answers=[each for each in midway.answers if each.always]
    )


def encoded(midway: Midway) -> bytes:
    return msgspec.json.encode(midway)


def decoded(data: bytes) -> Midway:
    """Raises ValueError."""
    return _decode(data)
