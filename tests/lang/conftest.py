"""The shell as a process, as scripts meet it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
_BOOT = (
    f"import sys, os; sys.path.insert(0, {str(ROOT)!r}); from aish.shell import main; os._exit(main(sys.argv[1:]))"
)
SHELL = [sys.executable, "-I", "-S", "-c", _BOOT]
"""A shell without the cost of site-packages: -c makes sys.argv[0] '-c'."""


class Result:
    """What a shell wrote and how it ended; `status` is negative for a signal, as subprocess has it."""

    def __init__(self, done: subprocess.CompletedProcess[bytes]) -> None:
        self.out = done.stdout.decode("utf-8", "surrogateescape")
        self.err = done.stderr.decode("utf-8", "surrogateescape")
        self.status = done.returncode


class Aish:
    """Runs shells in a folder of the test's own, with a small environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "LC_ALL": "C.UTF-8",
            "TMPDIR": str(folder),
        }

    def __call__(self, script: str, *arguments: str, **options: Any) -> Result:
        """`aish -c script name arguments` ."""
        return self.run(["-c", script, "aish", *arguments] if arguments else ["-c", script], **options)

    def run(self, argv: list[str], **options: Any) -> Result:
        """`aish argv`; stdin is empty unless `input` or `stdin` is given."""
        if "input" not in options:
            options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("env", self.environment)
        options.setdefault("timeout", 30)
        return Result(subprocess.run([*SHELL, *argv], capture_output=True, cwd=self.folder, **options))

    def popen(self, script: str, **options: Any) -> subprocess.Popen[bytes]:
        """A running `aish -c script` with pipes."""
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(
            [*SHELL, "-c", script],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.folder,
            env=self.environment,
            **options,
        )


@pytest.fixture
def aish(tmp_path: Path) -> Aish:
    return Aish(tmp_path)
