"""The NVML driver against a scripted library: each test is one thing that real drivers do."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from typing import Any

import pytest

GIB = 1 << 30
UUID = "GPU-11111111-2222-3333-4444-555555555555"

NOT_SUPPORTED = 3
NOT_FOUND = 6
FUNCTION_NOT_FOUND = 13
GPU_IS_LOST = 15


def only(probe: Any) -> dict[str, Any]:
    samples = probe.ok("sample")
    assert len(samples) == 1
    return dict(samples[0])


def processes(probe: Any) -> dict[int, tuple[int | None, float | None]]:
    return {p["pid"]: (p["vram_bytes"], p["sm_percent"]) for p in only(probe)["processes"]}


def test_a_healthy_device_is_told_in_full(probe: Any, card: tuple[str, ...]) -> None:
    probe.state(*card)
    assert probe.ok("devices") == [
        {"index": 0, "uuid": UUID, "name": "NVIDIA H100 80GB HBM3", "memory_bytes": 80 * GIB}
    ]
    assert only(probe) == {
        "uuid": UUID,
        "used_bytes": 20 * GIB,  # version 2: the driver's own gigabyte is not counted as used
        "utilisation_percent": 71.0,
        "power_w": 512.0,
        "power_limit_w": 700.0,
        "temperature_c": 74.0,
        "processes": [],
    }


def test_an_old_driver_without_memory_version_2_is_asked_for_version_1(probe: Any, card: tuple[str, ...]) -> None:
    probe.state(*card, f"fault 0 memory2 {FUNCTION_NOT_FOUND}")
    assert only(probe)["used_bytes"] == 21 * GIB


@pytest.mark.parametrize(
    ("call", "key"),
    [
        ("util", "utilisation_percent"),
        ("power", "power_w"),
        ("limit", "power_limit_w"),
        ("temp", "temperature_c"),
    ],
)
def test_what_the_driver_does_not_support_is_unknown_and_the_rest_stays(
    probe: Any, card: tuple[str, ...], call: str, key: str
) -> None:
    probe.state(*card, f"fault 0 {call} {NOT_SUPPORTED}")
    sample = only(probe)
    assert sample[key] is None
    assert sum(value is None for value in sample.values()) == 1


def test_nothing_supported_at_all_is_unknown_throughout_not_zero(probe: Any) -> None:
    probe.state("init 0", "count 1", f"device 0 uuid {UUID}")
    device = probe.ok("devices")[0]
    assert device["name"] == "NVIDIA GPU"
    assert device["memory_bytes"] > 1 << 28  # an integrated GPU: the machine's own memory
    sample = only(probe)
    assert sample.pop("uuid") == UUID
    assert sample.pop("processes") == []
    assert set(sample.values()) == {None}


def test_values_that_cannot_be_are_unknown(probe: Any, card: tuple[str, ...]) -> None:
    probe.state(
        *card,
        "device 0 util 4294967295",
        "device 0 power 4294967295",
        "device 0 temp 4294967295",
        f"device 0 used {99 * GIB}",
    )
    sample = only(probe)
    assert sample["utilisation_percent"] is None
    assert sample["power_w"] is None
    assert sample["temperature_c"] is None
    assert sample["used_bytes"] is None


def test_a_lost_device_is_left_out_and_found_again(probe: Any, card: tuple[str, ...]) -> None:
    second = tuple(line.replace("device 0", "device 1").replace("11111111", "99999999") for line in card[2:])
    both = (*card, *second, "count 2")
    probe.state(*both)
    assert len(probe.ok("sample")) == 2
    probe.state(*both, f"fault 0 * {GPU_IS_LOST}")
    assert [s["uuid"] for s in probe.ok("sample")] == [UUID.replace("11111111", "99999999")]
    assert len(probe.ok("devices")) == 1  # opened afresh: the lost one cannot be opened
    probe.state(*both)
    probe.ok("close")
    assert len(probe.ok("sample")) == 2


def test_processes_of_all_lists_are_merged_by_pid(probe: Any, card: tuple[str, ...]) -> None:
    """A program that computes and draws is in two lists with the same memory: one process, counted once."""
    probe.state(
        *card,
        f"process 0 compute 100 {2 * GIB}",
        f"process 0 graphics 100 {3 * GIB}",
        "process 0 compute 101 NA",
        f"process 0 mps 101 {5 * GIB}",
        "process 0 graphics 102 NA",
        f"process 0 compute 0 {GIB}",
        "fault 0 shares 3",
    )
    assert processes(probe) == {100: (3 * GIB, None), 101: (5 * GIB, None), 102: (None, None)}


def test_a_driver_without_the_newest_list_is_asked_for_the_older(probe: Any, card: tuple[str, ...]) -> None:
    probe.state(*card, f"process 0 compute 100 {GIB}", f"fault 0 compute3 {FUNCTION_NOT_FOUND}")
    assert processes(probe)[100][0] == GIB


def test_one_list_that_fails_does_not_hide_the_others(probe: Any, card: tuple[str, ...]) -> None:
    probe.state(*card, f"process 0 graphics 100 {GIB}", "fault 0 compute 4", "fault 0 mps 999")
    assert set(processes(probe)) == {100}


def test_many_processes(probe: Any, card: tuple[str, ...]) -> None:
    probe.state(*card, *(f"process 0 compute {1000 + n} {n}" for n in range(300)))
    assert processes(probe)[1299] == (299, 0.0)


def test_no_sample_of_a_process_means_idle(probe: Any, card: tuple[str, ...]) -> None:
    """The library reports processes that worked and NOT_FOUND where none did."""
    base = (*card, f"process 0 compute 100 {GIB}", f"process 0 compute 101 {GIB}")
    probe.state(*base)
    assert processes(probe) == {100: (GIB, 0.0), 101: (GIB, 0.0)}
    probe.state(*base, "share 0 101 60 100")
    assert processes(probe) == {100: (GIB, 0.0), 101: (GIB, 60.0)}


def test_shares_that_are_not_supported_are_unknown(probe: Any, card: tuple[str, ...]) -> None:
    """MIG parts have none, anywhere: n/a, never 0."""
    probe.state(*card, f"process 0 compute 100 {GIB}", f"fault 0 shares {NOT_SUPPORTED}")
    assert processes(probe) == {100: (GIB, None)}


def test_junk_samples_are_dropped(probe: Any, card: tuple[str, ...]) -> None:
    """Shares above 100, foreign pids and stale stamps are what real drivers hand out."""
    probe.state(
        *card,
        f"process 0 compute 100 {GIB}",
        f"process 0 compute 101 {GIB}",
        f"process 0 compute 102 {GIB}",
        "share 0 100 40 900",
        "share 0 100 55 100",
        "share 0 100 4294967295 50",
        "share 0 101 70 3600000",
        "share 0 102 80 -3600000",
        "share 0 4242 90 100",
    )
    assert processes(probe) == {100: (GIB, 55.0), 101: (GIB, None), 102: (GIB, None)}


def test_the_newest_sample_of_a_process_counts(probe: Any, card: tuple[str, ...]) -> None:
    probe.state(*card, f"process 0 compute 100 {GIB}", "share 0 100 90 100", "share 0 100 10 1500")
    assert processes(probe)[100] == (GIB, 90.0)


def test_a_slow_call_only_takes_its_time(probe: Any, card: tuple[str, ...]) -> None:
    probe.state(*card, "slow 0 power 300")
    start = time.monotonic()
    assert only(probe)["power_w"] == 512.0
    assert time.monotonic() - start >= 0.3


@pytest.mark.parametrize(
    ("code", "words"),
    [(9, "kernel driver is not loaded"), (18, "different versions"), (4, "no permission"), (999, "does not start")],
)
def test_a_library_that_does_not_start_says_why(probe: Any, code: int, words: str) -> None:
    probe.state(f"init {code}")
    for command in ("devices", "sample"):
        answer = probe.ask(command)
        assert words in answer["error"]
        assert answer["hint"]


def test_a_driver_that_appears_later_is_found(probe: Any, card: tuple[str, ...]) -> None:
    probe.state("init 9")
    assert "error" in probe.ask("devices")
    probe.state(*card)
    assert len(probe.ok("devices")) == 1


def test_a_driver_that_goes_away_is_an_error_and_may_come_back(probe: Any, card: tuple[str, ...]) -> None:
    """Unloading the module under us: UNINITIALIZED from every call until the library is opened again."""
    probe.state(*card)
    assert only(probe)["power_w"] == 512.0
    probe.state(*card, "fault 0 * 1")
    assert "went away" in probe.ask("sample")["error"]
    probe.state(*card)
    assert only(probe)["power_w"] == 512.0


def test_a_device_without_identity_is_left_out(probe: Any, card: tuple[str, ...]) -> None:
    probe.state(*card, f"fault 0 uuid {NOT_SUPPORTED}")
    assert probe.ok("devices") == []
    assert probe.ok("sample") == []


def test_no_devices(probe: Any) -> None:
    probe.state("init 0", "count 0")
    assert probe.ok("devices") == []
    assert probe.ok("sample") == []


def test_quota_variables_know_the_device(probe: Any, card: tuple[str, ...]) -> None:
    probe.state(*card)
    probe.ok("devices")
    variables = probe.ok(f"environ {8 * GIB} {UUID}")
    assert variables["CUDA_VISIBLE_DEVICES"] == UUID
    assert float(variables["XLA_PYTHON_CLIENT_MEM_FRACTION"]) * 80 * GIB <= 8 * GIB


def test_without_a_driver_the_sentence_says_so_and_the_hint_helps(bare_probe: Any) -> None:
    try:
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        pass
    else:
        pytest.skip("this machine has an NVIDIA driver")
    answer = bare_probe.ask("devices")
    assert answer["error"] == "no NVIDIA driver: libnvidia-ml.so.1 was not found"
    assert "simgpu" in answer["hint"]


@pytest.mark.gpu
def test_a_real_gpu_answers(bare_probe: Any) -> None:
    answer = bare_probe.ask("devices")
    if "error" in answer or not answer["ok"]:
        pytest.skip(f"no NVIDIA GPU here: {answer.get('error', 'no devices')}")
    by_uuid = {device["uuid"]: device for device in answer["ok"]}
    samples = bare_probe.ok("sample")
    assert {sample["uuid"] for sample in samples} <= set(by_uuid)
    for sample in samples:
        assert sample["uuid"].startswith("GPU-")
        assert sample["used_bytes"] is None or 0 <= sample["used_bytes"] <= by_uuid[sample["uuid"]]["memory_bytes"]
        assert sample["utilisation_percent"] is None or 0 <= sample["utilisation_percent"] <= 100
        for process in sample["processes"]:
            assert process["pid"] > 0


HOLD = """
import ctypes, sys
cuda = ctypes.CDLL("libcuda.so.1")
def call(name, *arguments):
    code = getattr(cuda, name)(*arguments)
    if code:
        sys.exit(f"{name}: {code}")
