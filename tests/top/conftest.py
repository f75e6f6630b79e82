"""Views for every test of top: usual, empty, hostile, huge, unknown."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from aish.wire.part import ExitPart, GpuPart, GpuProcessPart, ProcessPart, QueuePart, TokensPart
from aish.wire.reply import View

GIB = 1 << 30
NOW_S = 1_800_000_000.0


def process(number: int, name: str, **fields: Any) -> ProcessPart:
    base: dict[str, Any] = {
        "kind": "command",
        "state": "running",
        "lifecycle": "running",
        "created_s": NOW_S - 60 * number,
        "started_s": NOW_S - 60 * number,
        "pid": 4000 + number,
    }
    return ProcessPart(id=f"p{number}", name=name, **{**base, **fields})


def usual() -> View:
    """The scene of the layout: two devices, a model with three agents, a training run, a queue, two alerts."""
    processes = [
        process(
            12,
            "qwen3-32b",
            kind="model",
            state="generating",
            ready="yes",
            activity="generating",
            cpu_percent=12.3,
            rss_bytes=3_300_000_000,
            vram_bytes=int(47.1 * GIB),
            vram_quota_bytes=48 * GIB,
            gpus=[0],
            tokens=TokensPart(input=1_900_000, output=84_000, requests=118),
            tokens_per_s=312.0,
            argv=[b"aish-llamacpp", b"--model", b"qwen3-32b"],
            cpu_seconds=812.5,
        ),
        process(
            15,
            "coder-1",
            kind="agent",
            state="generating",
            model="qwen3-32b",
            cpu_percent=4.0,
            rss_bytes=410 << 20,
            tokens=TokensPart(input=900_000, output=40_000, requests=60),
            tokens_per_s=96.0,
            budget_tokens=2_000_000,
            argv=[b"aish", b"agent", b"coder"],
            doing="edit src/io.py",
        ),
        process(
            16,
            "coder-2",
            kind="agent",
            state="tool",
            model="qwen3-32b",
            cpu_percent=3.0,
            rss_bytes=388 << 20,
            tokens=TokensPart(input=440_000, output=20_000, requests=42),
            tokens_per_s=0.0,
            budget_tokens=500_000,
            argv=[b"aish", b"agent", b"coder"],
            doing="bash: pytest -x",
        ),
        process(21, "pytest", parent="p16", cpu_percent=99.4, rss_bytes=int(1.2 * GIB), argv=[b"pytest", b"-x"]),
        process(
            22, "worker", parent="p21", cpu_percent=31.0, rss_bytes=200 << 20, argv=[b"python", b"-c", b"import x"]
        ),
        process(
            17,
            "reviewer",
            kind="agent",
            state="needs-input",
            model="qwen3-32b",
            cpu_percent=0.0,
            rss_bytes=290 << 20,
            tokens=TokensPart(input=90_000, output=3_000),
            doing="wants: git push",
        ),
        process(
            30,
            "train-lora",
            cpu_percent=31.0,
            rss_bytes=8 * GIB,
            vram_bytes=int(21.4 * GIB),
            vram_quota_bytes=24 * GIB,
            gpus=[1],
            argv=[b"python", b"train.py", b"--rank", b"16"],
        ),
        process(
            51,
            "vllm-70b",
            kind="model",
            state="queued",
            lifecycle="queued",
            pid=None,
            started_s=None,
            vram_quota_bytes=64 * GIB,
            reason="needs 64G on one device; 19G free on GPU0, 54G on GPU1",
        ),
    ]
    gpus = [
        GpuPart(
            index=0,
            uuid="GPU-0",
            name="NVIDIA H100 80GB HBM3",
            driver="nvml",
            memory_bytes=80 * GIB,
            used_bytes=61 * GIB,
            promised_bytes=48 * GIB,
            utilisation_percent=71.0,
            power_w=512.3,
            power_limit_w=700.0,
            temperature_c=74.0,
            age_s=0.4,
            processes=[
                GpuProcessPart(pid=4012, process="p12", vram_bytes=int(47.1 * GIB), sm_percent=58.0),
                GpuProcessPart(pid=99, vram_bytes=int(13.9 * GIB), sm_percent=13.0),
            ],
        ),
        GpuPart(
            index=1,
            uuid="GPU-1",
            name="NVIDIA H100 80GB HBM3",
            driver="nvml",
            memory_bytes=80 * GIB,
            used_bytes=int(21.4 * GIB),
            promised_bytes=28 * GIB,
            utilisation_percent=97.0,
            power_w=131.0,
            power_limit_w=700.0,
            temperature_c=46.0,
            age_s=0.4,
            processes=[GpuProcessPart(pid=4030, process="p30", vram_bytes=int(21.4 * GIB), sm_percent=97.0)],
        ),
    ]
    return View(
        time_s=NOW_S,
        host="gpubox",
        cpu_percent=41.0,
        memory_used_bytes=38 * GIB,
        memory_total_bytes=126 * GIB,
        processes=processes,
        gpus=gpus,
        queue=[
            QueuePart(
                process="p51",
                name="vllm-70b",
                vram_bytes=64 * GIB,
                reason="19G free on GPU0, 54G on GPU1",
                since_s=NOW_S - 180,
            )
        ],
        alerts=["coder-2 at 92% of its budget", "qwen3-32b VRAM 98% of its 48G quota"],
        gateway_url="http://127.0.0.1:4711/v1",
        daemon_pid=17,
    )


def empty() -> View:
    return View(time_s=NOW_S, host="laptop")


def unknown() -> View:
    """Every figure that may be unknown is."""
    return View(
        time_s=NOW_S,
        host="",
        processes=[
            ProcessPart(id="p1", name="mystery", kind="command", state="lost", lifecycle="lost", created_s=NOW_S),
            ProcessPart(
                id="p2",
                name="nan",
                kind="model",
                state="running",
                lifecycle="running",
                created_s=NOW_S,
                cpu_percent=float("nan"),
                tokens_per_s=float("inf"),
                vram_quota_bytes=GIB,
                budget_tokens=500,
            ),
        ],
        gpus=[
            GpuPart(index=0, uuid="GPU-0", name="", driver="nvml", memory_bytes=8 * GIB, promised_bytes=GIB),
            GpuPart(
                index=1,
                uuid="GPU-1",
                name="card",
                driver="nvml",
                memory_bytes=0,
                error="fell off the bus",
                age_s=42.0,
                processes=[GpuProcessPart(pid=1), GpuProcessPart(pid=2, process="p2")],
            ),
        ],
    )


HOSTILE = "\x1b[31m\x1b]0;owned\x07\x1b[2J\r\n\t\u202eevil\u200b\u0085\x9b1m"


def hostile() -> View:
    """Names, arguments and messages written to break a terminal."""
    zalgo = "z" + "\u0301" * 40
    wide = "模型服务器-夜间-很长的名字-很长的名字"
    return View(
        time_s=NOW_S,
        host=HOSTILE,
        processes=[
            process(1, HOSTILE, argv=[HOSTILE.encode(), b"\xff\xfe\x1b[31m"], doing=HOSTILE, reason=HOSTILE),
            process(2, zalgo, parent="p1", argv=[zalgo.encode()]),
            process(3, wide, kind="agent", model=wide, parent="p1"),
            process(4, "👩‍👩‍👧 ❤️ ñ ±°", parent="p3", state=HOSTILE),
            process(5, "\u0301leading mark", kind="model"),
            process(6, "", argv=[]),
        ],
        gpus=[
            GpuPart(
                index=0,
                uuid=HOSTILE,
                name=HOSTILE,
                driver=HOSTILE,
                memory_bytes=24 * GIB,
                used_bytes=99 * GIB,
                utilisation_percent=400.0,
                error=HOSTILE,
                processes=[GpuProcessPart(pid=1, process="p3", vram_bytes=40 * GIB, sm_percent=70.0)],
            )
        ],
        queue=[QueuePart(process="p1", name=HOSTILE, vram_bytes=1, reason=HOSTILE, since_s=0.0)],
        alerts=[HOSTILE, wide],
    )


def crowd() -> View:
    """300 processes on 8 devices."""
    processes = [
        process(
            n,
            f"job-{n}",
            parent=f"p{n // 7}" if n % 7 and n > 7 else None,
            cpu_percent=float(n * 37 % 100),
            rss_bytes=(n * 7919 % 4000) << 20,
            vram_bytes=(n % 5) * GIB if n % 3 == 0 else None,
            gpus=[n % 8] if n % 3 == 0 else [],
            argv=[b"python", b"job.py", str(n).encode()],
        )
        for n in range(1, 301)
    ]
    gpus = [
        GpuPart(
            index=n,
            uuid=f"GPU-{n}",
            name="NVIDIA A100-SXM4-40GB",
            driver="nvml",
            memory_bytes=40 * GIB,
            used_bytes=(n + 1) * 4 * GIB,
            promised_bytes=(n + 1) * 5 * GIB,
            utilisation_percent=n * 12.5,
            power_w=100.0 + 30 * n,
            power_limit_w=400.0,
            temperature_c=40.0 + n,
            age_s=0.2,
            processes=[
                GpuProcessPart(pid=4000 + m, process=f"p{m}", vram_bytes=GIB, sm_percent=3.0)
                for m in range(n + 1, 40, 10)
            ],
        )
        for n in range(8)
    ]
    return View(
        time_s=NOW_S,
        host="cluster-07",
        cpu_percent=88.0,
        memory_used_bytes=700 * GIB,
        memory_total_bytes=1000 * GIB,
        processes=processes,
        gpus=gpus,
    )


def ended() -> View:
    """What --all adds: processes that left in every way."""
    return View(
        time_s=NOW_S,
        host="laptop",
        processes=[
            process(
                1, "fine", state="exited", lifecycle="exited", ended_s=NOW_S, exit=ExitPart(code=0, reason="done")
            ),
            process(2, "bad", state="exited", lifecycle="exited", ended_s=NOW_S, exit=ExitPart(code=3)),
            process(3, "killed", state="exited", lifecycle="exited", ended_s=NOW_S, exit=ExitPart(signal=15)),
            process(4, "over", state="exited", lifecycle="exited", exit=ExitPart(code=75, reason="budget")),
            process(5, "lost", state="lost", lifecycle="lost", exit=ExitPart()),
            process(6, "never", state="failed", lifecycle="failed", reason="no such program: nosuch"),
        ],
    )


VIEWS: dict[str, Callable[[], View]] = {
    "usual": usual,
    "empty": empty,
    "unknown": unknown,
    "hostile": hostile,
    "crowd": crowd,
    "ended": ended,
}


@pytest.fixture
def views() -> dict[str, View]:
    return {name: make() for name, make in VIEWS.items()}


@pytest.fixture(scope="session")
def stage() -> ModuleType:
    """tests/top/stage.py: test files are no package, so it is loaded by its path."""
    spec = importlib.util.spec_from_file_location("top_stage", Path(__file__).parent / "stage.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def daemon(stage: ModuleType, home: Any) -> Iterator[Any]:
    """A daemon of paper at this test's address, showing the usual view."""
    made = stage.PaperDaemon(home.runtime / "daemon.sock", usual())
    made.start()
    yield made
    made.stop()
    if home.runtime.exists() and not any(home.runtime.iterdir()):
        home.runtime.rmdir()  # nothing real ran here: spare the fixture below its `aish shutdown`


@pytest.fixture
def top(stage: ModuleType, home: Any) -> Iterator[Callable[..., Any]]:
    """Start `aish top WORDS…` on a pty: top("--every", "0.2", columns=140, NO_COLOR="1")."""
    screens: list[Any] = []

    def start(*words: str, code: str = stage.TOP, columns: int = 80, lines: int = 24, **environ: str) -> Any:
        settings = {**home.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **environ}
        screens.append(stage.Screen(stage.python(code, *words), settings, columns, lines))
        return screens[-1]

    yield start
    for screen in screens:
        screen.close()
