"""The middle of a turn, and what is taken from it by the same turn asked again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aish.agents import parked
from aish.agents.checkpoints import midway
from aish.agents.checkpoints.checkpoint import Position
from aish.agents.checkpoints.midway import Midway
from aish.agents.checkpoints.shelf import Shelf
from aish.agents.host.points import Kept
from aish.wire import question as q
from aish.wire.question import AnswerPart, OptionPart

if TYPE_CHECKING:
    from pathlib import Path

OPTIONS = (
    OptionPart(id="once", label="Allow", meaning=q.ALLOW),
    OptionPart(id="always", label="Allow from now on", meaning=q.ALLOW_ALWAYS),
)
ONCE, ALWAYS = AnswerPart(option="once", time_s=1.0), AnswerPart(option="always", time_s=2.0)


def turn(shelf: Shelf, asked: str = "m7") -> Kept:
    """A turn of what is asked, as its host begins it."""
    kept = Kept(shelf)
    kept.begin_midway(midway.place(asked, shelf.position))
    return kept


def test_the_same_turn_goes_on_and_another_one_begins(tmp_path: Path) -> None:
    shelf = Shelf(str(tmp_path))
    first = turn(shelf)
    assert first.midway is not None
    assert first.midway.conversation is None
    first.keep_midway(b"so far")
    again = turn(shelf)
    assert again.midway is not None
    assert again.midway.conversation == b"so far"
    other = turn(shelf, "m8")
    assert other.midway is not None
    assert other.midway.conversation is None


@pytest.mark.parametrize("position", [Position(turn=1), Position(at=3, last=3)])
def test_after_another_turn_or_a_rewind_it_is_of_no_use(tmp_path: Path, position: Position) -> None:
    """Work that was undone would count as done."""
    shelf = Shelf(str(tmp_path))
    turn(shelf).keep_midway(b"so far")
    shelf.stand(position)
    found = turn(shelf).midway
    assert found is not None
    assert found.conversation is None


def test_an_answer_counts_as_often_as_it_was_given(tmp_path: Path) -> None:
    """A second, equal command is another question, and a person answers it; what was allowed for good is not."""
    shelf = Shelf(str(tmp_path))
    asked, other = midway.digest("run: x", "", OPTIONS), midway.digest("run: y", "", OPTIONS)
    first = turn(shelf)
    assert first.given(asked) is None
    first.answered(asked, ONCE, OPTIONS)
    first.answered(other, ALWAYS, OPTIONS)
    again = turn(shelf)
    assert (again.given(asked), again.given(asked)) == (ONCE, None)
    assert (again.given(other), again.given(other)) == (ALWAYS, ALWAYS)
    third = turn(shelf)
    assert third.given(asked) == ONCE, "it was asked by a run that did not come to its end either"


def test_what_was_allowed_once_and_done_is_asked_again(tmp_path: Path) -> None:
    """A program that does not know that it has pushed would push again by the same answer; a denial holds."""
    shelf = Shelf(str(tmp_path))
    asked, other = midway.digest("run: x", "", OPTIONS), midway.digest("run: y", "", OPTIONS)
    denied = midway.digest("run: z", "", OPTIONS)
    first = turn(shelf)
    first.answered(asked, ONCE, OPTIONS)
    first.answered(other, ALWAYS, OPTIONS)
    first.answered(denied, AnswerPart(option="no", time_s=3.0), OPTIONS)
    first.result_came()
    again = turn(shelf)
    assert (again.given(asked), again.given(other)) == (None, ALWAYS)
    assert again.given(denied) is not None


def test_a_later_point_of_the_turn_has_the_answers_behind_it(tmp_path: Path) -> None:
    shelf = Shelf(str(tmp_path))
    asked = midway.digest("run: x", "", OPTIONS)
    first = turn(shelf)
    first.answered(asked, ONCE, OPTIONS)
    first.keep_midway(b"with its result")
    assert turn(shelf).given(asked) is None


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"of": 3}', b"\xff\xfe"])
def test_damage_means_that_the_turn_begins(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "midway.json").write_bytes(data)
    found = turn(Shelf(str(tmp_path))).midway
    assert found == Midway(of="m7 after 0 turns, None")


def test_who_keeps_nothing_has_none(tmp_path: Path) -> None:
    kept = Kept(None)
    kept.begin_midway("m7")
    kept.keep_midway(b"x")
    kept.answered("x", ONCE, OPTIONS)
    assert (kept.midway, kept.given("x")) == (None, None)
    bare = Kept(Shelf(str(tmp_path)))
    bare.keep_midway(b"x")
    assert not (tmp_path / "midway.json").exists(), "an agent that is not parked pays nothing"


@pytest.mark.parametrize(
    ("environ", "may", "goes_on"),
    [
        ({}, False, False),
        ({"AISH_ID": "p5", parked.VARIABLE: parked.told("p5", goes_on=False)}, True, False),
        ({"AISH_ID": "p5", parked.VARIABLE: parked.told("p5", goes_on=True)}, True, True),
        ({"AISH_ID": "p6", parked.VARIABLE: parked.told("p5", goes_on=True)}, False, False),
    ],
)
def test_what_an_agent_starts_is_not_taken_for_it(environ: dict[str, str], *, may: bool, goes_on: bool) -> None:
    assert (parked.may_be(environ), parked.goes_on(environ)) == (may, goes_on)
