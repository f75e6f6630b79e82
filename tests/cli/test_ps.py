"""The tree of ps: complete, in order, and harmless whatever processes are called."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aish.cli import output, ps
from aish.top.table import doing as top_doing
from aish.wire.part import ExitPart, ProcessPart, TokensPart

if TYPE_CHECKING:
    from conftest import Home


def row(name: str, parent: str | None = None, **fields: object) -> ProcessPart:
    known: dict[str, object] = {"kind": "command", "state": "running", "lifecycle": "running", "created_s": 0.0}
    return ProcessPart(id=name, name=name, parent=parent, **(known | fields))  # type: ignore[arg-type]


def test_children_stand_below_their_parent() -> None:
    rows = [row("a"), row("b"), row("c", "a"), row("d", "c"), row("e", "a")]
    assert [stem + found.id for found, stem in ps.tree(rows)] == ["a", "├c", "│└d", "└e", "b"]


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=20, unique_by=lambda pair: pair[0]))
def test_every_row_is_shown_once_unless_it_descends_from_itself(pairs: list[tuple[int, int]]) -> None:
    rows = [row(f"p{child}", f"p{parent}" if parent < child else None) for child, parent in pairs]
    assert sorted(found.id for found, _ in ps.tree(rows)) == sorted(found.id for found in rows)


def test_unknown_is_a_dash_and_zero_is_zero() -> None:
    cells = dict(zip(ps.HEADER, ps.cells(row("x", rss_bytes=0, cpu_percent=None), ""), strict=True))
    assert (cells["RSS"], cells["CPU%"], cells["VRAM/QUOTA"], cells["TOKENS"]) == ("0", "-", "-", "-")


def test_use_stands_beside_its_limit() -> None:
    shown = row("x", vram_bytes=1 << 30, vram_quota_bytes=8 << 30, tokens=TokensPart(input=900, output=100))
    cells = dict(zip(ps.HEADER, ps.cells(shown, ""), strict=True))
    assert (cells["VRAM/QUOTA"], cells["TOKENS"]) == ("1.0G/8.0G", "1.0k")


@pytest.mark.parametrize(
    ("end", "word"),
    [
        (ExitPart(code=0), "0"),
        (ExitPart(code=3), "3"),
        (ExitPart(signal=15), "SIGTERM"),
        (ExitPart(), "unknown"),
        (None, "-"),
    ],
)
def test_an_exit_nobody_saw_is_called_unknown(end: ExitPart | None, word: str) -> None:
    assert output.exit_word(end) == word


def test_between_two_runs_it_tells_how_the_last_one_ended() -> None:
    """The column was empty, or told the command line."""
    waiting = row("x", lifecycle="backoff", state="backoff", exit=ExitPart(code=3), restarts=4)
    assert ps.doing(waiting) == "exit 3: restart 5 follows"
    assert top_doing(waiting) == "exit 3: restart 5 follows"


def test_what_never_ran_has_no_exit() -> None:
    """A schedule that was stopped before its first time had 'unknown'."""
    stopped = row("x", lifecycle="exited", state="exited", exit=ExitPart(reason="cancelled"), ended_s=1.0)
    cells = dict(zip(ps.ENDED_HEADER, ps.ended_cells(stopped, 2.0), strict=True))
    assert (cells["RAN"], cells["EXIT"], cells["WHY"]) == ("-", "-", "cancelled")


def test_a_hostile_name_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(("NAME",), [["\x1b[2Jboo\nline"]])
    assert "\x1b" not in capsys.readouterr().out


def test_wide_characters_keep_the_columns(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(("NAME", "X"), [["日本", "1"], ["abcd", "2"]])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:] == ["日本  1", "abcd  2"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (59, "59s"), (187, "3:07"), (7500, "2h05"), (400_000, "4d"), (-5, "0s")]
)
def test_ages_are_short(seconds: int, text: str) -> None:
    assert output.age(0.0, float(seconds)) == text


def test_named_processes_alone(home: Home) -> None:
    for name in ("one", "two"):
        home.client.spawn(["sleep", "60"], name=name)
    assert home.aish("ps", "--quiet", "@two").stdout == "p2\n"
    home.client.stop("two")
    assert " two " in home.aish("ps", "p2").stdout  # who asks by name wants to know, also when it has ended
    done = home.aish("ps", "tow")
    assert (done.returncode, "did you mean two?" in done.stderr) == (69, True)
