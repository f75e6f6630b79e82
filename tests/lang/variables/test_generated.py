"""Seeded programs of expansions behave as in bash, statement by statement."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.lang.variables.generator import Expansions

if TYPE_CHECKING:
    from tests.lang.conftest import Aish

BASH = shutil.which("bash")


@pytest.mark.skipif(BASH is None, reason="needs bash, which is the oracle")
@pytest.mark.parametrize("seed", range(16))
def test_same_as_bash(seed: int, aish: Aish) -> None:
    for name in ("a", "ab", "abc", "b.c"):
        (aish.folder / name).touch()
    program = Expansions(seed).program()
    (aish.folder / ".program").write_text(program)
    assert BASH is not None
    done = subprocess.run(
        [BASH, ".program"],
        capture_output=True,
        cwd=aish.folder,
        env=aish.environment,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )
    expected = done.stdout.decode("utf-8", "surrogateescape").split("\n==")
    found = aish.run([".program"]).out.split("\n==")
    statements = program.split("\necho ==")[1:]
    for statement, theirs, ours in zip(statements, expected, found, strict=True):
        assert ours == theirs, statement
