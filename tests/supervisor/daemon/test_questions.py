"""The book of questions: numbers that are no other one's, bounds, what an answer may be."""

from __future__ import annotations

from typing import Any

import pytest

from aish.errors import ConflictError, InputError, LimitError, NotFoundError
from aish.supervisor.daemon.questions import KEPT_MOST, Questions, check_ask
from aish.wire import question as q
from aish.wire.message import Answer, Ask
from aish.wire.question import OptionPart

OPTIONS = [OptionPart(id="y", label="Yes", meaning="allow"), OptionPart(id="n", label="No", meaning="deny")]


def ask(token: str = "t", **fields: Any) -> Ask:
    return Ask(**{"token": token, "kind": "permission", "title": "push", "options": OPTIONS} | fields)


def test_oldest_first_and_a_number_is_never_given_again() -> None:
    book = Questions()
    for number, process in enumerate(("p1", "p2", "p1"), 1):
        part, _ = book.ask(process, "x", ask(f"t{number}"), float(number))
        assert part.number == number
    assert [part.number for part in book.open()] == [1, 2, 3]
    assert [part.number for part in book.open("p1")] == [1, 3]
    assert book.drop("p1") == ["t1", "t3"]
    part, _ = book.ask("p1", "x", ask("t1"), 4.0)
    assert part.number == 4, "an answer to q1, typed before, would go to the next run's question"


def test_what_was_kept_is_there_again() -> None:
    book, next_book = Questions(), Questions()
    book.ask("p1", "x", ask("a"), 1.0)
    book.ask("p1", "x", ask("b"), 2.0)
    book.answer(Answer(number=1, option="y"), 3.0)
    next_book.restore([*book][::-1], last=7)
    assert [part.number for part in next_book.open()] == [2]
    found = next_book.get("p1", "a")
    assert found is not None
    assert found.answer is not None
    assert next_book.ask("p1", "x", ask("c"), 4.0)[0].number == 8


def test_it_is_answered_once() -> None:
    book = Questions()
    book.ask("p1", "x", ask(), 1.0)
    with pytest.raises(InputError, match="no option 'maybe'"):
        book.answer(Answer(number=1, option="maybe"), 2.0)
    with pytest.raises(InputError, match="takes none"):
        book.answer(Answer(number=1, words="well"), 2.0)
    with pytest.raises(InputError):
        book.answer(Answer(number=1), 2.0)
    token, part = book.answer(Answer(number=1, option="n"), 2.0)
    assert (token, part.answered()) == ("t", "push: No")
    with pytest.raises(ConflictError, match="answered already"):
        book.answer(Answer(number=1, option="y"), 3.0)
    assert book.answer(Answer(number=1, option="n"), 4.0)[1] == part, "the same again is as good as once"
    with pytest.raises(NotFoundError):
        book.answer(Answer(number=2, option="y"), 3.0)
    assert book.withdraw("p1", "t") is None, "what was answered is"


def test_words_where_they_are_taken() -> None:
    book = Questions()
    book.ask("p1", "x", ask(kind="input", words=True, options=[]), 1.0)
    with pytest.raises(InputError, match="longer"):
        book.answer(Answer(number=1, words="x" * (q.WORDS_CHARS + 1)), 2.0)
    assert book.answer(Answer(number=1, words="8081"), 2.0)[1].answered() == "push: 8081"


def test_no_more_than_a_person_can_bear() -> None:
    book = Questions()
    for number in range(q.OPEN_MOST):
        book.ask("p1", "x", ask(f"t{number}"), 1.0)
    with pytest.raises(LimitError):
        book.ask("p1", "x", ask("more"), 1.0)
    book.ask("p2", "x", ask("other"), 1.0)
    assert book.withdraw("p1", "t0") is not None
    book.ask("p1", "x", ask("more"), 1.0)


def test_answered_ones_are_not_kept_without_end() -> None:
    book = Questions()
    dropped = []
    for number in range(1, KEPT_MOST + 3):
        _, gone = book.ask("p1", "x", ask(f"t{number}"), 1.0)
        dropped += gone
        book.answer(Answer(number=number, option="y"), 2.0)
    assert dropped == [("p1", "t1"), ("p1", "t2")]
    assert len([*book]) == KEPT_MOST


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"token": ""}, "token"),
        ({"token": "x" * 1000}, "token"),
        ({"kind": "plea"}, "kind"),
        ({"form": "html"}, "form"),
        ({"title": "  "}, "title"),
        ({"title": "x" * 501}, "title"),
        ({"body": "ß" * q.BODY_BYTES}, "body"),
        ({"options": []}, "options"),
        ({"options": [OPTIONS[0], OPTIONS[0]]}, "options"),
        ({"options": [OptionPart(id=str(n), label="x") for n in range(17)]}, "options"),
        ({"options": [OptionPart(id="a", label="")]}, "options"),
        ({"options": [OptionPart(id="a", label="x", meaning="perhaps")]}, "options.meaning"),
    ],
)
def test_bad_questions_are_refused_with_the_place(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as raised:
        check_ask(ask(**fields))
    assert raised.value.field == field
