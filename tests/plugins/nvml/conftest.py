"""A scripted libnvidia-ml.so.1, and the driver on top of it in a subprocess."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
GIB = 1 << 30


class Probe:
    """The driver in its own process; `state` scripts the hardware from the next call on."""

    def __init__(self, library_dir: Path | None, state: Path) -> None:
        self.state_file = state
        environ = {**os.environ, "AISH_TEST_NVML": str(state)}
        if library_dir is not None:
            environ["LD_LIBRARY_PATH"] = str(library_dir)
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "probe.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environ,
        )

    def state(self, *lines: str) -> None:
        self.state_file.write_text("\n".join(lines) + "\n")

    def ask(self, command: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the probe died of {command!r}"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ok(self, command: str) -> Any:
        answer = self.ask(command)
        assert "ok" in answer, answer
        return answer["ok"]

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.wait(timeout=60) == 0
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture(scope="session")
def library_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler (cc, gcc, clang) to build the stand-in for libnvidia-ml.so.1")
    folder = tmp_path_factory.mktemp("nvml")
    subprocess.run(
        [compiler, "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC"]
        + ["-o", str(folder / "libnvidia-ml.so.1"), str(HERE / "standin.c")],
        check=True,
    )
    return folder


@pytest.fixture
def probe(library_dir: Path, tmp_path: Path) -> Any:
    probe = Probe(library_dir, tmp_path / "state")
    yield probe
    probe.close()


@pytest.fixture
def bare_probe(tmp_path: Path) -> Any:
    """The driver with no stand-in: whatever libnvidia-ml this machine has, or none."""
    probe = Probe(None, tmp_path / "state")
    yield probe
    probe.close()


@pytest.fixture
def card() -> tuple[str, ...]:
    """One healthy 80 GiB device: 1 GiB reserved by the driver, 20 GiB used."""
    return (
        "init 0",
        "count 1",
        "device 0 uuid GPU-11111111-2222-3333-4444-555555555555",
        "device 0 name NVIDIA H100 80GB HBM3",
        f"device 0 total {80 * GIB}",
        f"device 0 reserved {1 * GIB}",
        f"device 0 used {20 * GIB}",
        "device 0 util 71",
        "device 0 power 512000",
        "device 0 limit 700000",
        "device 0 temp 74",
    )
