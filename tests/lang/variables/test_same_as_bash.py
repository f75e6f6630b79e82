"""The programs of the tables beside this file behave here as in bash: same output, same status, something on stderr
or nothing. What stands before the first program of a table stands before each of them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.lang.conftest import Aish

BASH = shutil.which("bash")
_FOLDER = Path(__file__).parent


def programs() -> dict[str, str]:
    """All programs by table and name."""
    found: dict[str, str] = {}
    for table in sorted(_FOLDER.glob("*.txt")):
        before, *parts = table.read_text(encoding="utf-8").split("=== ")
        for part in parts:
            name, _, text = part.partition("\n")
            assert f"{table.stem}: {name}" not in found, f"{table.name} has {name} twice"
            found[f"{table.stem}: {name}"] = before + text
    return found


PROGRAMS = programs()


def test_there_are_many() -> None:
    assert len(PROGRAMS) >= 150


@pytest.mark.skipif(BASH is None, reason="needs bash, which is the oracle")
@pytest.mark.parametrize("name", PROGRAMS)
def test_same_as_bash(name: str, aish: Aish) -> None:
    assert BASH is not None
    theirs, ours = aish.folder / "bash", aish.folder / "aish"
    for folder in (theirs, ours):  # what one leaves behind must not meet the other
        folder.mkdir()
        (folder / "s").write_text(PROGRAMS[name], encoding="utf-8")
    environment = aish.environment | {"HOME": "/nowhere"}
    expected = subprocess.run(
        [BASH, "s"], capture_output=True, cwd=theirs, env=environment, stdin=subprocess.DEVNULL, timeout=30
    )
    aish.folder = ours
    found = aish.run(["s"], env=environment)
    shown = expected.stdout.decode("utf-8", "surrogateescape").replace(str(theirs), str(ours))
    assert (found.out, found.status, bool(found.err)) == (shown, expected.returncode, bool(expected.stderr)), (
        found.err
    )
    assert "a fault in aish" not in found.err
    assert "Traceback" not in found.err
