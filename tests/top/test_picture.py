"""The SVG picture: well-formed whatever the names, the same for the same view."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from aish.top.export import dump, load
from aish.top.picture import CELL_WIDTH, MARGIN, picture
from aish.top.ui import Ui
from aish.wire.reply import View

Views = dict[str, View]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("name", ["usual", "empty", "unknown", "hostile", "crowd", "ended"])
def test_every_view_makes_a_well_formed_picture(views: Views, name: str) -> None:
    text = picture(views[name], Ui(), 140, 40, title="<demo> & more")
    root = ElementTree.fromstring(text)
    assert root.tag == f"{SVG}svg"
    assert "script" not in text
    assert picture(views[name], Ui(), 140, 40, title="<demo> & more") == text


def texts(svg: str) -> list[Any]:
    return [e for e in ElementTree.fromstring(svg).iter(f"{SVG}text") if e.get("textLength")]


def test_words_stand_in_their_columns(views: Views) -> None:
    found = {e.text: e for e in texts(picture(views["usual"], Ui(), 80, 24))}
    assert float(found["coder-1"].get("x")) == pytest.approx(MARGIN + 5 * CELL_WIDTH, abs=0.1)
    assert float(found["coder-1"].get("textLength")) == pytest.approx(7 * CELL_WIDTH, abs=0.1)


def test_nothing_lies_outside(views: Views) -> None:
    svg = picture(views["crowd"], Ui(), 100, 30)
    match = re.search(r'viewBox="0 0 (\d+) (\d+)"', svg)
    assert match is not None
    for element in ElementTree.fromstring(svg).iter(f"{SVG}rect"):
        if element.get("x"):
            assert float(element.get("x", "")) + float(element.get("width", "")) <= float(match[1]) + 0.1
            assert float(element.get("y", "")) + float(element.get("height", "")) <= float(match[2])


def test_blank_runs_carry_no_meaning(views: Views) -> None:
    """Viewers that fold blanks must show the same picture."""
    for element in texts(picture(views["usual"], Ui(), 140, 40)):
        assert element.text is not None
        assert "  " not in element.text
        assert element.text == element.text.strip(" ")


SCRIPT = Path(__file__).parents[2] / "docs" / "make_top_picture.py"


def run(home: Any, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *words], capture_output=True, text=True, env=home.environ, timeout=60
    )


def test_the_script_draws_a_recorded_view(views: Views, home: Any, tmp_path: Path) -> None:
    recorded = tmp_path / "view.json"
    recorded.write_text(dump(views["usual"]))
    svg, transcript = tmp_path / "top.svg", tmp_path / "top.txt"
    result = run(home, "--view", str(recorded), "--size", "140x40", "--svg", str(svg), "--text", str(transcript))
    assert result.returncode == 0, result.stderr
    ElementTree.parse(svg)
    lines = transcript.read_text().splitlines()
    assert lines[0].startswith("aish top  gpubox")
    assert any("coder-2" in line for line in lines)
    assert max(map(len, lines)) <= 140


def test_the_script_draws_the_running_daemon(daemon: Any, home: Any, tmp_path: Path) -> None:
    record = tmp_path / "view.json"
    result = run(home, "--record", str(record), "--svg", str(tmp_path / "top.svg"))
    assert result.returncode == 0, result.stderr
    assert load(record.read_text()) == daemon.view


@pytest.mark.parametrize(
    ("words", "told"),
    [(["--size", "big"], "120x32"), (["--view", "/nowhere.json"], "cannot read"), ([], "not running")],
)
def test_the_script_refuses_in_a_sentence(home: Any, words: list[str], told: str) -> None:
    result = run(home, *words)
    assert result.returncode in (2, 69)
    assert told in result.stderr
    assert "Traceback" not in result.stderr
