"""`aish map`: many items, N at a time, each a process of its own; nothing is lost, whatever ends it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Home

DEADLINE_S = 60.0


def run(home: Home, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return home.aish("map", *words, **{"cwd": home.root, "input": ""} | options)


def test_each_is_run_and_its_output_stays_whole(shared_home: Home) -> None:
    done = run(shared_home, "-j", "3", "sh", "-c", 'echo "one $1"; echo "two $1"', "sh", "--", *"abcd")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert sorted(lines) == sorted(f"{word} {item}" for item in "abcd" for word in ("one", "two"))
    for at in range(0, 8, 2):
        assert lines[at].split()[1] == lines[at + 1].split()[1], "outputs of two runs are mixed"


def test_in_the_order_of_the_items(shared_home: Home) -> None:
    done = run(shared_home, "-k", "-j", "3", "sh", "-c", "sleep 0.$1; echo $1", "sh", "--", "3", "2", "1")
    assert done.stdout == "3\n2\n1\n"


def test_items_from_stdin_marks_and_files(shared_home: Home) -> None:
    (shared_home.root / "a b.txt").write_text("text of a")
    done = run(shared_home, "cat", "{}", input="a b.txt\n\n")
    assert done.stdout == "text of a"
    (shared_home.root / "sub").mkdir()
    given = r'$(tr "\0" "\n" </proc/$$/environ | grep ^PWD=)'  # a shell sets its own right
    words = ("--cwd", "sub", "--out", ".", "sh", "-c", f"echo {{}} {given}; echo note >&2")
    done = run(shared_home, *words, input="x/y\n..\n")
    assert (shared_home.root / "x_y").read_text() == f"x/y PWD={shared_home.root}/sub\n"
    assert (shared_home.root / "_..").read_text() == f".. PWD={shared_home.root}/sub\n"
    assert done.stdout == ""
    assert done.stderr == "note\nnote\n"


def test_what_failed_is_told_and_counted(shared_home: Home) -> None:
    done = run(shared_home, "sh", "-c", "exit $1", "sh", "--", "0", "3", "4", "no-such")
    assert done.returncode == 3
    assert "aish map: 3: status 3\n" in done.stderr
    assert "aish map: 1/4 done, 3 failed\n" in done.stderr
    done = run(shared_home, "--json", "sh", "-c", "exit $1", "sh", "--", "0", "3")
    rows = {row["item"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert (rows["0"]["status"], rows["3"]["status"], rows["3"]["attempts"]) == (0, 3, 1)


def test_tried_again_as_often_as_said(shared_home: Home) -> None:
    script = 'echo x >> tries.$1; test "$(wc -l < tries.$1)" -ge $2'
    done = run(shared_home, "--retries", "2", "sh", "-c", f"set -- {{}}; {script}", "--", "a 2", "b 9")
    assert done.returncode == 1
    assert "aish map: b 9: status 1 after 3 tries" in done.stderr
    assert (shared_home.root / "tries.a").read_text() == "x\n" * 2
    assert (shared_home.root / "tries.b").read_text() == "x\n" * 3


def test_halted(shared_home: Home) -> None:
    done = run(shared_home, "--halt", "-j", "1", "sh", "-c", "touch ran.$1; exit $1", "sh", "--", "0", "1", "2")
    assert done.returncode == 2
    assert (shared_home.root / "ran.1").exists()
    assert not (shared_home.root / "ran.2").exists()


def started(home: Home, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "aish", "map", *words],
        env=home.environ,
        cwd=home.root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until_running(home: Home, count: int) -> None:
    names: set[str | None] = set()
    for event in home.client.events(follow=True):
        if event.kind == "started" and event.process and event.process.startswith("p"):
            names.add(event.process)
            if len(names & {row.id for row in home.client.processes(labels={"map": None})}) >= count:
                return


def test_killed_and_resumed_nothing_is_done_twice_and_what_runs_is_waited_for(shared_home: Home) -> None:
    """The runs outlive who started them: a second start of one would do its work twice."""
    script = 'echo "$1" >> begun; test "$1" = quick || while ! test -e "go"; do sleep 0.02; done; echo "did $1"'
    words = ("--joblog", "log.jsonl", "-j", "2", "sh", "-c", script, "sh")
    first = started(shared_home, *words, "--", "quick", "slow", "late")
    log = shared_home.root / "log.jsonl"
    while len(_lines(log)) < 2:
        assert first.poll() is None
    until_running(shared_home, 2)  # slow and late
    first.kill()
    first.communicate()
    again = started(shared_home, *words[:2], "--resume", *words[2:], "--", "quick", "slow", "late", "new")
    (shared_home.root / "go").touch()
    out, err = again.communicate(timeout=DEADLINE_S)
    assert again.returncode == 0, err
    assert sorted(out.splitlines()) == ["did late", "did new", "did slow"], "quick was printed by the first"
    assert sorted((shared_home.root / "begun").read_text().split()) == ["late", "new", "quick", "slow"]
    done = run(shared_home, "-k", *words[:2], "--resume", *words[2:], "--", "quick", "slow", "late", "new")
    assert (done.returncode, done.stdout) == (0, "")


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.parametrize("how", ["interrupt", "reader"])
def test_ended_early_it_leaves_nothing_running(shared_home: Home, how: str) -> None:
    process = started(shared_home, "-j", "2", "sh", "-c", "echo begun; sleep 600", "--", "a", "b", "c")
    until_running(shared_home, 2)
    if how == "interrupt":
        process.send_signal(signal.SIGINT)
    else:
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
    _, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode in ((130, -signal.SIGINT) if how == "interrupt" else (141, -signal.SIGPIPE)), err
    assert [row for row in shared_home.client.processes(labels={"map": None}) if row.state != "exited"] == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "which command?"),
        (("--resume", "true", "--", "a"), "--resume goes by a log"),
        (("-j", "0", "true", "--", "a"), "-j 0"),
        (("--name", "x", "true", "--", "a"), "--name and --restart"),
        (("true", "--", "a", "a"), "an item is there twice"),
        (("--out", "nowhere", "true", "--", "a"), "no such folder"),
        (("@summarise", "--", "no-such-file", "nor-this"), "no file no-such-file (and 1 more)"),
    ],
)
def test_wrong_words_begin_nothing(shared_home: Home, words: tuple[str, ...], told: str) -> None:
    done = run(shared_home, *words)
    assert done.returncode in (2, 69)
    assert told in done.stderr


def test_no_items_is_no_work(shared_home: Home) -> None:
    done = run(shared_home, "true", "--")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert os.listdir(shared_home.root) == []
