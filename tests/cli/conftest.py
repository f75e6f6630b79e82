"""A bash at a terminal, as a person has it: for the verbs whose work is seen by a shell with jobs. And a person
with an agent, for those about agents' work."""

from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING

import pexpect
import pytest

from aish.plugins.simprovider.server import LLAMACPP
from aish.plugins.simprovider.thread import Running

from .person import Person

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import Home

    from aish.plugins.simprovider.server import Provider

    OpenBash = Callable[[dict[str, str], Path], "Bash"]

DEADLINE_S = 60.0
PROMPT = "ready> "


class Bash:
    """An interactive bash of 24 rows and 200 columns; it prompts `ready> `."""

    def __init__(self, environ: dict[str, str], folder: Path) -> None:
        self.terminal = pexpect.spawn(
            "bash",
            ["--norc", "--noprofile", "-i"],
            env=environ | {"PS1": PROMPT, "TERM": "dumb"},
            cwd=str(folder),
            encoding="utf-8",
            timeout=DEADLINE_S,
            dimensions=(24, 200),
            echo=False,
        )
        self.prompt()

    def prompt(self) -> str:
        """Wait for the prompt; what was shown before it."""
        self.terminal.expect_exact(PROMPT)
        return str(self.terminal.before)

    def start(self, line: str) -> None:
        self.terminal.sendline(line)

    def typed(self, line: str) -> str:
        self.start(line)
        return self.prompt()

    def shows(self, line: str) -> None:
        """Wait for a line of output; what is typed is not shown."""
        self.terminal.expect_exact(f"{line}\r\n")

    def foreground(self) -> None:
        """`fg`; returns when the job has the terminal: bash tells its name before, and a Ctrl-C would be bash's."""
        self.start("fg")
        end_s = time.monotonic() + DEADLINE_S
        while os.tcgetpgrp(self.terminal.child_fd) == self.terminal.pid:
            assert time.monotonic() < end_s, "fg did not give the terminal to the job"
            time.sleep(0.01)  # the kernel has no event for it

    def close(self) -> None:
        self.terminal.close(force=True)


@pytest.fixture
def open_bash() -> Iterator[OpenBash]:
    """Start a bash with this environment in that folder."""
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    opened: list[Bash] = []

    def start(environ: dict[str, str], folder: Path) -> Bash:
        opened.append(Bash(environ, folder))
        return opened[-1]

    yield start
    for shell in opened:
        shell.close()


@pytest.fixture(scope="module")
def model(module_home: Home) -> Iterator[Provider]:
    """A scripted model that the gateway has as `sim`; what it was asked is seen."""
    running = Running(engine=LLAMACPP)
    try:
        done = module_home.aish("model", "serve", "sim", "--url", running.url)
        assert done.returncode == 0, done.stderr
        yield running.provider
    finally:
        running.stop()


@pytest.fixture
def person(model: Provider, shared_home: Home) -> Person:
    shared_home.environ["AISH_MODEL"] = "sim"
    return Person(shared_home)
