"""Short forms exist at the prompt only, and never take a Unix name away."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pexpect
import pytest

from aish.cli import VERBS
from aish.shell import short_forms

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Home

# POSIX utilities and those of coreutils, procps, util-linux, bash that a verb could be mistaken for.
UNIX = {"env", "kill", "wait", "ps", "top", "shutdown", "run-parts", "jobs", "fg", "bg", "logger", "key", "free"}


def test_no_short_form_takes_a_unix_name() -> None:
    assert not UNIX & set(short_forms.NAMES)
    assert set(short_forms.NAMES) | set(short_forms.BARE) <= set(VERBS)


def test_a_program_of_such_a_name_is_told_to_the_developer() -> None:
    """If a distribution brings a program of one of these names, the list has to shrink."""
    base = "/usr/bin:/bin:/usr/sbin:/sbin"
    assert [name for name in short_forms.NAMES if shutil.which(name, path=base)] == []


def test_scripts_do_not_see_them(home: Home) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "aish", "-c", "doctor"], env=home.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 127


@pytest.fixture
def prompt(home: Home) -> Iterator[pexpect.spawn[str]]:
    environ = home.environ | {"TERM": "dumb", "PS1": "PROMPT> "}
    child = pexpect.spawn(sys.executable, ["-m", "aish"], env=environ, encoding="utf-8", timeout=60)
    child.delaybeforesend = None
    child.expect_exact("PROMPT> ")
    yield child
    child.close(force=True)


@pytest.mark.skipif(shutil.which("ps") is None, reason="needs ps: apt-get install procps")
def test_at_the_prompt_bare_ps_shows_ours_and_ps_with_words_the_systems(prompt: pexpect.spawn[str]) -> None:
    prompt.send("ps\r")
    prompt.expect_exact("nothing is supervised")
    prompt.expect_exact("PROMPT> ")
    prompt.send("ps -p $$ -o pid=\r")
    prompt.expect(str(prompt.pid))
    prompt.expect_exact("PROMPT> ")
    prompt.send("ps | cat\r")
    prompt.expect_exact("PID")
    prompt.expect_exact("PROMPT> ")
    prompt.send("type spawn\r")
    prompt.expect_exact("spawn is a function")
    prompt.expect_exact("PROMPT> ")
    prompt.send("exit\r")
    prompt.expect(pexpect.EOF)
    prompt.close()
    assert prompt.exitstatus == 0
