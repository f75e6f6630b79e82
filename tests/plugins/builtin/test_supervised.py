"""The supervisor's tools before the supervisor: what is asked about, and what is no call."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from aish.plugins.builtin.declined import DeclinedError
from aish.plugins.builtin.places import OutsideError, Places
from aish.plugins.builtin.supervised import GROUPS, Supervised
from aish.plugins.builtin.wish import Wish


def wish(folder: Path, tool: str, **given: object) -> Wish:
    supervised = Supervised(Places(str(folder)))
    (group,) = [group for group, tools in GROUPS.items() if tool in tools]
    return supervised.wishes(group)[tool](**given)


def test_arguments_that_are_no_object_are_a_wrong_call(tmp_path: Path) -> None:
    """The library takes any JSON where there is only a schema, and then calls with it."""
    for tool in [tool for group in GROUPS for tool in Supervised(Places(str(tmp_path))).tools(group)]:
        with pytest.raises(ValidationError):
            tool.function_schema.validator.validate_json("[1]")


def test_always_is_this_command_in_this_folder_and_this_agent(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    first = wish(tmp_path, "spawn", command=["make", "all"])
    assert first.grant == wish(tmp_path, "spawn", command=["make", "all"], cwd=".", name="other").grant
    others = (["make all"], ["make", "all", "install"])
    grants = {wish(tmp_path, "spawn", command=command).grant for command in others}
    grants |= {wish(tmp_path, "spawn", command=["make", "all"], cwd="sub").grant}
    assert len(grants | {first.grant}) == 4
    agent = wish(tmp_path, "spawn", command=["@fix", "one task"])
    assert agent.grant == wish(tmp_path, "spawn", command=["@fix", "another"]).grant
    assert "one task" in agent.body
    to_both = {wish(tmp_path, "send", agent=name, text="x").grant for name in ("@coder", "coder", "other")}
    assert len(to_both) == 2


def test_only_what_is_started_and_sent_is_asked_about(tmp_path: Path) -> None:
    given = {"command": ["true"], "agent": "a", "text": "x"}
    fields = {"spawn": ("command",), "send": ("agent", "text")}
    wishes = {
        tool: wish(tmp_path, tool, **{name: given[name] for name in fields.get(tool, ())})
        for tools in GROUPS.values()
        for tool in tools
    }
    assert {tool for tool, each in wishes.items() if not each.free} == {"spawn", "send"}


def test_a_folder_outside_and_wrong_words_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OutsideError):
        wish(tmp_path, "spawn", command=["true"], cwd="..")
    with pytest.raises(DeclinedError, match="a name, not a path"):
        wish(tmp_path, "spawn", command=["@../agent.md"])
    with pytest.raises(DeclinedError, match="command"):
        wish(tmp_path, "spawn", command=[])
