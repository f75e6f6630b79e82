"""GPU quotas on simulated cards: promised, queued, released, watched. The driver is a plugin with scripted faults."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from aish.errors import ConflictError, LimitError
from aish.wire.message import Gpus, Limit, Stop
from aish.wire.reply import Done, GpuList, Started

if TYPE_CHECKING:
    from conftest import Supervised

pytestmark = pytest.mark.usefixtures("home")  # the list of cards is kept for a minute, and each has its own
G = 1 << 30


def cards(up: Supervised, *memory_g: int, **faults: Any) -> None:
    folder = up.home.state / "simgpu"
    folder.mkdir(exist_ok=True)
    devices = [
        {"index": i, "uuid": f"SIM-{i}", "name": "card", "memory": g * G, "power_limit_w": 300}
        for i, g in enumerate(memory_g)
    ]
    new = folder / "devices.json.new"
    new.write_text(json.dumps({"devices": devices, "faults": faults}))
    new.rename(folder / "devices.json")


def holding(up: Supervised, *steps: str, vram_g: int | None, **fields: Any) -> Started:
    """A process that takes simulated memory step by step, then sleeps."""
    quota = None if vram_g is None else vram_g * G
    words = [sys.executable, "-m", "aish.plugins.simgpu", "run", *steps, "--", "sleep", "60"]
    return up.spawn(*words, vram_bytes=quota, **fields)


def sleeper(up: Supervised, vram_g: int, **fields: Any) -> Started:
    return up.spawn("sleep", "60", vram_bytes=vram_g * G, **fields)


def stop(up: Supervised, target: str) -> None:
    up.client.ask(Done, Stop(target=target, grace_s=0))
    up.wait(target)


def test_what_does_not_fit_waits_with_its_reason_and_is_released(up: Supervised) -> None:
    cards(up, 24)
    first = sleeper(up, 16, name="first")
    assert (first.state, up.row("first").gpus) == ("running", [0])
    second = sleeper(up, 16, name="second")
    assert (second.state, second.pid) == ("queued", None)
    assert second.reason == "needs 16G of VRAM, GPU 0 has 8.0G of 24G free"
    (waiting,) = up.view().queue
    assert (waiting.process, waiting.vram_bytes, waiting.reason) == (second.id, 16 * G, second.reason)
    small = sleeper(up, 4, name="small")
    assert small.state == "queued", "a later one took what the earlier one waits for"
    stop(up, "first")
    up.wait("second", until="ready")
    up.wait("small", until="ready")
    assert up.row("second").reason is None
    told = [event.kind for event in up.events() if event.process == second.id]
    assert told == ["created", "started"]


def test_the_child_is_told_its_card_and_only_that(up: Supervised) -> None:
    cards(up, 24, 48)
    started = up.spawn("env", vram_bytes=30 * G)
    up.wait(started.id)
    assert "AISH_SIMGPU_DEVICE=SIM-1\n" in up.log(started.id)[0]
    assert up.row(started.id).gpus == []  # given back


def test_what_can_never_fit_fails_at_once(up: Supervised) -> None:
    cards(up, 80)
    started = sleeper(up, 90)
    assert (started.state, started.reason) == ("failed", "needs 90G of VRAM, the largest device has 80G")
    end = up.wait(started.id).exit
    assert end is not None
    assert end.reason == "quota"


def test_without_any_gpu_a_quota_is_refused_in_words(up: Supervised) -> None:
    started = sleeper(up, 1)
    assert started.state == "failed"
    assert started.reason is not None
    assert started.reason.startswith("no GPU was found")
    cards(up, 8)
    up.until("a card that was added is found", lambda: sleeper(up, 1).state == "running")


def test_several_devices(up: Supervised) -> None:
    cards(up, 24, 24, 24)
    assert up.row(sleeper(up, 20, gpu_count=2).id).gpus == [0, 1]
    assert sleeper(up, 20, gpu_count=2).state == "queued"


def test_over_quota_is_warned_then_stopped_with_the_numbers(up: Supervised) -> None:
    cards(up, 24)
    started = holding(up, "--alloc", "3G", "--after", "300ms", "--alloc", "6G", vram_g=4, grace_s=0.5)
    end = up.wait(started.id).exit
    assert end is not None
    assert end.reason == "quota"
    events = {event.kind: event for event in up.events() if event.process == started.id}
    assert events["quota-warned"].detail == {"gpu": "SIM-0", "used_bytes": 9 * G, "quota_bytes": 4 * G}
    assert events["quota"].text == "used 9.0G of VRAM, its quota is 4.0G"
    assert events["quota-warned"].number < events["quota"].number < events["stopping"].number
    assert up.row(started.id).reason == "used 9.0G of VRAM, its quota is 4.0G"


def test_use_of_strangers_and_of_unlimited_processes_is_not_promised(up: Supervised) -> None:
    cards(up, 24)
    greedy = holding(up, "--alloc", "20G", vram_g=None, name="greedy")
    up.until("the memory is taken", lambda: (used(up) or 0) == 20 * G)
    waiting = sleeper(up, 8)
    assert waiting.state == "queued"
    stop(up, greedy.id)
    up.wait(waiting.id, until="ready")


def used(up: Supervised) -> int | None:
    return up.client.ask(GpuList, Gpus()).gpus[0].used_bytes


def test_view_of_devices(up: Supervised) -> None:
    cards(up, 24)
    started = holding(up, "--alloc", "3G", "--busy", "50%", vram_g=4, name="worker")
    up.until("a sample shows it", lambda: up.row("worker").vram_bytes == 3 * G)
    (card,) = up.view().gpus
    assert (card.index, card.driver, card.memory_bytes, card.used_bytes) == (0, "simgpu", 24 * G, 3 * G)
    assert card.promised_bytes == 4 * G
    assert card.error is None
    assert [(entry.process, entry.vram_bytes) for entry in card.processes] == [(started.id, 3 * G)]
    assert up.inspect("worker").quota_tier == "watchdog"
    listed = up.client.ask(GpuList, Gpus())
    assert listed.drivers["simgpu"] == "ok"
    assert listed.drivers["nvml"] != "loading"


def test_a_driver_that_hangs_holds_up_nobody(up: Supervised) -> None:
    """A real one hangs for seconds when a card falls off the bus; ps and spawn must not."""
    cards(up, 24)
    sleeper(up, 8, name="before")
    cards(up, 24, slow_s=30)
    up.until("the hanging call has begun", lambda: (up.view().gpus[0].age_s or 0) > 1.0)
    begin = time.monotonic()
    up.view()
    assert up.code(up.spawn("true").id) == 0
    assert time.monotonic() - begin < 2.0


def test_a_driver_that_fails_for_a_moment_refuses_nobody(up: Supervised) -> None:
    cards(up, 24)
    sleeper(up, 20, name="before")
    cards(up, 24, sample_error="the bus is on fire")
    waiting = sleeper(up, 20, name="after")
    assert waiting.state == "queued"
    up.until("the failure is shown", lambda: "on fire" in (up.view().gpus[0].error or ""))
    assert any("on fire" in alert for alert in up.view().alerts)
    cards(up, 24)
    stop(up, "before")
    up.wait("after", until="ready")


@pytest.mark.parametrize("fault", [{"lost": True}, {"sample_error": "the bus is on fire"}])
def test_a_card_that_is_lost_gets_nothing_new(up: Supervised, fault: dict[str, Any]) -> None:
    """It was started there, and failed in the middle of its work."""
    cards(up, 24)
    sleeper(up, 1, name="before")
    cards(up, 24, **fault)
    why = fault.get("sample_error", "the device is lost")
    up.until("the fault is shown", lambda: why in (up.client.ask(GpuList, Gpus()).gpus[0].error or ""))
    waiting = sleeper(up, 4, name="after")
    assert (waiting.state, waiting.pid) == ("queued", None)
    up.until("its reason is told", lambda: why in (up.row("after").reason or ""))
    assert (up.row("after").reason or "").startswith("needs 4.0G of VRAM, GPU 0 gets nothing new: simgpu: ")
    cards(up, 24)
    up.wait("after", until="ready")
    assert up.row("before").state == "running"


def test_a_sound_card_is_taken_where_another_is_lost(up: Supervised) -> None:
    cards(up, 8, 24, lost=[0])
    started = sleeper(up, 4)
    assert up.row(started.id).gpus == [1]
    assert sleeper(up, 4, gpu_count=2, name="both").state == "queued"
    assert sleeper(up, 16, name="later").state == "running", "nobody waits behind a card that is lost"
    parts = up.client.ask(GpuList, Gpus()).gpus
    assert [part.error for part in parts] == ["the device is lost", None]
    assert parts[0].age_s is None, "it was never seen"


def test_cards_made_a_moment_ago_are_listed(up: Supervised) -> None:
    """They came with the next look, five seconds later."""
    assert up.client.ask(GpuList, Gpus()).gpus == []
    cards(up, 24, 48)
    assert len(up.client.ask(GpuList, Gpus()).gpus) == 2


def test_figures_of_a_lost_card_get_older(up: Supervised) -> None:
    cards(up, 24)
    assert (up.client.ask(GpuList, Gpus()).gpus[0].age_s or 0) < 1.0
    cards(up, 24, lost=True)
    up.until("they age", lambda: (up.client.ask(GpuList, Gpus()).gpus[0].age_s or 0) > 1.0)


def test_queued_processes_outlive_the_daemon_with_their_descriptors(up: Supervised) -> None:
    """What a client passed is in the holder's store: the pipe must still be there when the GPU is free."""
    cards(up, 24)
    sleeper(up, 20, name="before")
    read_end, write_end = os.pipe()
    waiting = up.spawn(
        "sh",
        "-c",
        "echo $SECRET_OF_THE_CALLER",
        fds={1: write_end},
        vram_bytes=20 * G,
        environ={"PATH": os.environ["PATH"], "SECRET_OF_THE_CALLER": "hush"},
    )
    os.close(write_end)
    assert waiting.state == "queued"
    up.kill_daemon()
    up.next_daemon()
    assert up.row(waiting.id).state == "queued"
    stop(up, "before")
    with open(read_end, "rb") as pipe:
        assert pipe.read() == b"hush\n"
    assert up.code(waiting.id) == 0


