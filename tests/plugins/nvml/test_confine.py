"""The variables that confine a process: pure."""

from __future__ import annotations

from aish.plugins.nvml.confine import CONTEXT_BYTES, environ

GIB = 1 << 30


def test_a_process_without_devices_is_left_as_it_is() -> None:
    """An empty CUDA_VISIBLE_DEVICES would hide the GPU from everything that asked for no quota."""
    assert environ([], None, {}) == {}
    assert environ([], GIB, {}) == {}


def test_devices_go_by_uuid_because_indices_change() -> None:
    assert environ(["GPU-a", "GPU-b"], None, {}) == {
        "CUDA_VISIBLE_DEVICES": "GPU-a,GPU-b",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
    }


def test_framework_caps_leave_room_for_the_context() -> None:
    """The quota is measured with the CUDA context in it, a framework's cap is not: equal figures would overshoot."""
    variables = environ(["GPU-a"], 8 * GIB, {"GPU-a": 80 * GIB})
    assert int(variables["CUPY_GPU_MEMORY_LIMIT"]) == 8 * GIB - CONTEXT_BYTES
    assert variables["XLA_PYTHON_CLIENT_MEM_FRACTION"] == "0.0937"


def test_a_small_quota_is_halved_rather_than_eaten_by_the_context() -> None:
    variables = environ(["GPU-a"], CONTEXT_BYTES, {"GPU-a": 80 * GIB})
    assert int(variables["CUPY_GPU_MEMORY_LIMIT"]) == CONTEXT_BYTES // 2


def test_one_fraction_for_unequal_devices_exceeds_the_quota_on_none() -> None:
    variables = environ(["GPU-a", "GPU-b"], 8 * GIB, {"GPU-a": 16 * GIB, "GPU-b": 80 * GIB})
    assert float(variables["XLA_PYTHON_CLIENT_MEM_FRACTION"]) * 80 <= 8


def test_no_fraction_of_an_unknown_total() -> None:
    assert "XLA_PYTHON_CLIENT_MEM_FRACTION" not in environ(["GPU-a"], GIB, {})


def test_pytorch_is_not_told_what_some_releases_die_of() -> None:
    assert not [name for name in environ(["GPU-a"], GIB, {"GPU-a": 4 * GIB}) if name.startswith("PYTORCH")]
