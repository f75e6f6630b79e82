"""Programs that type into a shell with echo off (pexpect's REPLWrapper, agents' terminals) read the same as of bash.

There was a line's end before the output of each command, bracketed paste or not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.shell.two_shells import BASH, Shell

if TYPE_CHECKING:
    from pathlib import Path

LINES = ["echo a", "x=5", "for i in 1 2\ndo echo $i\ndone", "cat <<E\nhere $x\nE", "(exit 3)", "echo $?; printf end"]


@pytest.mark.skipif(BASH is None, reason="bash is the oracle")
@pytest.mark.parametrize("term", ["dumb", "xterm"])
@pytest.mark.parametrize(
    "first", ["bind 'set enable-bracketed-paste off'", "bind 'set Enable-Bracketed-Paste On'", ":"]
)
def test_same_as_bash(first: str, term: str, tmp_path: Path) -> None:
    def read_of(which: str) -> list[str]:
        shell = Shell(which, tmp_path / which, term=term)
        try:
            shell.type("stty -echo\n")
            shell.prompt()
            found = []
            for lines in (first, *LINES):
                shell.type(f"{lines}\n")
                found.append(shell.prompt())
            return found
        finally:
            shell.close()

    assert read_of("aish") == read_of("bash")


def test_nobody_is_asked_what_is_pasted(tmp_path: Path) -> None:
    """`bind 'set enable-bracketed-paste off'`, where echo is on."""
    shell = Shell("aish", tmp_path / "aish", term="xterm")
    try:
        seen = []
        for line in ("bind 'set enable-bracketed-paste off'", "echo a", "bind 'set enable-bracketed-paste on'", ":"):
            shell.type(f"{line}\n")
            shell.prompt()
            seen.append("2004" in shell.child.before)
        assert seen == [True, False, True, True]
    finally:
        shell.close()
