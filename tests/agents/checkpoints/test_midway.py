"""The middle of a turn, and what is taken from it by the same turn asked again."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from aish.agents import adapters, parked
from aish.agents.checkpoints import midway
from aish.agents.checkpoints.checkpoint import Position
from aish.agents.checkpoints.midway import Midway
from aish.agents.checkpoints.shelf import Shelf
from aish.agents.host.points import Kept, Points
from aish.agents.host.turn import Turn
from aish.errors import LimitError, StorageError
from aish.spi.agent_adapter import Task
from aish.wire import question as q
from aish.wire.question import AnswerPart, OptionPart

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Home

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


@pytest.mark.parametrize(
    ("goes_on", "words", "expected"),
    [(True, "do it", b"so far"), (False, "do it", None), (True, "do another thing", None)],
)
def test_only_a_run_that_was_parked_goes_on_and_only_with_the_same_words(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, expected: bytes | None, *, goes_on: bool
) -> None:
    """A run that was killed leaves the middle of its turn: the next one, with other words even, went on with it, by
    answers that were given for that one."""
    monkeypatch.setenv("AISH_ID", "p4")
    monkeypatch.setenv(parked.VARIABLE, parked.told("p4", goes_on=goes_on))
    shelf = Shelf(str(tmp_path / "agents" / "1-p4"))
    points = Points(shelf.folder, adapters.load("builtin"), None, lambda line: None)
    left = midway.further(Midway(of=midway.place(midway.words("do it"), shelf.position)), b"so far")
    shelf.keep_midway(midway.answered(left, "asked", ALWAYS, OPTIONS))
    with points.turn(midway.words(words), anew=True) as kept:
        assert kept.midway is not None
        assert (kept.midway.conversation, kept.resumed) == (expected, expected is not None)
        assert kept.given("asked") == (ALWAYS if expected is not None else None)
    assert shelf.midway is None


@pytest.mark.parametrize("fault", [StorageError("the disk is full"), LimitError("too long")])
def test_a_middle_that_the_disk_does_not_take_costs_no_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    """It works on; that it would begin anew is told, and what was kept before is gone: by it, things would be done
    twice."""
    shelf, told = Shelf(str(tmp_path)), list[str]()
    place = midway.place("m7", shelf.position)
    for step in ("begin", "keep", "answer", "result"):
        turn(shelf).answered("asked", ONCE, OPTIONS)
        kept = Kept(shelf, tell=told.append)
        if step != "begin":
            kept.begin_midway(place)
        with monkeypatch.context() as patch:
            patch.setattr(shelf, "keep_midway", lambda now: (_ for _ in ()).throw(fault))
            match step:
                case "begin":
                    kept.begin_midway("another turn")
                case "keep":
                    kept.keep_midway(b"x")
                case "answer":
                    kept.answered("other", ONCE, OPTIONS)
                case _:
                    kept.result_came()
            kept.keep_midway(b"y")
        assert (kept.midway, shelf.midway) == (None, None), step
    assert len(told) == 4
    assert str(fault) in told[0]


def test_a_middle_that_can_neither_be_written_nor_removed_ends_the_turn(tmp_path: Path) -> None:
    shelf = Shelf(str(tmp_path))
    kept = turn(shelf)
    shelf.end_midway()
    (tmp_path / "midway.json").mkdir()
    with pytest.raises(StorageError):
        kept.keep_midway(b"x")


class Desk:
    """A person who allows everything, once, and is asked by what is left of a question when it was cut."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def ask(self, title: str, *, body: str, **more: Any) -> AnswerPart:
        self.asked.append(body)
        return ONCE

    def tell(self, word: str | None, doing: str | None) -> None:
        pass


def test_questions_that_differ_where_they_are_cut_are_two(tmp_path: Path) -> None:
    """What was allowed for one command would be the answer to a longer one that begins alike."""
    desk, shelf = Desk(), Shelf(str(tmp_path))
    silent = SimpleNamespace(write=lambda *words, **more: None, emit=lambda *words, **more: None)
    same = "x" * q.BODY_BYTES

    def asks(*bodies: str) -> None:
        task = Task(prompt="x", instructions="", model=None, permissions="ask", cwd="/")
        host = Turn(
            task,
            cast("Any", None),
            "/",
            desk=cast("Any", desk),
            stdout=cast("Any", silent),
            events=cast("Any", silent),
            transcript=cast("Any", silent),
            note=lambda line: None,
            missing=lambda: None,
            point=turn(shelf),
            called=lambda id: None,
        )
        for body in bodies:
            asyncio.run(host.ask("run it", body=body, options=OPTIONS))

    asks(same + "ls")
    assert len(desk.asked) == 1
    asks(same + "ls", same + "rm", "\ud800")
    assert desk.asked[1:] == [same, "?"]
