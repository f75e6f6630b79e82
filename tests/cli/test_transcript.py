"""`aish transcript`: shown, followed, and harmless whatever a model has said."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from aish.cli.transcript import Told, written
from aish.client import connect

if TYPE_CHECKING:
    from conftest import Home

AGENT = """
import sys
from aish.agents.transcript import Transcript
kept = Transcript.of_environment()
kept.write("prompt", text="fix\\nit", agent="x", adapter="y")
kept.write("tool", name="Bash: pytest -x")
kept.write("text", text="\\x1b]0;owned\\x07done" + "x" * (2 << 20))
for line in sys.stdin:
    kept.write("answer", title="push", answer="Allow", by="the person")
kept.write("end", status="done")
"""


def agent(home: Home, **fields: Any) -> Any:
    return home.client.spawn([sys.executable, "-c", AGENT], **{"kind": "agent", "name": "coder"} | fields)


def test_for_people_and_for_programs(shared_home: Home) -> None:
    process = agent(shared_home)
    process.wait(timeout_s=60)
    shown = shared_home.aish("transcript", "coder").stdout
    assert "\x1b" not in shown
    lines = shown.splitlines()
    assert lines[0].endswith("prompt    fix")
    assert lines[1].strip() == "it"
    assert lines[2].endswith("tool      Bash: pytest -x")
    found = [json.loads(line) for line in shared_home.aish("transcript", process.id, "--json").stdout.splitlines()]
    assert [entry["kind"] for entry in found] == ["prompt", "tool", "text", "end"]
    assert found[2]["cut"] is True
    assert shared_home.aish("transcript", "coder", "-n", "1").stdout.split()[-2:] == ["end", "done"]


def test_followed_until_it_has_ended(shared_home: Home) -> None:
    process = agent(shared_home, fds=None)
    process.wait(timeout_s=60)
    done = shared_home.aish("transcript", "-f", process.id, "--json")
    assert [json.loads(line)["kind"] for line in done.stdout.splitlines()] == ["prompt", "tool", "text", "end"]
    read, write = os.pipe()
    second = agent(shared_home, name="second", fds={0: read})
    os.close(read)
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "aish", "transcript", "-f", "second", "--json"],
        env=shared_home.environ,
        stdout=subprocess.PIPE,
        text=True,
    ) as following:
        assert following.stdout is not None
        assert json.loads(following.stdout.readline())["kind"] == "prompt"
        with connect(start=False, program="test") as client:
            os.kill(client.welcome.pid, signal.SIGKILL)  # it goes on with the next one
        os.write(write, b"\n")
        while json.loads(following.stdout.readline())["kind"] != "answer":
            pass
        os.close(write)
        assert json.loads(following.stdout.readline())["kind"] == "end"
        assert following.wait(timeout=60) == 0
    second.wait(timeout_s=60)


def test_who_has_none_is_told(shared_home: Home) -> None:
    shared_home.client.spawn(["true"], name="plain").wait(timeout_s=60)
    done = shared_home.aish("transcript", "plain")
    assert (done.returncode, "plain" in done.stderr, "no transcript" in done.stderr) == (69, True, True)


def test_a_command_of_an_agent_has_not_its_transcript(shared_home: Home) -> None:
    """A tool could write into it what was never said."""
    code = "import os; print(os.environ.get('AISH_TRANSCRIPT'))"
    script = f"""
import os, subprocess, sys
assert os.environ["AISH_TRANSCRIPT"]
subprocess.run([sys.executable, "-m", "aish", "run", "--", sys.executable, "-c", {code!r}], check=True)
"""
    process = shared_home.client.spawn([sys.executable, "-c", script], kind="agent", name="coder")
    assert process.wait(timeout_s=60).code == 0
    assert [line.text.strip() for line in shared_home.client.logs(process, streams=("stdout",))] == ["None"]


@pytest.mark.parametrize(
    ("entry", "shown"),
    [
        ({"kind": "question", "title": "push"}, "question  push"),
        (
            {"kind": "answer", "title": "push", "answer": "Allow", "by": "the person"},
            "answer    push  (Allow, by the person)",
        ),
        ({"kind": "end", "status": "done"}, "end       done"),
        ({"kind": "odd", "text": 7}, "odd       "),
        ({}, "          "),
        ({"kind": "text", "text": "a\x1b[2Jb", "time_s": "x"}, "text      a\\x1b[2Jb"),
    ],
)
def test_an_entry_for_people(entry: dict[str, Any], shown: str) -> None:
    assert written(entry, 0.0)[0].endswith(shown)


def test_a_result_says_what_was_not_told_yet() -> None:
    def news(*entries: tuple[str, str]) -> list[str]:
        told = Told()
        return [told.news({"kind": kind, "text": text})["text"] for kind, text in entries]

    assert news(("output", "a\n"), ("output", "b\n"), ("result", "a\nb\n\n[exit status 1]"), ("result", "a\nb")) == [
        "a\n",
        "b\n",
        "\n[exit status 1]",
        "a\nb",
    ]
    assert news(("output", "b\n"), ("result", "a\nb\n"))[-1] == "a\nb\n", "the beginning was not seen: `-n 2`"


def test_one_that_has_only_begun_is_waited_for(shared_home: Home) -> None:
    process = shared_home.client.spawn(["sleep", "60"], kind="agent", name="silent")
    done = shared_home.aish("transcript", "silent")
    assert (done.returncode, "has no transcript yet" in done.stderr, "-f" in done.stderr) == (69, True, True)
    process.stop(grace_s=0)
    assert "has no transcript\n" in shared_home.aish("transcript", process.id).stderr
