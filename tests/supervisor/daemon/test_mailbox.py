"""The book of mail: at least once, in order, bounded."""

from __future__ import annotations

import pytest

from aish.errors import ConflictError, InputError, LimitError, NotFoundError
from aish.supervisor.daemon.mailbox import KEPT_MOST, Mailbox, check_text
from aish.wire import mail as w
from aish.wire.mail import MailPart


def part(text: str = "hello", to: str = "p1") -> MailPart:
    return MailPart(number=0, to=to, to_name="x", text=text, sent_s=1.0)


def sent(box: Mailbox, count: int, to: str = "p1") -> list[int]:
    return [box.send(f"{to}-{number}", part(str(number), to))[0].number for number in range(count)]


def test_in_order_and_again_until_it_is_answered() -> None:
    box = Mailbox()
    first, second = sent(box, 2)
    for deliveries in (1, 2):
        found = box.next("p1", 0)
        assert found is not None
        assert (found.number, found.state, found.deliveries) == (first, w.DELIVERED, deliveries)
    ahead = box.next("p1", first)
    assert ahead is not None
    assert ahead.number == second
    box.answer("p1", first, "done", 0, 2.0)
    assert box.next("p1", 0) == box.get(second)
    box.answer("p1", second, "", 75, 2.0)
    assert box.next("p1", 0) is None


def test_the_same_token_is_the_same_message() -> None:
    box = Mailbox()
    (number,) = sent(box, 1)
    known = box.known("p1-0")
    assert known is not None
    assert known.number == number
    assert box.known("other") is None


def test_answers() -> None:
    box = Mailbox()
    (number,) = sent(box, 1)
    with pytest.raises(NotFoundError):
        box.answer("p2", number, "mine", 0, 2.0)
    box.answer("p1", number, "done", 0, 2.0)
    assert box.answer("p1", number, "done", 0, 3.0).answered_s == 2.0, "said again since the acknowledgement was lost"
    with pytest.raises(ConflictError):
        box.answer("p1", number, "other", 0, 3.0)
    with pytest.raises(NotFoundError):
        box.answer("p1", 99, "x", 0, 2.0)


def test_the_end_of_a_run() -> None:
    box = Mailbox()
    first, second = sent(box, 2)
    box.next("p1", 0)
    assert [each.state for each in box.run_over("p1", for_good=False)] == [w.WAITING]
    assert [each.number for each in box.run_over("p1", for_good=True)] == [first, second]
    assert {each.state for each in box} == {w.RETURNED}
    with pytest.raises(ConflictError, match="returned already"):
        box.answer("p1", first, "late", 0, 3.0)


def test_restored_with_numbers_that_are_never_given_again() -> None:
    box, again = Mailbox(), Mailbox()
    sent(box, 2)
    again.restore([(f"p1-{each.number - 1}", each) for each in box], last=9)
    assert [each.number for each in again] == [1, 2]
    assert again.known("p1-1") == again.get(2)
    assert again.send("new", part())[0].number == 10


def test_bounds() -> None:
    box = Mailbox()
    sent(box, w.WAITING_MOST)
    with pytest.raises(LimitError):
        box.send("more", part())
    sent(box, 1, to="p2")
    for number in range(1, KEPT_MOST + 2):
        box.answer("p1", number, "done", 0, 2.0)
    _, dropped = box.send("again", part())
    assert dropped == [1]
    assert len(box.forget("p1")) == w.WAITING_MOST
    for text in ("", "  \n", "ß" * w.TEXT_BYTES):
        with pytest.raises(InputError):
            check_text(text)
