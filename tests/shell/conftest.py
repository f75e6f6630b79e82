"""The shell as a process, and a shell with a host of the test's own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.lang.conftest import ROOT, Aish, Result

if TYPE_CHECKING:
    from collections.abc import Callable

_HOST = '''
import os, sys
sys.path.insert(0, {root!r})
from aish.shell.host import ShellHost
from aish.shell.program import run

class Host(ShellHost):
    """Stages that are short Python code; verbs that tell what they see."""

    def run_stage(self, argv, environment):
        os.environ.clear(); os.environ.update(environment)
        return stages[argv[0]](argv[1:]) or 0

def verb(words):
    print("verb", *words)
    sys.stdout.flush()
    return verbs[words[0]](words[1:]) or 0

stages, verbs = {{}}, {{}}
{code}
os._exit(run(sys.argv[1:], Host(verb, lambda words: bool(words) and words[0] in verbs, verbs, lambda: ["@a"])))
'''


@pytest.fixture
def aish(tmp_path: Path) -> Aish:
    return Aish(tmp_path)


@pytest.fixture
def hosted(tmp_path: Path) -> Callable[..., Result]:
    """hosted(code, script): a shell whose `stages` and `verbs` the Python `code` fills in."""
    shell = Aish(tmp_path)

    def run(code: str, script: str, **options: Any) -> Result:
        program = tmp_path / "host.py"
        program.write_text(_HOST.format(root=str(ROOT), code=code))
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("timeout", 30)
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(program), "-c", script],
            capture_output=True, cwd=tmp_path, env=shell.environment, **options,
        )  # fmt: skip
        return Result(done)

    return run
