"""--once --json: raw figures, null for unknown, safe text; and back again."""

from __future__ import annotations

import json

import pytest

from aish.errors import InputError
from aish.top.export import dump, load
from aish.wire.reply import View

Views = dict[str, View]


def test_every_field_is_there_and_unknown_is_null(views: Views) -> None:
    table = json.loads(dump(views["unknown"]))
    mystery, strange = table["processes"]
    for key in ("cpu_percent", "rss_bytes", "vram_bytes", "pid", "exit", "tokens", "started_s"):
        assert mystery[key] is None, key
    assert strange["cpu_percent"] is None, "NaN is no JSON"
    assert table["gpus"][0]["used_bytes"] is None
    assert table["cpu_percent"] is None
    assert set(table) == set(View.__struct_fields__)


def test_figures_are_raw_with_their_unit_in_the_key(views: Views) -> None:
    table = json.loads(dump(views["usual"]))
    model = table["processes"][0]
    assert model["vram_quota_bytes"] == 48 << 30
    assert model["tokens"] == {
        "input": 1_900_000,
        "output": 84_000,
        "requests": 118,
        "estimated": 0,
        "cached": 0,
        "reasoning": 0,
        "cost_usd": 0.0,
        "unpriced": 0,
        "observed": 0,
    }
    assert table["gpus"][0]["power_w"] == 512.3
    assert table["gpus"][0]["processes"][1]["process"] is None


def test_arguments_that_are_no_text_are_escapes_and_nothing_steers_the_terminal(views: Views) -> None:
    text = dump(views["hostile"])
    assert "\x1b" not in text
    assert text.isascii()
    assert json.loads(text)["processes"][0]["argv"][1] == "\\xff\\xfe\x1b[31m"


@pytest.mark.parametrize("name", ["usual", "empty", "crowd", "ended"])
def test_what_is_dumped_is_loaded(views: Views, name: str) -> None:
    assert load(dump(views[name])) == views[name]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"host": 3, "time_s": 1}', '{"time_s": 1, "host": "h", "processes": [3]}', "[" * 9999]
)
def test_what_is_no_view_is_refused_by_name(text: str) -> None:
    with pytest.raises(InputError, match=r"demo\.json: not a view"):
        load(text, "demo.json")
