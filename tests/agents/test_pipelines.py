"""Agents in the shell's pipelines and jobs, against a model that saw what became of its generations."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest

from aish.plugins.simprovider.thread import Running

if TYPE_CHECKING:
    from conftest import Home

DEADLINE_S = 60.0
LONG = "say 900 pace 0.1"
DEFINED = """\
[agents.talks]
model = "sim"
instructions = "Answer."

[agents.acts]
model = "sim"
instructions = "Answer."
tools = []
"""


@pytest.fixture
def up(sim: Running, shared_home: Home) -> Home:
    (shared_home.root / "aish.toml").write_text(DEFINED)
    return shared_home


def shell(home: Home, line: str) -> tuple[str, str]:
    done = home.aish("-c", line, cwd=home.root)
    return done.stdout, done.stderr


@pytest.mark.parametrize("agent", ["@talks", "@sim", pytest.param("@acts", marks=pytest.mark.slow)])
def test_a_reader_that_leaves_stops_the_generation(up: Home, sim: Running, agent: str) -> None:
    """`@a | head -1` would have the model go on for minutes that somebody pays."""
    aborted = sim.provider.aborted
    out, err = shell(up, f"{agent} '{LONG}' | head -c 2; ends=${{PIPESTATUS[*]}}; echo; echo $ends")
    assert out == "w0\n141 0\n", err
    with sim.provider.changed:
        assert sim.provider.changed.wait_for(lambda: sim.provider.aborted > aborted, DEADLINE_S), "it generates on"
    row = up.client.processes(all=True)[-1]
    assert (row.exit and row.exit.signal) == signal.SIGPIPE


def test_in_the_middle_of_a_pipeline_and_in_the_background(up: Home) -> None:
    out, err = shell(up, "echo say 3 | @talks | tr w x; echo ${PIPESTATUS[@]}")
    assert out == "x0 x1 x2\n0 0 0\n", err
    out, err = shell(up, "@talks say 2 > one & @talks say 3 > two & wait; cat one two; echo $?")
    assert out == "w0 w1\nw0 w1 w2\n0\n", err
    out, err = shell(up, "@talks fault status-400 & wait $!; echo $?")
    assert out == "65\n", err


def test_a_job_that_is_killed_stops_the_generation(up: Home, sim: Running) -> None:
    aborted = sim.provider.aborted
    out, err = shell(
        up, f"@talks '{LONG}' > part & until test -s part; do sleep 0.05; done; kill $!; wait $!; echo $?"
    )
    assert out == "143\n", err
    with sim.provider.changed:
        assert sim.provider.changed.wait_for(lambda: sim.provider.aborted > aborted, DEADLINE_S)


def test_a_map_tells_each_items_end_and_tries_again(up: Home) -> None:
    texts = {"good": "say 2", "late": "say 3 fault status-400 first 1", "bad": "fault status-400"}
    for name, text in texts.items():
        (up.root / name).write_text(text)
    (up.root / "sub").mkdir()  # agents work there; their items are the files here
    words = ("map", "--cwd", "sub", "--joblog", "log.jsonl", "--retries", "1", "-j", "2", "-k")
    done = up.aish(*words, "@talks", "--", *texts, cwd=up.root)
    assert (done.stdout, done.returncode) == ("w0 w1\nw0 w1 w2\n", 1), done.stderr
    assert "aish map: bad: status 65 after 2 tries" in done.stderr
    assert "2/3 done, 1 failed" in done.stderr
    again = up.aish(*words, "--resume", "--json", "@talks", "--", *texts, "good2", cwd=up.root)
    assert again.returncode == 69, "an item that is no file begins nothing"
    (up.root / "good2").write_text("say 1")
    again = up.aish(*words, "--resume", "--json", "@talks", "--", *texts, "good2", cwd=up.root)
    rows = {row["item"]: row for row in map(json.loads, again.stdout.splitlines())}
    assert rows["good2"]["status"] == 0
    assert "good" not in rows, "what is done is not done again"
