"""`aish gpu` against a daemon of paper: what people and programs read."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from aish.cli.gpu import report
from aish.top.text import columns
from aish.top.ui import Ui
from aish.wire.message import Gpus
from aish.wire.reply import Failure, GpuList, View

TOP = Path(__file__).parent.parent / "top"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"gpu_{name}", TOP / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def views() -> dict[str, View]:
    return {name: make() for name, make in load("conftest").VIEWS.items()}


@pytest.fixture
def daemon(home: Any, views: dict[str, View]) -> Iterator[Any]:
    made = load("stage").PaperDaemon(home.runtime / "daemon.sock", views["usual"])
    made.replies[Gpus] = listing(views["usual"], nvml="ok", simgpu="no devices")
    made.start()
    yield made
    made.stop()
    if not any(home.runtime.iterdir()):
        home.runtime.rmdir()  # nothing real ran here: spare the fixture below its `aish shutdown`


def listing(view: View, **drivers: str) -> GpuList:
    return GpuList(gpus=view.gpus, queue=view.queue, drivers=drivers)


def drawn(found: GpuList, ui: Ui | None = None, width: int = 80) -> str:
    names = {"p12": "qwen3-32b", "p30": "train-lora"}
    lines = report(found, names, ui or Ui(interactive=False, colour=False), width, 1_800_000_000.0)
    return "\n".join("".join(text for text, _ in line).rstrip() for line in lines)


def test_devices_processes_and_queue(views: dict[str, View]) -> None:
    assert drawn(listing(views["usual"], nvml="ok")).splitlines() == [
        "GPU0  NVIDIA H100 80GB HBM3   busy 71%  512/700W  74C  driver nvml",
        "  ▕qwen3-32b 47G ██████████████████████████████│█others 14G █░                 ▏",
        "  used 61G  promised 48G  free 18G  of 80G",
        "    @p12         qwen3-32b                   47G   58%",
        "    pid 99       not started by aish         14G   13%",
        "GPU1  NVIDIA H100 80GB HBM3   busy 97%  131/700W  46C  driver nvml",
        "  ▕train-lora 21G █████▍░░░░░░                                                 ▏",
        "  used 21G  promised 28G  free 52G  of 80G",
        "    @p30         train-lora                  21G   97%",
        "queue: 1 waiting",
        "    @p51         vllm-70b                    64G  since 3:00: 19G free on GPU0, 54G on GPU1",
    ]


def test_what_is_unknown_is_a_dash_and_trouble_is_told(views: dict[str, View]) -> None:
    text = drawn(listing(views["unknown"], nvml="lost contact"))
    assert "used -  promised 1.0G  free -  of 8.0G" in text
    assert "busy -  -  -" in text
    assert "fell off the bus" in text
    assert "42s ago" in text
    assert "driver nvml: lost contact" in text


def test_without_a_device_it_says_why_and_how_to_simulate_one() -> None:
    found = GpuList(gpus=[], queue=[], drivers={"nvml": "no NVIDIA driver: libnvidia-ml.so.1 was not found"})
    assert drawn(found).splitlines() == [
        "no GPU",
        "  to try quotas and the queue without one: `python -m aish.plugins.simgpu create --memory 24G`",
        "driver nvml: no NVIDIA driver: libnvidia-ml.so.1 was not found",
    ]


def test_hostile_names_are_harmless_and_ascii_is_ascii(views: dict[str, View]) -> None:
    for ui in (Ui(interactive=False), Ui(interactive=False, ascii_only=True)):
        text = drawn(listing(views["hostile"], **{"\x1b[31m": "\x1b[2J"}), ui)
        assert "\x1b" not in text
        assert not ui.ascii_only or text.isascii()


@pytest.mark.parametrize("width", [1, 10, 40, 100])
def test_bars_keep_to_the_width(views: dict[str, View], width: int) -> None:
    bars = [line for line in drawn(listing(views["crowd"]), width=width).splitlines() if line.startswith("  ▕")]
    assert len(bars) == 8
    assert all(columns(line) <= max(width, 4) for line in bars)


def test_the_verb_prints_for_people(daemon: Any, home: Any) -> None:
    result = home.aish("gpu", env={**home.environ, "LC_ALL": "C.UTF-8", "COLUMNS": "80"})
    assert result.returncode == 0, result.stderr
    assert "GPU0  NVIDIA H100 80GB HBM3   busy 71%" in result.stdout
    assert "@p12         qwen3-32b" in result.stdout
    assert "driver simgpu: no devices" in result.stdout
    assert "driver nvml: " not in result.stdout
    assert "\x1b" not in result.stdout


def test_the_verb_prints_for_programs(daemon: Any, home: Any) -> None:
    result = home.aish("gpu", "--json")
    table = json.loads(result.stdout)
    assert table["gpus"][0]["used_bytes"] == 61 << 30
    assert table["gpus"][0]["error"] is None
    assert table["queue"][0]["process"] == "p51"
    assert table["drivers"] == {"nvml": "ok", "simgpu": "no devices"}


def test_a_locale_without_unicode(daemon: Any, home: Any, views: dict[str, View]) -> None:
    daemon.replies[Gpus] = msgspec.structs.replace(listing(views["hostile"]))
    result = home.aish("gpu", env={**home.environ, "LC_ALL": "C"})
    assert result.returncode == 0, result.stderr
    assert result.stdout.isascii()


def test_a_refusal_is_an_error_of_the_verb(daemon: Any, home: Any) -> None:
    daemon.replies[Gpus] = Failure(code="refused", message="not yours")
    result = home.aish("gpu")
    assert result.returncode == 77
    assert "not yours" in result.stderr
