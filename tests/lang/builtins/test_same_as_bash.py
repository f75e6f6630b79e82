"""The programs of the tables beside this file behave here as in bash: same output, same status, and something on
stderr or nothing. A program is a few lines about one built-in, option or kind of pattern."""

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
        for part in table.read_text(encoding="utf-8").split("=== ")[1:]:
            name, _, text = part.partition("\n")
            assert f"{table.stem}: {name}" not in found, f"{table.name} has {name} twice"
            found[f"{table.stem}: {name}"] = text
    return found


PROGRAMS = programs()


def test_there_are_many() -> None:
    assert len(PROGRAMS) >= 90


@pytest.mark.skipif(BASH is None, reason="needs bash, which is the oracle")
@pytest.mark.parametrize(
    "name", [name if at % 2 == 0 else pytest.param(name, marks=pytest.mark.slow) for at, name in enumerate(PROGRAMS)]
)
def test_same_as_bash(name: str, aish: Aish) -> None:
    assert BASH is not None
    expected_in, found_in = aish.folder / "bash", aish.folder / "aish"
    for folder in (expected_in, found_in):
        folder.mkdir()
        (folder / "s").write_text(PROGRAMS[name], encoding="utf-8")
    environment = aish.environment | {"HOME": "/nowhere"}
    expected = subprocess.run(
        [BASH, "s"],
        capture_output=True,
        cwd=expected_in,
        env=environment,
        stdin=subprocess.DEVNULL,
        timeout=60,
        start_new_session=True,
    )
    aish.folder = found_in
    found = aish.run(["s"], env=environment, start_new_session=True)
    shown = expected.stdout.decode("utf-8", "surrogateescape").replace(str(expected_in), str(found_in))
    assert (found.out, found.status, bool(found.err)) == (shown, expected.returncode, bool(expected.stderr)), (
        found.err
    )
    assert "a fault in aish" not in found.err
    assert "Traceback" not in found.err
