"""A shell without a prompt tells what was killed in the background; one that runs a text forgets what ended there.

Claude Code sources `set -o monitor` before each command: `kill %1` named a job that had ended long before it.
"""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.lang.conftest import Aish

BASH = shutil.which("bash")
PROGRAMS = [
    "sleep 0.05 & sleep 0.3; jobs; echo end",
    "sleep 0.05 & sleep 0.3; sleep 5 & kill %1; echo $?; wait %1; echo $?",
    "(exit 3) & p=$!; sleep 0.2 | cat; wait $p; echo $?; wait $p; echo $?; wait %1; echo $?",
    "(exit 3) & sleep 0.2; wait -n; echo $?",
    "sleep 0.05 & x=$(sleep 0.3); jobs; true; jobs",
    "sleep 0.05 & p=$!; (sleep 0.3); jobs; wait $p; echo $?",
    "sleep 4 & kill -9 $!; /bin/sleep 0.1 2>err; echo $(cat err); jobs",
    "sleep 4 & kill -9 $!; (sleep 0.1) 2>err && kill %1; echo $? $(cat err)",
    "sh -c 'kill -9 $$' & sleep 0.2; echo a; jobs; wait %1; echo $?",
    "sh -c 'kill -USR1 $$' & wait $!; echo $?; trap : USR1; sh -c 'kill -USR1 $$' & wait $!; echo $?",
    "sleep 5 & kill $!; wait $!; echo $?; jobs; sh -c 'kill -PIPE $$' & wait $!; sh -c 'kill -INT $$' & wait $!",
]


@pytest.mark.skipif(BASH is None, reason="needs bash, which is the oracle")
@pytest.mark.parametrize("option", ["+m", "-m"])
@pytest.mark.parametrize("way", ["text", "file"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_same_as_bash(program: str, way: str, option: str, aish: Aish) -> None:
    assert BASH is not None
    program = f"set {option}; {program}"
    (aish.folder / "s").write_text(program)
    words = ["-c", program] if way == "text" else ["s"]
    bash = subprocess.run(
        [BASH, *words],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=aish.folder, env=aish.environment, timeout=60,
    )  # fmt: skip
    found = aish.run(words)
    assert (found.out, found.status) == (bash.stdout, bash.returncode)
    assert [line[:26] for line in found.err.splitlines() if line[0] == "["] == [
        line[:26] for line in bash.stderr.splitlines() if line[0] == "["
    ], "jobs that are told"
    for what in ("Killed", "User defined signal 1"):
        assert found.err.count(what) == bash.stderr.count(what), found.err
