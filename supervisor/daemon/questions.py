"""Questions of agents to the person, each until its asker's run has ended. Pure: no loop, no disk.

open -> answered        by the user; the asker may ask for the answer again
     -> (gone)          withdrawn by the asker
any  -> (gone)          the asker's run has ended
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import structs

from aish.errors import ConflictError, InputError, LimitError, NotFoundError
from aish.wire import question as q
from aish.wire.question import AnswerPart, OptionPart, QuestionPart

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from aish.wire.message import Answer, Ask

TOKEN_CHARS: Final = 200
KEPT_MOST: Final = 256
"""Of one run, answered ones included: the oldest of these go."""
_ID_CHARS: Final = 200
_LABEL_CHARS: Final = 200

Key = tuple[str, str]
"""A process, and the token that its question has."""


class Questions:
    """All of one daemon, in the order in which they were asked."""

    def __init__(self) -> None:
        self._parts: dict[Key, QuestionPart] = {}
        self.last = 0
        """The highest number ever given."""

    def restore(self, kept: Iterable[tuple[str, QuestionPart]], last: int) -> None:
        """Tokens and questions as a daemon before has left them."""
        for token, part in sorted(kept, key=lambda pair: pair[1].number):
            self._parts[part.process, token] = part
            last = max(last, part.number)
        self.last = last

    def __iter__(self) -> Iterator[tuple[str, QuestionPart]]:
        return ((token, part) for (_, token), part in self._parts.items())

    def get(self, process: str, token: str) -> QuestionPart | None:
        return self._parts.get((process, token))

    def asker(self, number: int) -> str | None:
        """Whose question it is; None: nobody's."""
        return next((part.process for part in self._parts.values() if part.number == number), None)

    def open(self, process: str | None = None) -> list[QuestionPart]:
        """Those that wait for their answer, oldest first."""
        return [part for part in self._parts.values() if part.answer is None and process in (None, part.process)]

    def ask(self, process: str, name: str, ask: Ask, now_s: float) -> tuple[QuestionPart, list[Key]]:
        """A new question, and what had to go for it. Raises LimitError where too many are open."""
        mine = [(key, part) for key, part in self._parts.items() if key[0] == process]
        if sum(part.answer is None for _, part in mine) >= q.OPEN_MOST:
            raise LimitError(f"{q.OPEN_MOST} questions of {process} wait already", hint="wait for their answers")
        self.last += 1
        part = QuestionPart(
            process=process,
            name=name,
            number=self.last,
            kind=ask.kind,
            title=ask.title,
            body=ask.body,
            form=ask.form,
            options=ask.options,
            words=ask.words,
            asked_s=now_s,
        )
        answered = [key for key, part in mine if part.answer is not None]
        dropped = answered[: max(0, len(mine) + 1 - KEPT_MOST)]
        for key in dropped:
            del self._parts[key]
        self._parts[process, ask.token] = part
        return part, dropped

    def answer(self, answer: Answer, now_s: float) -> tuple[str | None, QuestionPart]:
        """Its token, None where it was answered so already, and the question as it is now.

        Raises NotFoundError, ConflictError, InputError."""
        found = [(key, part) for key, part in self._parts.items() if part.number == answer.number]
        if not found:
            raise NotFoundError(f"no question q{answer.number}", hint="`aish next` shows those that wait")
        ((key, part),) = found
        if part.answer is not None:
            if (part.answer.option, part.answer.words) == (answer.option, answer.words):
                return None, part  # said again: its acknowledgement was lost, or two persons are of one mind
            raise ConflictError(f"q{part.number} of {part.name} ({part.process}) was answered already")
        _check_answer(part, answer)
        given = AnswerPart(option=answer.option, words=answer.words, time_s=now_s)
        part = structs.replace(part, answer=given)
        self._parts[key] = part
        return key[1], part

    def withdraw(self, process: str, token: str) -> QuestionPart | None:
        """None where there is no such question, or it was answered."""
        part = self._parts.get((process, token))
        if part is None or part.answer is not None:
            return None
        return self._parts.pop((process, token))

    def forget(self, process: str, token: str) -> None:
        """One that was answered, and is asked anew."""
        del self._parts[process, token]

    def drop(self, process: str) -> list[str]:
        """All of one whose run has ended; their tokens."""
        tokens = [token for id_, token in self._parts if id_ == process]
        for token in tokens:
            del self._parts[process, token]
        return tokens


def check_ask(ask: Ask) -> None:
    """Raises InputError."""
    _in("kind", ask.kind, q.KINDS)
    _in("form", ask.form, q.FORMS)
    if not 0 < len(ask.token) <= TOKEN_CHARS:
        raise InputError(f"expected 1 to {TOKEN_CHARS} characters", field="token")
    if not ask.title.strip() or len(ask.title) > q.TITLE_CHARS:
        raise InputError(f"expected 1 to {q.TITLE_CHARS} characters", field="title")
    if len(ask.body.encode("utf-8", "replace")) > q.BODY_BYTES:
        raise InputError(f"longer than {q.BODY_BYTES:,} bytes", field="body")
    if len(ask.options) > q.OPTIONS_MOST:
        raise InputError(f"at most {q.OPTIONS_MOST}", field="options")
    if not ask.options and not ask.words:
        raise InputError("no way to answer it: give options, or words=true", field="options")
    ids = [option.id for option in ask.options]
    if len(set(ids)) != len(ids):
        raise InputError("two have the same id", field="options")
    for option in ask.options:
        _check_option(option)


def _check_option(option: OptionPart) -> None:
    _in("options.meaning", option.meaning, q.MEANINGS)
    if not 0 < len(option.id) <= _ID_CHARS or not 0 < len(option.label) <= _LABEL_CHARS:
        raise InputError(f"id and label have 1 to {_LABEL_CHARS} characters", field="options")


def _check_answer(part: QuestionPart, answer: Answer) -> None:
    if answer.option is None and answer.words is None:
        raise InputError("an answer is an option, or words", field="option")
    if answer.option is not None and answer.option not in {option.id for option in part.options}:
        known = ", ".join(option.id for option in part.options) or "none"
        raise InputError(f"it has no option {answer.option!r}", field="option", hint=f"its options: {known}")
    if answer.words is not None:
        if not part.words and answer.option is None:
            raise InputError("it takes none: choose an option", field="words")
        if len(answer.words) > q.WORDS_CHARS:
            raise InputError(f"longer than {q.WORDS_CHARS:,} characters", field="words")


def _in(field: str, word: str, words: tuple[str, ...]) -> None:
    if word not in words:
        raise InputError(f"expected {', '.join(words)}", field=field)
