"""Frames: golden texts for what people see, and bounds that hold for every view and size."""

from __future__ import annotations

import os
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aish.top import gpus, panels
from aish.top.control import press
from aish.top.frame import frame
from aish.top.history import History
from aish.top.once import text
from aish.top.style import COLOURS
from aish.top.table import COLUMNS
from aish.top.text import columns
from aish.top.ui import Confirm, Ui
from aish.wire.part import ProcessPart
from aish.wire.reply import View

GOLDEN = Path(__file__).parent / "golden"
Views = dict[str, View]


def ui(view: View, **choices: Any) -> Ui:
    """As a live screen has it after some views: with a history that ramps up."""
    history = History()
    for step in range(60):
        share = step / 59
        history = history.add(
            msgspec.structs.replace(
                view,
                cpu_percent=100 * share,
                gpus=[
                    msgspec.structs.replace(gpu, utilisation_percent=100 * share if step % 10 else None)
                    for gpu in view.gpus
                ],
            )
        )
    return Ui(history=history, now_s=view.time_s, **choices)


def shown(view: View, choices: Ui, width: int, height: int) -> str:
    return text(view, choices, width, height)


CASES: list[tuple[str, str, int, int, dict[str, Any]]] = [
    ("usual-80x24", "usual", 80, 24, {}),
    ("usual-140x40", "usual", 140, 40, {}),
    ("usual-20x5", "usual", 20, 5, {}),
    ("usual-once", "usual", 100, 20, {"interactive": False}),
    ("usual-mono", "usual", 140, 40, {"colour": False}),
    ("usual-ascii", "usual", 140, 40, {"ascii_only": True}),
    ("usual-help", "usual", 80, 24, {"help": True}),
    ("usual-confirm", "usual", 80, 20, {"selected": "p16", "confirm": Confirm(target="p16", name="coder-2")}),
    ("usual-filter", "usual", 80, 20, {"filter": "pytest"}),
    ("usual-cpu", "usual", 80, 20, {"sort": "cpu"}),
    ("usual-reconnecting", "usual", 80, 20, {"link": "reconnecting"}),
    ("empty-80x24", "empty", 80, 24, {}),
    ("unknown-100x20", "unknown", 100, 20, {}),
    ("unknown-140x40", "unknown", 140, 40, {}),
    ("hostile-100x24", "hostile", 100, 24, {}),
    ("crowd-140x40", "crowd", 140, 40, {"selected": "p141"}),
    ("crowd-80x24", "crowd", 80, 24, {}),
    ("ended-120x14", "ended", 120, 14, {"interactive": False}),
]


@pytest.mark.parametrize(("golden", "view", "width", "height", "choices"), CASES, ids=[case[0] for case in CASES])
def test_golden(views: Views, golden: str, view: str, width: int, height: int, choices: dict[str, Any]) -> None:
    """What changes on the screen shows up in review. AISH_UPDATE_GOLDEN=1 writes the files anew."""
    drawn = shown(views[view], ui(views[view], **choices), width, height) + "\n"
    path = GOLDEN / f"{golden}.txt"
    if os.environ.get("AISH_UPDATE_GOLDEN"):
        path.write_text(drawn, encoding="utf-8")
    assert drawn == path.read_text(encoding="utf-8")


