"""The prompt segment in the shells themselves: what the file says, nothing where it says nothing true."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pexpect
import pytest

from aish.cli import prompt

if TYPE_CHECKING:
    from conftest import Home

HOOKS = {
    "bash": ("bash", "--norc", "--noprofile", "-c", '{script}\n__aish_prompt\nprintf "<%s>" "$AISH_PROMPT"'),
    "zsh": ("zsh", "-f", "-c", '{script}\n__aish_prompt\nprintf "<%s>" "$AISH_PROMPT"'),
    "fish": ("fish", "--no-config", "-c", '{script}\n__aish_prompt\nprintf "<%s>" "$AISH_PROMPT"'),
}


@pytest.fixture(params=HOOKS)
def shell(request: pytest.FixtureRequest) -> str:
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    return str(request.param)


def shown(home: Home, shell: str, **environ: str) -> str:
    """What stands before the prompt of a shell that has taken the script."""
    words = [word.replace("{script}", prompt.SCRIPTS[shell]) for word in HOOKS[shell]]
    done = subprocess.run(
        words, env=home.environ | {"LC_ALL": "C.UTF-8"} | environ, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    text = done.stdout
    assert (text[:1], text[-1:]) == ("<", ">")
    return text[1:-1]


def write(home: Home, text: str) -> None:
    home.runtime.mkdir(mode=0o700, exist_ok=True)
    (home.runtime / "prompt").write_text(text)


def test_what_is_not_none_is_shown(home: Home, shell: str) -> None:
    write(home, f"pid={os.getpid()} running=3 queued=0 held=1 failed=2\n")
    assert shown(home, shell) == "⏵3 ⏸1 ✗2 "
    write(home, f"pid={os.getpid()} running=0 queued=4 held=0 failed=0 later=word needs=x5 more\n")
    assert shown(home, shell) == "…4 "
    write(home, f"pid={os.getpid()} running=0 queued=0 held=0 failed=0 asks=0\n")
    assert shown(home, shell) == ""
    write(home, f"pid={os.getpid()} running=3 queued=0 held=0 failed=0 asks=2\n")
    assert shown(home, shell) == "⏵3 2 need you "
    write(home, f"pid={os.getpid()} running=0 queued=0 held=0 failed=0 asks=1\n")
    assert shown(home, shell) == "1 needs you "
    if shell != "fish":
        write(home, f"pid={os.getpid()} running=3 queued=0 held=1 failed=0\n")
        assert shown(home, shell, LC_ALL="C") == "3 running 1 held "
    shutil.rmtree(home.runtime)


def test_nothing_where_it_says_nothing_true(home: Home, shell: str) -> None:
    """No file, a daemon that was killed, nonsense, what steers the terminal, a pipe that would hang every prompt."""
    assert shown(home, shell) == ""
    gone = subprocess.Popen(["true"])
    gone.wait()
    for text in (
        "",
        "\n",
        f"pid={gone.pid} running=3 queued=0 held=1 failed=1\n",
        "running=3\n",
        "pid= running=3\n",
        "pid=/../proc running=3\n",
        f"pid={os.getpid()} running=$(touch${{IFS}}x) held=\x1b[31m1 failed=`id`\n",
    ):
        write(home, text)
        assert shown(home, shell) == "", text
    (home.runtime / "prompt").unlink()
    os.mkfifo(home.runtime / "prompt")
    assert shown(home, shell) == ""
    (home.runtime / "prompt").unlink()
    if os.geteuid() == 0:
        write(home, f"pid={os.getpid()} running=3 queued=0 held=1 failed=1\n")
        os.chown(home.runtime / "prompt", 65534, 65534)
        assert shown(home, shell) == "", "another user's"
    shutil.rmtree(home.runtime)


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_at_a_real_bash(home: Home) -> None:
    """It follows what happens, keeps $? and PROMPT_COMMAND, is taken once, and starts no process."""
    path = f"{Path(sys.executable).parent}:{home.environ['PATH']}"
    child = pexpect.spawn(
        "bash",
        ["--norc", "--noprofile", "-i"],
        env=home.environ | {"PATH": path, "TERM": "dumb", "PS1": "ready> ", "LC_ALL": "C.UTF-8"},
        cwd=str(home.root),
        encoding="utf-8",
        timeout=60,
        dimensions=(24, 200),
        echo=False,
    )
    try:
        child.sendline('PROMPT_COMMAND="mine=1"; eval "$(aish prompt bash)"; eval "$(aish prompt bash)"; PS2=')
        child.expect_exact("ready> ")
        child.sendline("aish spawn --name job -- sleep 300")
        child.expect_exact("job")
        for _ in range(600):
            child.expect_exact("ready> ")
            if child.before.endswith("⏵1 "):
                break
            child.sendline("sleep 0.05")  # until the file was written: bash cannot wait for that
        assert child.before.endswith("⏵1 ")
        child.sendline("false")
        child.expect_exact("⏵1 ready> ")
        child.sendline("echo status $? $mine ${PROMPT_COMMAND//[^_]/}")
        child.expect_exact("status 1 1 ___")  # __aish_prompt once
        child.expect_exact("⏵1 ready> ")
        child.sendline('echo $BASHPID; true & wait $!; echo "next $!"')
        child.expect(r"next (\d+)")
        first = int(child.match[1])
        child.expect_exact("⏵1 ready> ")
        for _ in range(3):
            child.sendline("")
            child.expect_exact("⏵1 ready> ")
        assert "$(" not in prompt.BASH
        assert "`" not in prompt.BASH
        assert first
    finally:
        child.close(force=True)


def test_the_script_of_each_shell(home: Home) -> None:
    for shell in prompt.SCRIPTS:
        done = home.aish("prompt", shell)
        assert done.returncode == 0
        assert json.loads(home.aish("prompt", shell, "--json").stdout)["script"] + "\n" == done.stdout
        if shutil.which(shell):
            assert subprocess.run([shell, "-n"], input=done.stdout, text=True, check=False).returncode == 0
    assert "did you mean fish" in home.aish("prompt", "fis").stderr
