"""GPU quotas on simulated cards, as a user meets them: what fits runs, what does not waits, too much is stopped."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.deadline import until

if TYPE_CHECKING:
    from .conftest import Row, System

G = 1 << 30


def simgpu(system: System, *words: str) -> str:
    done = subprocess.run(
        [system.python, "-m", "aish.plugins.simgpu", *words],
        env=system.home.environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


@pytest.fixture
def card(system: System) -> System:
    """One simulated card of 24 GiB."""
    simgpu(system, "create", "--memory", "24G")
    return system


def spawn(system: System, name: str, vram: str, *plan: str, status: int = 0) -> str:
    """A process that takes simulated memory by `plan` and stays."""
    command = (system.python, "-m", "aish.plugins.simgpu", "run", *plan, "--", "sleep", "62")
    done = system.run("spawn", "--name", name, "--vram", vram, "--grace", "1", "--", *command, status=status)
    return done.stdout + done.stderr


def gpu(system: System) -> Row:
    (found,) = system.json("gpu")["gpus"]
    return dict(found)


def test_what_does_not_fit_waits_with_its_reason_and_starts_by_itself(card: System) -> None:
    assert "queued" not in spawn(card, "first", "16G", "--alloc", "12G", "--busy", "50%")
    assert card.row("first")["state"] == "running"
    until("the card shows its memory", lambda: gpu(card)["used_bytes"] == 12 * G)
    found = gpu(card)
    assert (found["memory_bytes"], found["promised_bytes"]) == (24 * G, 16 * G)
    row = card.row("first")
    assert (row["vram_bytes"], row["vram_quota_bytes"], row["gpus"]) == (12 * G, 16 * G, [0])
    (use,) = found["processes"]
    assert (use["process"], use["vram_bytes"]) == (row["id"], 12 * G)

    reason = "needs 10G of VRAM, GPU 0 has 8.0G of 24G free"
    assert f"queued: {reason}" in spawn(card, "second", "10G", "--alloc", "1G")
    waiting = card.row("second")
    assert (waiting["state"], waiting["pid"], waiting["reason"]) == ("queued", None, reason)
    line = next(line for line in card.run("ps").stdout.splitlines() if " second " in line)
    assert "queued" in line
    assert reason in line
    shown = card.run("gpu").stdout
    assert "queue: 1 waiting" in shown
    assert reason in shown
    (entry,) = card.json("gpu")["queue"]
    assert (entry["name"], entry["vram_bytes"], entry["reason"]) == ("second", 10 * G, reason)

    card.run("stop", "first")
    card.run("wait", "--ready", "second")
    row = card.row("second")
    assert (row["state"], row["reason"], row["gpus"]) == ("running", None, [0])
    assert card.json("gpu")["queue"] == []
    assert gpu(card)["promised_bytes"] == 10 * G
    assert [event["kind"] for event in card.events("second")] == ["created", "started"]


def test_what_can_never_fit_is_refused_at_once_with_the_numbers(card: System) -> None:
    told = spawn(card, "huge", "25G", status=69)
    assert "needs 25G of VRAM, the largest device has 24G" in told
    row = card.row("huge")
    assert (row["state"], row["pid"], row["exit"]["reason"]) == ("failed", None, "quota")
    assert card.json("gpu")["queue"] == []


def test_over_quota_is_stopped_by_the_watchdog_with_the_numbers(card: System) -> None:
    spawn(card, "greedy", "4G", "--alloc", "3G", "--after", "500ms", "--alloc", "6G")
    assert card.json("inspect", "greedy")["quota_tier"] == "watchdog"
    card.run("wait", "greedy", status=143)
    row = card.row("greedy")
    text = "used 9.0G of VRAM, its quota is 4.0G"
    assert (row["state"], row["reason"], row["exit"]["reason"]) == ("exited", text, "quota")
    events = {event["kind"]: event for event in card.events("greedy")}
    numbers = {"gpu": gpu(card)["uuid"], "used_bytes": 9 * G, "quota_bytes": 4 * G}
    assert events["quota-warned"]["detail"] == numbers
    assert events["quota"]["detail"] == numbers
    assert events["quota"]["text"] == text
    assert "quota" in card.run("ps", "-a").stdout
    until("the memory is free again", lambda: gpu(card)["used_bytes"] == 0)
    assert gpu(card)["promised_bytes"] == 0
