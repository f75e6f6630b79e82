"""fish as a source of completions, where it is installed."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from aish.shell.companion import fish

if TYPE_CHECKING:
    from pathlib import Path


def test_without_fish_there_is_no_answer(tmp_path: Path) -> None:
    assert fish.complete("git che", str(tmp_path), "/") is None


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish here")
def test_a_fish_that_stays_answers_line_after_line(tmp_path: Path) -> None:
    (tmp_path / "it's here").write_text("")
    path = os.environ["PATH"]
    assert "--sort" in dict(fish.complete("ls --so", path, "/") or [])
    assert [word for word, _ in fish.complete("cat it", path, str(tmp_path)) or []] == ["it's here"]
    assert fish.complete("echo nothing-like-this", path, str(tmp_path)) == []
    assert fish.complete("cat 'it\nx", path, str(tmp_path)) is not None
