"""A contest: nobody is always the first, and what a driver made is gone after it."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from benches.contest import Contest, arguments, housed
from benches.programs import Programs

if TYPE_CHECKING:
    from pathlib import Path


def entered(monkeypatch: pytest.MonkeyPatch, *words: str) -> Contest:
    monkeypatch.setattr("sys.argv", ["bench", *words])
    return Contest(arguments("bench", "A bench.", quick="q", full="f", peers=["b"]))


def test_everybody_is_first_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: who is measured first after a pause finds a cool machine."""
    contest = entered(monkeypatch, "--rounds", "4")
    contest.runs = {"a": [], "b": [], "c": []}
    assert [order for _, order in contest.rounds()] == [
        ["a", "b", "c"],
        ["b", "c", "a"],
        ["c", "a", "b"],
        ["a", "b", "c"],
    ]
    assert contest.last(3)
    assert not contest.last(2)


@pytest.mark.parametrize(("words", "rounds"), [((), 3), (("--quick",), 1), (("--quick", "--rounds", "2"), 2)])
def test_how_many_rounds(monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], rounds: int) -> None:
    contest = entered(monkeypatch, *words)
    contest.runs = {"a": []}
    assert len(list(contest.rounds())) == rounds


def test_its_folder_and_its_programs_go_with_it(tmp_path: Path) -> None:
    """Fault: a measurement that fails leaves what it started."""

    class Sleeping(Programs):
        name = "sleeping"

        def down(self) -> None:
            super().down()
            downs.append(self.folder)

    downs: list[str] = []
    with suppress(TimeoutError), housed(Sleeping, str(tmp_path)) as made:
        process = made.launch("sleep", "60")
        raise TimeoutError
    assert downs == [made.folder]
    assert not os.path.exists(made.folder)
    assert process.wait(10) != 0
