"""The error tree: every class is exported, told apart by its code, and has a status that sysexits.h knows."""

from __future__ import annotations

import pytest

from aish import errors
from aish.report import clean, report

CLASSES = [getattr(errors, name) for name in errors.__all__]


def test_all_names_every_error_class() -> None:
    values = vars(errors).items()
    defined = {name for name, value in values if isinstance(value, type) and issubclass(value, errors.AishError)}
    assert defined == set(errors.__all__)


def test_codes_are_distinct_so_that_a_client_raises_the_class_that_the_daemon_raised() -> None:
    codes = [kind.code for kind in CLASSES]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("kind", CLASSES)
def test_every_class_is_drawn_in_the_tree_with_its_status(kind: type[errors.AishError]) -> None:
    assert errors.__doc__ is not None
    line = next(line for line in errors.__doc__.splitlines() if line.strip("│├└─ ").split(" ")[0] == kind.__name__)
    if kind is not errors.AishError:
        assert line.split()[-1 - len(line.split(kind.__name__)[1].split()) + 1] == str(kind.exit_status)


def test_a_source_error_points_at_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    error = errors.SourceError(
        "unknown key 'modle'", file="a.md", line=2, column=1, source_line="modle: x", hint="did you mean model?"
    )
    report("aish agent", error)
    assert capsys.readouterr().err.splitlines() == [
        "aish agent: a.md:2:1: unknown key 'modle'",
        "    modle: x",
        "    ^",
        "  did you mean model?",
    ]


def test_a_name_with_control_characters_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    report("aish", errors.NotFoundError("no process is called \x1b]0;owned\x07\x9b2J"))
    told = capsys.readouterr().err
    assert "\x1b" not in told
    assert "\x9b" not in told
    assert "\\x1b]0;owned\\x07" in told


def test_clean_keeps_ordinary_text() -> None:
    assert clean("naïve 日本 |= ✓") == "naïve 日本 |= ✓"
