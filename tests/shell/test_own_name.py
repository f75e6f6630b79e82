"""ps, tmux and terminals name a shell at a prompt by its name: it was python to all of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.shell.two_shells import Shell

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    made = Shell("aish", tmp_path / "aish", "--noediting", SOME="thing")
    yield made
    made.close()


def test_its_name_and_its_words(shell: Shell) -> None:
    place = Path(f"/proc/{shell.child.pid}")
    assert (place / "comm").read_text() == "aish\n"
    assert (place / "cmdline").read_bytes() == b"aish --norc --noediting\0"


def test_its_environment_lies_behind_them_untouched(shell: Shell) -> None:
    assert b"\0SOME=thing\0" in Path(f"/proc/{shell.child.pid}/environ").read_bytes()
    assert "thing" in shell.run("printenv SOME")


def test_a_program_has_its_own(shell: Shell) -> None:
    assert "sleep 1000" in shell.run("sleep 1000 & ps -o args= -p $!; kill $!")


def test_many_words_are_left_as_they_are(tmp_path: Path) -> None:
    """Fault: of more than a page the kernel showed the first page, and the rest of the words were gone."""
    words = [f"{number}{'w' * 300}" for number in range(20)]
    made = Shell("aish", tmp_path / "aish", "--noediting", "-i", "-s", *words)
    try:
        shown = Path(f"/proc/{made.child.pid}/cmdline").read_bytes()
        assert shown.endswith("\0".join(["", *words, ""]).encode())
        assert Path(f"/proc/{made.child.pid}/comm").read_text() == "aish\n"
    finally:
        made.close()