def test_a_queued_process_can_be_stopped(up: Supervised) -> None:
    cards(up, 24)
    sleeper(up, 20, name="before")
    waiting = sleeper(up, 20, name="waiting")
    behind = sleeper(up, 4, name="behind")
    assert behind.state == "queued"
    up.client.request(Stop(target="waiting"))
    waited = up.wait(waiting.id)
    assert waited.state == "exited", "a stop is no failure"
    assert waited.exit is not None
    assert waited.exit.reason == "cancelled"
    assert up.row("waiting").reason == "stopped before it was started"
    up.wait(behind.id, until="ready")


def test_a_promise_outlives_the_daemon(up: Supervised) -> None:
    cards(up, 24)
    sleeper(up, 20, name="before")
    up.kill_daemon()
    up.next_daemon()
    assert sleeper(up, 8).state == "queued"


def test_limit_of_vram(up: Supervised) -> None:
    cards(up, 24)
    sleeper(up, 20, name="big")
    waiting = sleeper(up, 8, name="waiting")
    with pytest.raises(LimitError, match=r"GPU 0 has 4.0G free, 20G more are wanted"):
        up.client.request(Limit(target="big", vram="+20G"))
    with pytest.raises(LimitError, match="the largest device has 24G"):
        up.client.request(Limit(target="waiting", vram="90G"))
    with pytest.raises(ConflictError, match="started without VRAM"):
        up.client.request(Limit(target=up.spawn("sleep", "60").id, vram="1G"))
    up.client.request(Limit(target="big", vram="10G"))
    up.wait(waiting.id, until="ready")
    assert up.row("big").vram_quota_bytes == 10 * G
