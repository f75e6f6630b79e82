"""Schemas that every client can read, and arguments as models send them."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from aish.errors import UsageError
from aish.tools import arguments as a
from aish.tools import results as r
from aish.tools import schema
from aish.tools.tool import TOOLS


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_no_references_and_no_null(tool: Any) -> None:
    """Some clients refuse a tool whose schema has a reference, and models fill in a null that is offered."""
    for kind in (tool.takes, tool.gives):
        found = schema.of(kind)
        jsonschema.Draft202012Validator.check_schema(found)
        assert "$ref" not in str(found)
        assert "'null'" not in str(found)
        assert "anyOf" not in str(found)


def test_a_null_is_as_if_it_were_not_given() -> None:
    assert schema.convert(a.Logs, {"process": "x", "after": None, "last": None}) == a.Logs(process="x")
    assert schema.convert(a.Ps, None) == a.Ps()


def test_a_number_may_be_a_text() -> None:
    assert schema.convert(a.Wait, {"processes": ["x"], "timeout_s": "5"}).timeout_s == 5


def test_half_a_character_is_refused() -> None:
    """As a word of a command it would be a fault of ours, later."""
    with pytest.raises(UsageError, match="half of a character"):
        schema.convert(a.Spawn, {"command": ["a\ud800"]})


def test_the_place_in_a_list_is_told() -> None:
    with pytest.raises(UsageError, match=r"processes: Expected `str`, got `int` - at `\$.processes\[1\]`"):
        schema.convert(a.Wait, {"processes": ["a", 2]})


def test_what_a_terminal_would_read_is_nothing_to_a_model() -> None:
    from aish.client.log_answers import LogLine

    line = LogLine("stdout", b"\x1b]0;title\x07\x1b[1;31mred\x1b[0m\r", None, None, "p1", "x")
    assert r.log_text(line) == "red"
