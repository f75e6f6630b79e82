"""The SVG picture: well-formed whatever the names, the same for the same view."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import pytest

from aish.top.picture import CELL_WIDTH, MARGIN, picture
from aish.top.ui import Ui
from aish.wire.message import View

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
