"""Tab behind `aish` in the shells themselves, and the words that their scripts ask for."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pexpect
import pytest

from aish.cli import VERBS, completion

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Home

ARGUMENTS = {
    "bash": ["--norc", "--noprofile", "-i"],
    "zsh": ["-f", "-i"],
}


class Shell:
    """A shell at a terminal that has taken its script."""

    def __init__(self, home: Home, name: str) -> None:
        self.name = name
        path = f"{Path(sys.executable).parent}:{home.environ['PATH']}"
        environ = home.environ | {"PATH": path, "PS1": "ready> ", "PROMPT": "ready> ", "TERM": "dumb"}
        self.child = pexpect.spawn(
            name,
            ARGUMENTS[name],
            env=environ,
            cwd=str(home.root),
            encoding="utf-8",
            timeout=60,
            dimensions=(40, 200),
        )
        self.child.delaybeforesend = None
        self.child.sendline(f'eval "$(aish completion {name})"; echo do""ne')
        self.child.expect_exact("done")

    def completed(self, line: str) -> str:
        """What the terminal shows when Tab was pressed once at the end of `line`, which is not run."""
        self.child.send(f"\x15{line}\t")
        self.child.send("\x01: \x05; echo en''ded\r")  # now it begins with a colon
        self.child.expect_exact("ended\r\n")
        return str(self.child.before)


@pytest.fixture(params=["bash", "zsh"])
def shell(request: pytest.FixtureRequest, home: Home) -> Iterator[Shell]:
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    made = Shell(home, request.param)
    try:
        yield made
    finally:
        made.child.close(force=True)


def test_one_tab_completes_what_is_the_only_one(home: Home, shell: Shell) -> None:
    """Words with @ : and = too, at which bash ends a word for itself."""
    for name in ("training", "a:job"):
        home.aish("spawn", "--name", name, "--", "sleep", "100")
    for typed, wanted in (
        ("aish atta", "aish attach"),
        ("aish stop tra", "aish stop training"),
        ("aish stop @tra", "aish stop @training"),
        ("aish spawn --bud", "aish spawn --budget"),
        ("aish kill -s WIN", "aish kill -s WINCH"),
        ("aish spawn --restart on", "aish spawn --restart on-failure"),
        ("aish limit training mem", "aish limit training memory=;"),
        ("aish limit us", "aish limit user"),
        ("aish limit user tokens=5M", "aish limit user tokens=5M/day"),
    ):
        assert wanted in shell.completed(typed), typed
    assert re.search(r"aish stop a\\?:job", shell.completed("aish stop a:j"))


def test_files_and_commands_where_they_fit(home: Home, shell: Shell) -> None:
    (home.root / "only-script.aish").write_text("")
    assert "aish ./only-script.aish" in shell.completed("aish ./only-s")
    assert "aish agent check only-script.aish" in shell.completed("aish agent check only-s")
    assert "aish run -- mktemp" in shell.completed("aish run -- mktem")


def test_fish_gets_the_words_with_what_they_mean(home: Home) -> None:
    if shutil.which("fish") is None:
        pytest.skip("fish is not installed")
    home.aish("spawn", "--name", "training", "--", "sleep", "100")
    environ = home.environ | {"PATH": f"{Path(sys.executable).parent}:{home.environ['PATH']}"}
    for typed, wanted in (
        ("aish atta", "attach\t" + VERBS["attach"]),
        ("aish stop @tra", "@training\trunning p1"),
        ("aish run -- mktem", "mktemp"),
    ):
        script = f"aish completion fish | source; complete -C '{typed}'"
        done = subprocess.run(
            ["fish", "--no-config", "-c", script], env=environ, capture_output=True, text=True, check=False
        )
        assert done.stdout.startswith(wanted), (typed, done)


# --- what the scripts ask -------------------------------------------------------------------------------------------


def asked(home: Home, shell: str, *words: str) -> tuple[int, list[str]]:
    done = home.aish("completion", "--for", shell, "--", *words)
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


def test_words_behind_a_verb_and_no_daemon_is_started(home: Home) -> None:
    assert asked(home, "bash", "")[1] == list(VERBS)
    assert asked(home, "bash", "stop", "") == (0, [])
    assert asked(home, "bash", "shim", "--install", "") == (0, ["bash", "fish", "zsh"])
    assert asked(home, "bash", "no-verb", "x")[0] == completion.FILES
    assert asked(home, "bash", "scri")[0] == completion.FILES
    assert asked(home, "bash", "run", "--", "x")[0] == completion.COMMANDS
    assert asked(home, "bash", "run", "--", "cat", "x")[0] == completion.FILES
    assert "@title" in asked(home, "bash", "run", "--", "@t")[1]
    assert not (home.runtime / "daemon.sock").exists()


def test_a_daemon_that_hangs_does_not_hang_tab(home: Home) -> None:
    import os
    import signal

    home.aish("spawn", "--name", "training", "--", "sleep", "100")
    daemon = json.loads(home.aish("top", "--once", "--json").stdout)["daemon_pid"]
    os.kill(daemon, signal.SIGSTOP)
    try:
        assert asked(home, "bash", "stop", "")[1] == []  # said at once, or files after a moment
    finally:
        os.kill(daemon, signal.SIGCONT)


def test_the_script_of_each_shell(home: Home) -> None:
    for shell in completion.SHELLS:
        done = home.aish("completion", shell)
        assert done.returncode == 0
        assert json.loads(home.aish("completion", shell, "--json").stdout)["script"] + "\n" == done.stdout
        if shutil.which(shell):
            assert subprocess.run([shell, "-n"], input=done.stdout, text=True, check=False).returncode == 0
    assert "did you mean bash" in home.aish("completion", "bas").stderr


def test_lines_as_each_shell_wants_them() -> None:
    offers = [("a:b", "running  p1\n"), ("c", ""), ("x\x1b[0m", "steers the terminal")]
    assert completion.shown("bash", offers) == ["a:b", "c"]
    assert completion.shown("zsh", offers) == ["a\\:b:running p1", "c"]
    assert completion.shown("fish", offers) == ["a:b\trunning p1", "c"]
