"""Options of programs: read from manuals; run with --help only what is surely harmless."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from aish.shell.companion import manual

if TYPE_CHECKING:
    from pathlib import Path


def test_options_of_a_help_text() -> None:
    text = "Usage: x [OPTION]\n  -a, --all    everything\n      --color[=WHEN]  in colours\n  -q\n      be quiet\n"
    assert manual.of_text(text) == [
        ("-a", "everything"),
        ("--all", "everything"),
        ("--color", "in colours"),
        ("-q", "be quiet"),
    ]


def test_options_of_a_manual_page() -> None:
    page = ".TP\n\\fB\\-n\\fR, \\fB\\-\\-dry\\-run\\fR\nonly say it\n.TP\n.B \\-v\nmore words\n"
    assert manual.of_text(manual._plain(page)) == [
        ("-n", "only say it"),
        ("--dry-run", "only say it"),
        ("-v", "more words"),
    ]


def test_unknown_programs_are_not_run(tmp_path: Path) -> None:
    """Completion behind a program of the user's own must not start it."""
    mark = tmp_path / "ran"
    program = tmp_path / "tool"
    program.write_text(f"#!/bin/sh\n# --help\necho > {mark}\n")
    program.chmod(0o755)
    assert manual.options(["tool"], str(tmp_path)) is None
    assert manual.options([str(program)], "") is None
    assert not mark.exists()


@pytest.mark.parametrize("path", ["/usr/bin/sleep", "/bin/ls"])
def test_a_system_s_program_is_harmless(path: str) -> None:
    assert manual.harmless(path)


@pytest.mark.parametrize("path", ["/usr/bin/passwd", "/usr/bin/su", "/etc/passwd", "/nosuch"])
def test_what_is_not(path: str) -> None:
    """setuid programs, and what is no program."""
    assert not manual.harmless(path)


def test_a_link_out_of_the_system_is_followed(tmp_path: Path) -> None:
    (tmp_path / "x").symlink_to("/usr/bin/sleep")
    assert manual.harmless(str(tmp_path / "x")) == manual.harmless("/usr/bin/sleep")


def test_sleep_has_options() -> None:
    found = manual.options(["sleep"], os.environ["PATH"])
    assert found is not None
    assert "--help" in dict(found)
