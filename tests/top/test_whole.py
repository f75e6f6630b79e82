"""top and gpu over the whole: the real daemon, real processes, a simulated card."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from aish.client import connect
from aish.wire.message import Snapshot
from aish.wire.reply import View

GIB = 1 << 30
SIMGPU = (sys.executable, "-m", "aish.plugins.simgpu")


@pytest.fixture
def card(home: Any) -> None:
    """One simulated card of 24 GiB, there before the daemon starts."""
    subprocess.run([*SIMGPU, "create", "--memory", "24G"], check=True, env=home.environ, stdout=subprocess.DEVNULL)


def until(condition: Callable[[View], bool]) -> View:
    """The first view for which it holds: the daemon sends one a fifth of a second."""
    with connect(program="test") as client:
        for number, view in enumerate(client.stream(Snapshot(every_s=0.2))):
            assert isinstance(view, View)
            if condition(view):
                return view
            assert number < 100, view
    raise AssertionError("the stream ended")


def test_json_agrees_with_the_kernel_and_the_card(home: Any, card: None) -> None:
    spawned = home.aish(
        "spawn", "--vram", "8G", "--name", "holds-vram", "--", *SIMGPU, "run", "--alloc", "6G", "--", "sleep", "60"
    )
    assert spawned.returncode == 0, spawned.stderr
    until(lambda view: any(p.vram_bytes == 6 * GIB for p in view.processes))
    table = json.loads(home.aish("top", "--once", "--json").stdout)
    row = next(process for process in table["processes"] if process["name"] == "holds-vram")
    assert row["vram_bytes"] == 6 * GIB
    assert row["vram_quota_bytes"] == 8 * GIB
    assert row["gpus"] == [0]
    with open(f"/proc/{row['pid']}/status") as status:
        resident = {line.split(":")[0]: line.split()[1] for line in status if line.startswith("Vm")}
    assert abs(row["rss_bytes"] - int(resident["VmRSS"]) * 1024) < 64 << 20  # and its child's few
    assert table["gpus"][0]["used_bytes"] == 6 * GIB
    assert [user["process"] for user in table["gpus"][0]["processes"]] == [row["id"]]
    listed = json.loads(home.aish("gpu", "--json").stdout)
    assert listed["gpus"][0]["promised_bytes"] == 8 * GIB
    assert listed["drivers"]["simgpu"] == "ok"


def test_top_survives_the_daemon_and_acts_on_real_processes(home: Any, card: None, top: Any) -> None:
    spawned = home.aish("spawn", "--name", "sleeper", "--", "sleep", "60")
    assert spawned.returncode == 0, spawned.stderr
    screen = top("--every", "0.2")
    screen.until(lambda text: "sleeper" in text and "GPU0 Simulated" in text)
    screen.send("p")
    screen.until(lambda text: "paused sleeper" in text and " paused " in text)
    with connect(start=False, program="test") as client:
        os.kill(client.welcome.pid, signal.SIGKILL)
        before = client.welcome.pid
    screen.until("RECONNECTING")
    screen.until(lambda text: "LIVE" in text and " paused " in text)
    with connect(start=False, program="test") as client:
        assert client.welcome.pid != before
    screen.send("p")
    screen.until("continued sleeper")
    screen.send("ky")
    screen.until(lambda text: "nothing is supervised" in text)
    screen.send("q")
    assert screen.end() == 0
    assert screen.restored()


def test_gpu_without_a_device_says_how_to_get_one(home: Any) -> None:
    result = home.aish("gpu")
    assert result.returncode == 0, result.stderr
    if "GPU0" in result.stdout:
        pytest.skip("this machine has a GPU")
    assert result.stdout.startswith("no GPU\n")
    assert "simgpu create" in result.stdout
