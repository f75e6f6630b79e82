"""What the prompt knows of agents that wait for the person."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from aish.shell.need import figures

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("pid={pid} running=3 asks=2\n", 2),
        ("pid={pid} asks=1 later=x\n", 1),
        ("pid={pid} asks=0\n", 0),
        ("pid={pid} running=3\n", None),
        ("pid={gone} asks=2\n", None),
        ("asks=2\n", None),
        ("pid=/../proc asks=2\n", None),
        ("pid={pid} asks=\x1b[31m2\n", None),
        ("", None),
    ],
)
def test_it_is_known_where_it_is_true(tmp_path: Path, text: str, asks: int | None) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    (tmp_path / "prompt").write_text(text.format(pid=os.getpid(), gone=gone.pid))
    assert figures(str(tmp_path)).get("asks") == asks


def test_nothing_where_there_is_no_file_or_a_trap(tmp_path: Path) -> None:
    """A pipe would hang every prompt; a link could show another's file."""
    assert figures(str(tmp_path)) == {}
    os.mkfifo(tmp_path / "prompt")
    assert figures(str(tmp_path)) == {}
    os.unlink(tmp_path / "prompt")
    (tmp_path / "there").write_text(f"pid={os.getpid()} asks=2\n")
    (tmp_path / "prompt").symlink_to(tmp_path / "there")
    assert figures(str(tmp_path)) == {}