context, pointer, count = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_int()
call("cuInit", 0)
call("cuDeviceGetCount", ctypes.byref(count))
call("cuDevicePrimaryCtxRetain", ctypes.byref(context), 0)
call("cuCtxSetCurrent", context)
call("cuMemAlloc_v2", ctypes.byref(pointer), ctypes.c_size_t(1 << 30))
print(count.value, flush=True)
sys.stdin.read()
"""


@pytest.mark.gpu
def test_a_real_allocation_is_seen_on_the_device_it_was_confined_to(bare_probe: Any) -> None:
    """One GiB held through the CUDA driver by a confined process: it sees one device, and we see its GiB."""
    answer = bare_probe.ask("devices")
    if "error" in answer or not answer["ok"]:
        pytest.skip(f"no NVIDIA GPU here: {answer.get('error', 'no devices')}")
    uuid = answer["ok"][-1]["uuid"]
    before = {s["uuid"]: s["used_bytes"] for s in bare_probe.ok("sample")}[uuid]
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **bare_probe.ok(f"environ {2 * GIB} {uuid}")},
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline().strip() == "1", "CUDA_VISIBLE_DEVICES by UUID was not honoured"
        sample = {s["uuid"]: s for s in bare_probe.ok("sample")}[uuid]
        assert sample["used_bytes"] - before >= 1 << 30
        listed = {p["pid"]: p["vram_bytes"] for p in sample["processes"]}
        if holder.pid in listed and listed[holder.pid] is not None:  # in a container the pids are the host's
            assert listed[holder.pid] >= 1 << 30
    finally:
        holder.stdin.close()
        holder.wait(timeout=60)
        holder.stdout.close()
