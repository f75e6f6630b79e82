"""What a newcomer types wrong: the answer names what is wrong and what to do next; nothing is accepted that means
nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Home


def test_a_verb_mistyped_is_not_just_a_missing_file(home: Home) -> None:
    done = home.aish("spwan", "--name", "x")
    assert (done.returncode, "did you mean `aish spawn`?" in done.stderr) == (127, True)
    done = home.aish("nosuchthing")
    assert (done.returncode, "`aish --help`" in done.stderr) == (127, True)


def test_embed_reads_its_words_before_it_fetches_a_model(home: Home) -> None:
    """98 MB were fetched, and then the option was unknown; and for another model than the one that was named."""
    done = home.aish("embed", "--nosuch")
    assert (done.returncode, "unrecognized arguments: --nosuch" in done.stderr) == (2, True)
    assert "fetching" not in done.stderr
    done = home.aish("embed", "--model", "another", "/no/such/file")
    assert "fetching" not in done.stderr


def test_a_program_that_cannot_be_run_is_told_by_spawn_run_wait_and_ps(home: Home) -> None:
    """`run` said that nobody can tell its exit status; ps said 'exit unknown: start'."""
    for verb in ("spawn", "run"):
        done = home.aish(verb, "--", "/no/such/program")
        assert (done.returncode, "cannot be run: No such file" in done.stderr) == (127, True), verb
        done = home.aish(verb, "--", "/etc/passwd")
        assert (done.returncode, "cannot be run: Permission denied" in done.stderr) == (126, True), verb
        done = home.aish(verb, "--vram", "1G", "--", "true")
        assert (done.returncode, "no GPU was found" in done.stderr) == (69, True), verb
    assert [home.aish("wait", f"p{number}").returncode for number in (1, 2, 3)] == [127, 126, 69]
    assert home.aish("wait", "--any", "p1").returncode == 127
    lines = home.aish("ps", "--all").stdout.splitlines()[1:]
    assert [line.rpartition("  ")[2] for line in lines if " gateway " not in line] == 2 * [
        "the program cannot be run: No such file or directory",
        "the program cannot be run: Permission denied",
        "no GPU was found: `aish gpu` says what the drivers answer",
    ]


def test_a_folder_that_was_removed_is_named_as_the_fault(shared_home: Home, tmp_path: Path) -> None:
    """'No such file or directory' alone was read as: the program is not there."""
    gone = tmp_path / "gone"
    gone.mkdir()
    for words in (["spawn", "--", "true"], ["run", "--", "true"], ["agent", "ls"], ["-c", "echo x | @title"]):
        script = 'rmdir "$PWD"; "$@"; status=$?; mkdir "$OLD"; exit $status'
        done = subprocess.run(
            ["sh", "-c", script, "sh", sys.executable, "-P", "-m", "aish", *words],
            cwd=gone,
            env=shared_home.environ | {"OLD": str(gone)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, "the current folder does not exist any more" in done.stderr) == (69, True), words


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("spawn --name= -- true", "--name is empty"),
        ("spawn --name a=b -- true", "--name: not a name"),
        ("spawn --name p12 -- true", "--name: p12 looks like an id"),
        ("spawn --vram 0 -- true", "--vram: expected a size above 0"),
        ("run --cpus 0 -- true", "--cpus: expected"),
        ("run --memory 1 -- true", "--memory: expected"),
        ("run --ionice fast -- true", "--ionice: expected"),
        ("run --nice 40 -- true", "--nice: expected -20 to 19"),
        ("spawn --ready http://x --every 0 -- true", "--every: expected"),
        ("spawn --restart-delay 0 -- true", "--restart-delay: expected a time above 0 s, at most 316224000 s"),
        (
            "spawn --restart-delay 5:1 -- true",
            "--restart-delay 5:1: the longest delay is shorter",
        ),
        (
            "spawn --pty --log ordered -- true",
            "--log: what is written to a terminal is in one log",
        ),
        ("spawn --hook-timeout 1e12 -- true", "--hook-timeout: expected a time above 0 s, at most 316224000 s"),
        ("spawn --needs x:ready:1e12 -- true", "--needs: expected a time above 0 s, at most 316224000 s"),
        ("spawn --socket a=127.0.0.1:0 -- true", "--socket: expected a port from 1 to 65535"),
        ("model serve x --url http://me:s3cret@host/v1", "--url holds a user or a password"),
        ("spawn --gpus 2 -- true", "--gpus says nothing without --vram"),
        ("spawn --grace nan -- true", "expected 0 to 3600"),
        ("spawn --grace inf -- true", "expected 0 to 3600"),
        ("spawn --budget 99999999999999999999G -- true", "too large"),
        ("spawn --vram 99999999T -- true", "too large"),
        ("model serve x --url http://127.0.0.1:1/v1 --context 99999999999999999999G", "too large"),
        ("spawn --secret K-Y=file:x -- true", "not the name of a variable"),
        ("spawn --secret KEY=s3cret -- true", "--secret KEY=…: expected where it is"),
        ("spawn --secret A=file:x --secret A=file:y -- true", "given twice"),
        ("spawn --secret AISH_ID=file:x -- true", "the supervisor's"),
        ("spawn --socket nowhere -- true", "--socket: not an address"),
        ("spawn --socket 127.0.0.1:x -- true", "--socket: not an address"),
        ("spawn --socket unix:a --socket unix:a -- true", "the same address twice"),
        ("spawn --secret A=keyring:x -- true", "--secret: expected SERVICE/USER"),
        ("spawn --secret NOT_SET_HERE -- true", "not set here"),
        ("spawn --model big -- true", "--model chooses for agent files and models"),
        ("stop --grace nan x", "--grace"),
        ("wait --timeout nan x", "--timeout nan"),
        ("wait --timeout inf x", "--timeout inf"),
        ("wait --timeout -1 x", "--timeout -1"),
        ("model serve x --timeout nan", "--timeout must be above 0"),
        ("model serve x --timeout inf", "--timeout must be above 0"),
        ("events --since -1", "--since -1"),
        ("events --since 99999999999999999999", "--since 9"),
        ("usage --since nans", "not an age"),
        ("usage --since -1h", "--since"),
        ("usage --by agnet", "did you mean agent?"),
    ],
)
def test_a_value_that_means_nothing_is_refused_before_anything_starts(home: Home, words: str, told: str) -> None:
    """Some were taken silently; one ended as a fault of aish."""
    done = home.aish(*words.split())
    assert (done.returncode, told in done.stderr) == (2, True), done.stderr
    assert "s3cret" not in done.stderr
    assert not (home.runtime / "daemon.sock").exists()


def test_a_key_file_that_would_hang_its_reader_is_refused(home: Home) -> None:
    """The gateway opened a FIFO and stood still."""
    pipe = home.root / "key"
    os.mkfifo(pipe, 0o600)
    for path in (pipe, home.root):
        words = ("model", "serve", "x", "--url", "http://127.0.0.1:1/v1", "--key-file", str(path))
        done = home.aish(*words)
        assert (done.returncode, "is not a regular file" in done.stderr) == (2, True), done.stderr
    assert not (home.runtime / "daemon.sock").exists()


def test_a_program_whose_name_is_no_name_gets_one_that_fits(shared_home: Home) -> None:
    """Nobody chose that name: it was refused as if somebody had."""
    program = shared_home.root / "my job"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    done = shared_home.aish("spawn", "--", str(program))
    assert (done.returncode, done.stdout.split()[1]) == (0, "my-job"), done.stderr


def test_a_stage_that_is_to_be_restarted_is_told_what_can_be(shared_home: Home) -> None:
    """ "use files" said nothing to who had typed `run`."""
    done = shared_home.aish("run", "--restart", "always", "--", "true")
    assert (done.returncode, "`aish spawn`" in done.stderr) == (65, True)


def test_a_need_that_is_mistyped_is_suspected(shared_home: Home) -> None:
    """Fault: one line, and then it waits for ever, since any process may still come."""
    shared_home.client.spawn(["sleep", "300"], name="database")
    done = shared_home.aish("spawn", "--name", "web", "--needs", "databse", "--", "true")
    assert done.returncode == 0
    assert "no process is called databse so far: did you mean database?" in done.stderr
    done = shared_home.aish("spawn", "--name", "other", "--needs", "entirely-else", "--", "true")
    assert (done.returncode, done.stderr) == (0, "")
    running = shared_home.popen("run", "--name", "front", "--needs", "databse", "--", "true", stderr=subprocess.PIPE)
    assert running.stderr is not None
    told = running.stderr.readline() + running.stderr.readline()
    assert b"is queued" in told
    assert b"did you mean database?" in told
    shared_home.client.stop("front", "web", "other")
    running.wait(30)


@pytest.mark.parametrize("grace", ["10s", "2m", "1.5h"])
def test_a_grace_that_is_a_time(shared_home: Home, grace: str) -> None:
    """`--grace 2m` were two million tokens; `spawn` and `stop` have a grace of seconds."""
    done = shared_home.aish("wrapup", "any", "--grace", grace)
    assert done.returncode == 2
    assert f"--within {grace}" in done.stderr
    assert ("tokens=2m" in done.stderr) == (grace == "2m"), "who meant tokens is not told how"
