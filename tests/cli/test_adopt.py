"""`aish adopt` as a person at bash types it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Home

    from .conftest import Bash, OpenBash


@pytest.fixture
def bash(home: Home, open_bash: OpenBash) -> Bash:
    """A bash with our aish on its PATH."""
    return open_bash(home.environ | {"PATH": f"{Path(sys.executable).parent}:{home.environ['PATH']}"}, home.root)


def rows(home: Home) -> dict[str, str]:
    return {row["name"]: row["state"] for row in json.loads(home.aish("ps", "--all", "--json").stdout)}


def test_a_job_of_this_shell_stays_its_job(home: Home, bash: Bash) -> None:
    """Moved to the background, adopted, paused, let go on, in front again, interrupted: bash and aish agree."""
    # No sh: dash forks by vfork, and a Ctrl-Z before the exec stops the child alone; dash waits for it in the kernel.
    bash.start("bash -c 'echo up; sleep 300; exit 3'")
    bash.shows("up")
    bash.terminal.sendcontrol("z")
    bash.prompt()
    bash.typed("bg")
    assert "p1  job" in bash.typed("aish adopt --pid $! --name job")
    assert rows(home) == {"job": "running"}
    bash.typed("aish pause job")
    assert "Stopped" in bash.typed("jobs")
    bash.typed("aish cont job")
    assert "Running" in bash.typed("jobs")
    bash.foreground()
    bash.terminal.sendcontrol("c")
    assert "bash -c" in bash.prompt()
    assert home.aish("wait", "job").returncode in (130, 69)  # 69: the kernel does not tell
    assert "No such" not in bash.typed("jobs")


def test_stop_from_aish_is_an_ended_job_for_bash(home: Home, bash: Bash) -> None:
    bash.typed("sleep 300 &")
    bash.typed("aish adopt --pid $! --name nap")
    bash.typed("aish stop nap")
    assert "143" in bash.typed("wait $!; echo status $?")


def test_the_shell_itself_is_refused(home: Home, bash: Bash) -> None:
    """To stop it would end the command that was typed in it."""
    told = bash.typed("aish adopt --pid $$; echo status $?")
    assert "ancestor" in told
    assert "status 77" in told


def test_words_that_mean_nothing(home: Home) -> None:
    for words, status, text in (
        (["adopt"], 2, "--pid"),
        (["adopt", "--pid", "0"], 2, "not a pid"),
        (["adopt", "--pid", "4194304"], 69, "no process has the pid"),
        (["adopt", "--pid", "1", "--name="], 2, "--name is empty"),
        (["adopt", "--pid", "1", "--on-oom", "hold"], 2, "--memory"),
    ):
        done = home.aish(*words)
        assert (done.returncode, text in done.stderr) == (status, True), (words, done.stderr)


def test_where_an_adopted_one_writes_is_shown_whatever_it_is(home: Home, bash: Bash) -> None:
    """Fault: /dev/null, which the page's own example has, was 'what is no file'."""
    bash.typed("nohup sleep 300 >/dev/null 2>&1 &")
    bash.typed("aish adopt --pid $! --name null")
    assert "it writes to stdout /dev/null, stderr /dev/null" in home.aish("inspect", "null").stdout
    told = home.aish("logs", "null").stderr
    assert ("was adopted" in told, "look at" in told) == (True, False)
    bash.typed("sleep 301 | sleep 302 &")
    bash.typed("aish adopt --pid $(pgrep -x -f 'sleep 301') --name piped")
    assert "it writes to stdout pipe:[" in home.aish("inspect", "piped").stdout
    home.aish("kill", "null")
    home.aish("wait", "null")
    assert "it had no log here" in home.aish("inspect", "null").stdout
