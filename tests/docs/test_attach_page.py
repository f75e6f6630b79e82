"""The session in docs/reference/attach.md happens as printed, at a real bash."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pexpect
import pytest

if TYPE_CHECKING:
    from conftest import Home

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "attach.md"
KEY = re.compile(r"\^(.)")


def typed(text: str) -> str:
    """What a line behind `<` types: `^Z` is a key with ctrl; a line without one is ended by Enter."""
    keys = KEY.sub(lambda found: chr(ord(found[1]) & 0x1F), text)
    return keys if keys != text else keys + "\r"


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_the_session_happens_as_printed(home: Home) -> None:
    block = re.search(r"^```text\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert block is not None
    path = f"{Path(sys.executable).parent}:{home.environ['PATH']}"
    shell = pexpect.spawn(
        "bash",
        ["--norc", "--noprofile", "-i"],
        env=home.environ | {"PATH": path, "PS1": "ready> ", "TERM": "dumb"},
        cwd=str(home.root),
        dimensions=(24, 200),
        encoding="utf-8",
        timeout=60,
    )
    try:
        for line in block[1].splitlines():
            if line.startswith("$ "):
                shell.expect_exact("ready> ")
                shell.send(line[2:] + "\r")
                shell.expect_exact(line[2:] + "\r\n")
            elif line.startswith("<"):
                shell.send(typed(line[1:]))
            else:
                shell.expect(re.sub(r"\\?\s+", r"\\s+", re.escape(line)) + "\r\n")
        shell.expect_exact("ready> ")
    finally:
        shell.close(force=True)