def assert_fits(view: View, choices: Ui, width: int, height: int) -> None:
    lines = frame(view, choices, width, height)
    assert len(lines) <= max(height, 0)
    if choices.interactive and width > 0:
        assert len(lines) == max(height, 0)
    for line in lines:
        joined = "".join(span.text for span in line)
        assert columns(joined) <= width, (width, height, joined)
        assert not [char for char in joined if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")], joined
        assert not choices.ascii_only or joined.isascii(), joined
        for span in line:
            assert span.style.fore in ("", *COLOURS)
            assert span.style.back in ("", *COLOURS)


@pytest.mark.parametrize("name", ["usual", "empty", "unknown", "hostile", "crowd", "ended"])
def test_every_size_fits(views: Views, name: str) -> None:
    """A terminal is resized while we draw: no size may fail, overflow or wrap."""
    sizes = [(w, h) for w in (0, 1, 2, 7, 20, 40, 59, 60, 80, 119, 120, 200) for h in (0, 1, 2, 3, 5, 8, 12, 18, 30)]
    for width, height in sizes:
        for choices in ({}, {"ascii_only": True}, {"interactive": False, "colour": False}, {"help": True}):
            assert_fits(views[name], ui_plain(**choices), width, height)


def ui_plain(**choices: Any) -> Ui:
    return Ui(**choices)


NAMES = st.text(max_size=30)
FIGURES = st.one_of(st.none(), st.floats(), st.floats(min_value=0, max_value=1e6))
SIZES = st.one_of(st.none(), st.integers(min_value=0, max_value=1 << 62))
PARTS = st.builds(
    ProcessPart,
    id=st.sampled_from(["p1", "p2", "p3", "p4"]) | NAMES,
    name=NAMES,
    kind=st.sampled_from(["command", "agent", "model"]),
    state=st.sampled_from(["running", "exited"]) | NAMES,
    lifecycle=st.sampled_from(["running", "exited", "lost"]),
    parent=st.one_of(st.none(), st.sampled_from(["p1", "p2", "p3", "p4"])),
    created_s=st.floats(allow_nan=False),
    cpu_percent=FIGURES,
    rss_bytes=SIZES,
    vram_bytes=SIZES,
    vram_quota_bytes=SIZES,
    tokens_per_s=FIGURES,
    budget_tokens=SIZES,
    argv=st.lists(st.binary(max_size=20), max_size=3),
    gpus=st.lists(st.integers(min_value=0, max_value=99), max_size=9),
    doing=st.one_of(st.none(), NAMES),
    model=st.one_of(st.none(), NAMES),
)


@settings(max_examples=150, deadline=None)
@given(
    processes=st.lists(PARTS, max_size=12),
    alerts=st.lists(NAMES, max_size=4),
    width=st.integers(min_value=1, max_value=180),
    height=st.integers(min_value=1, max_value=50),
    filtered=NAMES,
    sort=st.sampled_from(["tree", "cpu", "rss", "vram", "tokens", "age", "name", "state"]),
    ascii_only=st.booleans(),
)
def test_any_view_fits(
    processes: list[ProcessPart],
    alerts: list[str],
    width: int,
    height: int,
    filtered: str,
    sort: str,
    ascii_only: bool,
) -> None:
    view = View(time_s=0.0, host="h", processes=processes, alerts=alerts)
    for wanted in ("", filtered):
        assert_fits(view, Ui(filter=wanted, sort=sort, ascii_only=ascii_only), width, height)


def test_unknown_is_a_dash_and_never_a_zero(views: Views) -> None:
    drawn = shown(views["unknown"], ui_plain(), 140, 24)
    row = next(line for line in drawn.splitlines() if "mystery" in line)
    assert row.split() == ["p1", "mystery", "command", "lost", *["-"] * 7, "0s", "exit", "unknown"]
    assert "nan" not in drawn.replace(" nan ", "")
    assert "inf" not in drawn


def test_without_a_past_a_box_shows_a_bar_and_not_an_empty_graph(views: Views) -> None:
    drawn = shown(views["usual"], ui_plain(interactive=False), 140, 40)
    assert "│ SM   71%  ▕██████" in drawn


def test_every_process_is_shown_where_there_is_room(views: Views) -> None:
    drawn = shown(views["crowd"], ui_plain(), 100, 400)
    assert all(f"p{n} " in drawn for n in range(1, 301))


def test_the_selected_one_of_300_is_always_on_the_screen(views: Views) -> None:
    view = views["crowd"]
    choices = ui_plain()
    for key in ["end", "up", "up", "page-up", "home", "page-down", "page-down"]:
        choices, _ = press(choices, view, key)
        assert f"\n{choices.selected} " in shown(view, choices, 80, 24)


def test_a_selected_process_that_ended_leaves_the_marker_on_the_first(views: Views) -> None:
    lines = frame(views["usual"], ui_plain(selected="p999"), 80, 24)
    marked = [line for line in lines if len(line) == 1 and line[0].style.bold and line[0].style.reverse]
    assert [line[0].text.split()[0] for line in marked] == ["p12"]


def test_the_age_of_a_view_is_told_when_it_stands_still(views: Views) -> None:
    view = views["usual"]
    first = shown(view, ui_plain(now_s=view.time_s + 2), 80, 24).splitlines()[0]
    assert "LIVE 1.0s" in first
    assert "STALE 9s" in shown(view, ui_plain(now_s=view.time_s + 9), 80, 24)
    assert "RECONNECTING 9s" in shown(view, ui_plain(now_s=view.time_s + 9, link="reconnecting"), 80, 24)
    assert "FROZEN 1:05" in shown(view, ui_plain(now_s=view.time_s + 65, paused=True), 80, 24)


def test_the_clock_is_the_persons(views: Views) -> None:
    assert " 08:00:00 " in shown(views["usual"], ui_plain(), 80, 24)
    assert " 10:30:00 " in shown(views["usual"], ui_plain(utc_offset_s=9000), 80, 24)


def test_more_devices_than_lines_are_summed_up(views: Views) -> None:
    drawn = shown(views["crowd"], ui_plain(), 80, 15)
    assert "and 4 more: 104/160G used" in drawn


def test_words_of_devices_that_all_have_are_left_out() -> None:
    assert gpus.short_name("NVIDIA H100 80GB HBM3") == "H100 80GB"
    assert gpus.short_name("NVIDIA A100-SXM4-40GB") == "A100"
    assert gpus.short_name("NVIDIA GeForce RTX 4090") == "RTX 4090"
    assert gpus.short_name("Simulated 24G") == "Simulated 24G"
    assert gpus.short_name("NVIDIA ") == "NVIDIA"


def test_memory_is_split_by_owner_and_sums_up(views: Views) -> None:
    gpu = views["usual"].gpus[0]
    parts = gpus.parts(gpu, {"p12": "qwen"}, labels=True)
    assert [part.labels[0] for part in parts if part.labels] == ["qwen 47G", "others 14G"]
    assert sum(part.amount for part in parts if not part.shade) == pytest.approx(61 << 30, rel=1e-6)
    shades = [part.amount for part in gpus.parts(views["usual"].gpus[1], {}, labels=False) if part.shade]
    assert shades == [pytest.approx(6.6 * (1 << 30), rel=1e-6)]  # 28G promised, 21.4G taken


def test_memory_that_no_listed_process_holds_is_others(views: Views) -> None:
    """A driver that lists no processes, or not all: what is used is used."""
    gpu = msgspec.structs.replace(views["usual"].gpus[0], processes=[])
    assert [part.labels[0] for part in gpus.parts(gpu, {}, labels=True) if part.labels] == ["others 61G"]


def test_tokens_of_an_agent_are_not_counted_twice(views: Views) -> None:
    """The model reports what its agents spent as well."""
    drawn = shown(views["usual"], ui_plain(), 100, 24)
    assert "tok/s 312" in drawn
    assert "in 1.9M  out 84k" in drawn


def test_alerts_beyond_the_width_are_counted() -> None:
    view = View(time_s=0.0, host="h", alerts=[f"alert number {n}" for n in range(9)])
    line = "".join(span.text for span in panels.alerts(view, 60)[0])
    assert line.startswith("! alert number 0   ! alert number 1")
    assert line.endswith("+6")
    assert columns(line) <= 60


def test_a_queue_is_told_with_its_first_reason(views: Views) -> None:
    drawn = shown(views["usual"], ui_plain(), 140, 20)
    assert "queue 1 waiting 64G  vllm-70b: 19G free on GPU0, 54G on GPU1" in drawn


def test_keys_on_the_last_line_give_way_to_what_must_be_said(views: Views) -> None:
    view = views["usual"]
    assert shown(view, ui_plain(), 80, 24).splitlines()[-1].startswith(" q quit")
    assert shown(view, ui_plain(message="no"), 80, 24).splitlines()[-1] == " no"
    asked = ui_plain(confirm=Confirm(target="p12", name="qwen"))
    assert shown(view, asked, 80, 24).splitlines()[-1].startswith(" stop qwen (p12)?")
    typed = replace(ui_plain(), editing=True, filter="ab")
    assert shown(view, typed, 80, 24).splitlines()[-1] == " filter: ab_"


def test_columns_are_known_to_the_documentation_by_their_titles() -> None:
    assert [column.title for column in COLUMNS] == (
        ["ID", "NAME", "KIND", "STATE", "GPU", "VRAM/QUOTA", "SM%", "CPU%", "RSS", "TOK/S", "TOKENS", "AGE", "DOING"]
    )
    assert sorted(column.keep for column in COLUMNS) == list(range(len(COLUMNS)))
