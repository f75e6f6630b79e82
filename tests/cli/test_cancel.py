"""`aish cancel`: the turn under way ends, at the model's server, too; the agent goes on where it reads mail."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from aish.errors import ConflictError
from aish.plugins.simprovider.thread import Running

if TYPE_CHECKING:
    from conftest import Home

DEADLINE_S = 60.0
LONG = "say 900 pace 0.2"


@pytest.fixture
def up(sim: Running, shared_home: Home) -> Home:
    folder = shared_home.root / ".aish" / "agents"
    folder.mkdir(parents=True)
    (folder / "talks.md").write_text("---\nmodel: sim\n---\nAnswer.")
    (folder / "acts.md").write_text("---\nmodel: sim\ntools: []\n---\nAnswer.")
    return shared_home


def spawned(home: Home, *words: str) -> Any:
    done = home.aish("spawn", "--json", *words, cwd=home.root)
    assert done.returncode == 0, done.stderr
    return home.client.process(json.loads(done.stdout)["id"])


def busy(sim: Running, before: int) -> None:
    """Until another request is being answered."""
    with sim.provider.changed:
        assert sim.provider.changed.wait_for(
            lambda: len(sim.provider.requests) > before and sim.provider.busy > 0, DEADLINE_S
        )


def hung_up(sim: Running, before: int) -> None:
    with sim.provider.changed:
        assert sim.provider.changed.wait_for(lambda: sim.provider.aborted > before, DEADLINE_S), "it generates on"


def transcript(home: Home, id_: str) -> list[dict[str, Any]]:
    (path,) = (home.state / "agents").glob(f"*-{id_}/transcript.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("agent", ["@talks", pytest.param("@acts", marks=pytest.mark.slow)])
def test_one_that_was_started_for_a_turn_ends_and_so_does_the_generation(up: Home, sim: Running, agent: str) -> None:
    """A model that goes on to generate what nobody wants costs as if somebody did."""
    requests, aborted = len(sim.provider.requests), sim.provider.aborted
    process = spawned(up, "--restart", "on-failure", "--", agent, LONG)
    busy(sim, requests)
    done = up.aish("cancel", f"@{process.name}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    end = process.wait(timeout_s=DEADLINE_S)
    assert (end.signal, end.reason) == (signal.SIGINT, "cancelled")
    hung_up(sim, aborted)
    assert transcript(up, process.id)[-1]["status"] == "cancelled"
    events = [event for event in up.client.events(names=[process.id]) if event.kind in ("cancelled", "exited")]
    assert [(event.kind, event.detail.get("reason")) for event in events] == [
        ("cancelled", None),
        ("exited", "cancelled"),
    ]
    assert process.row().restarts == 0, "what was cancelled is not begun again"


def test_one_that_reads_mail_answers_its_next_message(up: Home, sim: Running) -> None:
    aborted = sim.provider.aborted
    process = spawned(up, "--", "@acts")
    assert up.client.response(up.client.send(process, "say 2"), timeout_s=DEADLINE_S).answer == "w0 w1"
    idle = up.aish("cancel", process.id)
    assert (idle.returncode, idle.stdout) == (0, f"{process.id}: no turn is under way\n")
    process.signal("INT")  # as Ctrl-C between two turns, which means nothing
    requests = len(sim.provider.requests)
    number = up.client.send(process, LONG)
    busy(sim, requests)
    found = json.loads(up.aish("cancel", "--json", process.id).stdout)
    assert found == [{"target": process.id, "error": None, "changed": True}]
    assert up.client.response(number, timeout_s=DEADLINE_S).status == 130
    hung_up(sim, aborted)
    assert up.client.response(up.client.send(process, "say 3"), timeout_s=DEADLINE_S).answer == "w0 w1 w2"
    ends = [entry["status"] for entry in transcript(up, process.id) if entry["kind"] == "end"]
    assert ends == ["done", "cancelled", "done"]


def test_all_of_them(up: Home, sim: Running) -> None:
    requests = len(sim.provider.requests)
    first = spawned(up, "--", "@talks", LONG)
    busy(sim, requests)
    other = spawned(up, "--", "sleep", "600")
    done = up.aish("cancel", "--all", "--json")
    assert [row["target"] for row in json.loads(done.stdout)] == [first.id]
    assert first.wait(timeout_s=DEADLINE_S).reason == "cancelled"
    assert other.row().state == "running"
    wrong = up.aish("cancel", "--all", first.id)
    assert (wrong.returncode, "--all, or names or labels" in wrong.stderr) == (2, True)
    ended = up.aish("cancel", first.id)
    assert (ended.returncode, "has ended" in ended.stderr) == (69, True)


def test_what_has_no_turns_is_refused(up: Home) -> None:
    process = spawned(up, "--name", "web", "--", "sleep", "600")
    done = up.aish("cancel", "web")
    assert done.returncode == 69
    assert f"web ({process.id}) is a command: it has no turns" in done.stderr
    assert "aish kill -INT web" in done.stderr
    assert process.row().state == "running"


def test_what_stands_still_has_to_go_on_first(up: Home, sim: Running) -> None:
    """The signal would wait for it, and cancel whatever it does when it goes on."""
    requests = len(sim.provider.requests)
    process = spawned(up, "--", "@talks", LONG)
    busy(sim, requests)
    process.pause()
    with pytest.raises(ConflictError, match="stands still"):
        process.cancel()
    process.cont()
    assert process.cancel() is True
    assert process.wait(timeout_s=DEADLINE_S).reason == "cancelled"
