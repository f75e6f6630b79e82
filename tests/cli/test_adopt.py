"""`aish adopt` as a person at bash types it."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pexpect
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Home


@pytest.fixture
def bash(home: Home) -> Iterator[pexpect.spawn]:
    """A bash with a terminal and our aish on its PATH; it prompts `ready> `."""
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    shell = pexpect.spawn(
        "bash",
        ["--norc", "--noprofile", "-i"],
        env=home.environ
        | {"PATH": f"{Path(sys.executable).parent}:{home.environ['PATH']}", "PS1": "ready> ", "TERM": "dumb"},
        cwd=str(home.root),
        encoding="utf-8",
        timeout=30,
        dimensions=(24, 200),
        echo=False,
    )
    shell.expect_exact("ready> ")
    try:
        yield shell
    finally:
        shell.close(force=True)


def typed(shell: pexpect.spawn, line: str) -> str:
    shell.sendline(line)
    shell.expect_exact("ready> ")
    return str(shell.before)


def rows(home: Home) -> dict[str, str]:
    return {row["name"]: row["state"] for row in json.loads(home.aish("ps", "--all", "--json").stdout)}


def test_a_job_of_this_shell_stays_its_job(home: Home, bash: pexpect.spawn) -> None:
    """Moved to the background, adopted, paused, let go on, in front again, interrupted: bash and aish agree."""
    bash.sendline("sh -c 'echo up; sleep 300; exit 3'")
    bash.expect_exact("up")
    bash.sendcontrol("z")
    bash.expect_exact("ready> ")
    typed(bash, "bg")
    assert "p1  job" in typed(bash, "aish adopt --pid $! --name job")
    assert rows(home) == {"job": "running"}
    typed(bash, "aish pause job")
    assert "Stopped" in typed(bash, "jobs")
    typed(bash, "aish cont job")
    assert "Running" in typed(bash, "jobs")
    bash.sendline("fg")
    bash.expect_exact("sh -c")
    bash.sendcontrol("c")
    bash.expect_exact("ready> ")
    assert home.aish("wait", "job").returncode in (130, 69)  # 69: the kernel does not tell
    assert "No such" not in typed(bash, "jobs")


def test_stop_from_aish_is_an_ended_job_for_bash(home: Home, bash: pexpect.spawn) -> None:
    typed(bash, "sleep 300 &")
    typed(bash, "aish adopt --pid $! --name nap")
    typed(bash, "aish stop nap")
    assert "143" in typed(bash, "wait $!; echo status $?")


def test_the_shell_itself_is_refused(home: Home, bash: pexpect.spawn) -> None:
    """To stop it would end the command that was typed in it."""
    told = typed(bash, "aish adopt --pid $$; echo status $?")
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
