"""The shell's contest: what follows from figures, and scripts that mean the same to everybody who takes part."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from benches.shell import installs, measures, results, scripts, shells

if TYPE_CHECKING:
    from pathlib import Path

    from benches.tables import Figures


def test_ratios_are_taken_within_a_round() -> None:
    """Fault: a slow round of one is divided by a fast round of another."""
    ours: list[Figures] = [{"bare_ms": 8.0, "true_ms": 12.0, "read_ms": 100.0}, {"bare_ms": 16.0, "true_ms": 24.0}]
    bash: list[Figures] = [{"read_ms": 60.0}, {"read_ms": 600.0}]
    told = results.derived({"aish": ours, "bash": bash})["aish"]
    assert [figures["true_ratio"] for figures in told] == [1.5, 1.5]
    assert [figures["read_speed"] for figures in told] == [0.6, None]
    assert told[0]["string_speed"] is None


def test_goals_are_there_for_each_way_that_was_had() -> None:
    told = {"aish": {"true_ratio": 1.5, "string_speed": 0.2}, "pipx": {"true_ratio": 2.5}, "bash": {}}
    held = {goal.words: goal.held for goal in results.goals(told)}
    assert held["start: `-c true`, as ./dev installs it"] is True
    assert held["start: `-c true`, by pipx"] is False
    assert not any("uv" in words for words in held)
    assert held["building a string: speed beside dash"] is False


@pytest.mark.parametrize("script", scripts.SCRIPTS, ids=lambda script: script.name)
def test_scripts_mean_the_same_to_all(
    script: scripts.Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scripts, "LINES", 300)
    monkeypatch.setattr(scripts, "FILES", 300)
    measures.prepare(str(tmp_path))
    text = script.text.replace("COUNT", "12")
    known = [[sys.executable, "-m", "aish"], *([name] for name in ("bash", "dash") if shutil.which(name))]
    told = {
        subprocess.run([*words, "-c", text], cwd=tmp_path, capture_output=True, text=True, timeout=60).stdout
        for words in known
    }
    assert len(told) == 1
    assert told.pop().strip()


def test_who_is_not_there_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(shells.NotToBeHadError, match="not installed"):
        shells.take("mksh", str(tmp_path))


def test_bare_interpreter_is_the_one_that_it_was_installed_for(tmp_path: Path) -> None:
    """Through the link that pipx and uv make."""
    (tmp_path / "env" / "bin").mkdir(parents=True)
    (tmp_path / "env" / "bin" / "aish").touch()
    (tmp_path / "aish").symlink_to(tmp_path / "env" / "bin" / "aish")
    assert installs.python(str(tmp_path / "aish")) == str(tmp_path / "env" / "bin" / "python")
