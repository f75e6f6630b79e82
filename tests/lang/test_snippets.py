"""The snippets of snippets.txt behave here as in bash: same output, same status.

Every second one in the fast suite.

They are our own, by topic; a blank in this table is a difference nobody looked for. bash is the oracle, so nothing
here says what is right by itself: what the standard leaves open is not in the table.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.lang.conftest import Aish

BASH = shutil.which("bash")
_TEXT = (Path(__file__).parent / "snippets.txt").read_text(encoding="utf-8")
SNIPPETS = dict(part.split("\n", 1) for part in _TEXT.split("=== ")[1:])


def test_table_is_large_and_without_doubles() -> None:
    assert len(SNIPPETS) == _TEXT.count("\n=== ") + 1
    assert len(SNIPPETS) >= 150


@pytest.mark.skipif(BASH is None, reason="needs bash, which is the oracle")
@pytest.mark.parametrize(
    "name", [name if at % 2 == 0 else pytest.param(name, marks=pytest.mark.slow) for at, name in enumerate(SNIPPETS)]
)
def test_same_as_bash(name: str, aish: Aish) -> None:
    theirs = aish.folder.with_name(f"{aish.folder.name}-theirs")
    theirs.mkdir()
    for folder in (aish.folder, theirs):  # what one leaves behind must not meet the other
        (folder / "snippet.sh").write_text(SNIPPETS[name], encoding="utf-8")
    assert BASH is not None
    expected = subprocess.run(
        [BASH, "snippet.sh"],
        capture_output=True,
        cwd=theirs,
        env=aish.environment | {"HOME": str(theirs), "TMPDIR": str(theirs)},
        stdin=subprocess.DEVNULL,
        timeout=60,
    )
    found = aish.run(["snippet.sh"])
    output = expected.stdout.decode("utf-8", "surrogateescape").replace(str(theirs), str(aish.folder))
    assert (found.out, found.status) == (output, expected.returncode)
    assert "a fault in aish" not in found.err
    assert "Traceback" not in found.err
