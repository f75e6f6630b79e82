"""A private folder of simulated cards, and processes that use them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aish.plugins.simgpu import card as cards

GIB = 1 << 30


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    path = str(tmp_path / "simgpu")
    monkeypatch.setenv(cards.DIR_VARIABLE, path)
    monkeypatch.delenv(cards.DEVICE_VARIABLE, raising=False)
    return path


@pytest.fixture
def rack(folder: str) -> tuple[cards.Card, ...]:
    """Two cards of 24 GiB."""
    designed = cards.design(folder, 2, 24 * GIB, None)
    cards.save(folder, designed)
    return designed


@pytest.fixture
def command() -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "aish.plugins.simgpu", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            **options,
        )

    return run


@pytest.fixture
def started() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start the command line in the background, in a group of its own; all are ended after the test."""
    processes: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "aish.plugins.simgpu", *arguments],
            stdout=subprocess.PIPE,
            text=True,
            process_group=0,
            env=dict(os.environ),
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.wait(timeout=60)
        if process.stdout is not None:
            process.stdout.close()
