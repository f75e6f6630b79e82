"""What an agent tells of itself and asks of the person, and how that is answered: as in aish.client.asks."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from aish.client.asks import changed
from aish.client.call import ask
from aish.client.choice import name_of
from aish.errors import InternalError
from aish.wire import message as m
from aish.wire import reply as r

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aish.client.call import Asks
    from aish.client.choice import Target
    from aish.wire.question import AnswerPart, OptionPart, QuestionPart


def tell(activity: str | None, doing: str | None) -> Asks[bool]:
    return (yield from changed(m.Tell(activity=activity, doing=doing)))


def conclude(reason: str, text: str) -> Asks[bool]:
    return (yield from changed(m.Conclude(reason=reason, text=text)))


def put(
    title: str, kind: str, body: str, form: str, options: Sequence[OptionPart], words: bool, token: str | None
) -> Asks[AnswerPart]:
    """A daemon that dies meanwhile is asked again: the token says that it is the same question."""
    request = m.Ask(
        token=token or secrets.token_hex(16),
        kind=kind,
        title=title,
        body=body,
        form=form,
        options=list(options),
        words=words,
    )
    found = (yield from ask(r.Answered, request)).question.answer
    if found is None:
        raise InternalError("a question was answered without an answer")
    return found


def withdraw(token: str) -> Asks[bool]:
    return (yield from changed(m.Withdraw(token=token)))


def waiting(target: Target | None) -> Asks[list[QuestionPart]]:
    request = m.Questions(target=name_of(target) if target is not None else None)
    return (yield from ask(r.QuestionList, request)).questions


def answer(number: int, option: str | None, words: str | None) -> Asks[QuestionPart]:
    return (yield from ask(r.Answered, m.Answer(number=number, option=option, words=words))).question
