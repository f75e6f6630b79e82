"""What Claude Code asks for, as a person reads it, and what the answer does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aish.plugins.claude import permission
from aish.wire.question import AnswerPart

RULES = {"type": "addRules", "rules": [{"toolName": "Bash", "ruleContent": "git push:*"}], "behavior": "allow"}
MODE = {"type": "setMode", "mode": "acceptEdits", "destination": "session"}


def bash(*suggestions: dict[str, Any]) -> dict[str, Any]:
    return {"tool_name": "Bash", "input": {"command": "git push"}, "permission_suggestions": list(suggestions)}


def answer(option: str | None = None, words: str | None = None) -> AnswerPart:
    return AnswerPart(option=option, words=words, time_s=0.0)


def test_a_command() -> None:
    wanted = permission.read(bash(), None)
    assert (wanted.title, wanted.body, wanted.form) == ("Bash: git push", "git push", "command")
    assert [option.id for option in wanted.options] == ["once", "deny"], (
        "always is only there where it means something"
    )
    assert wanted.response(answer("once")) == {"behavior": "allow", "updatedInput": {"command": "git push"}}
    assert wanted.response(answer("deny"))["behavior"] == "deny"
    assert wanted.response(answer(words="ask me later")) == {"behavior": "deny", "message": "ask me later"}


def test_always_is_for_this_conversation_and_no_more_than_asked() -> None:
    """The suggestion would write into the project's settings, and let all edits through."""
    wanted = permission.read(bash({**RULES, "destination": "localSettings"}, MODE), None)
    always = wanted.options[1]
    assert (always.label, always.meaning) == ("Allow always: Bash(git push:*)", "allow-always")
    updates = wanted.response(answer("always"))["updatedPermissions"]
    assert updates == [{**RULES, "destination": "session"}]


def test_a_mode_is_taken_where_nothing_narrower_is_offered() -> None:
    wanted = permission.read({"tool_name": "Write", "input": {}, "permission_suggestions": [MODE]}, None)
    assert wanted.options[1].label == "Allow always: all edits"


@pytest.mark.parametrize(
    ("tool", "given", "before", "body"),
    [
        ("Write", {"content": "a\nb\n"}, None, "--- f\n+++ f\n@@ -0,0 +1,2 @@\n+a\n+b"),
        ("Write", {"content": "a\nc\n"}, "a\nb\n", "--- f\n+++ f\n@@ -1,2 +1,2 @@\n a\n-b\n+c"),
        (
            "Edit",
            {"old_string": "b", "new_string": "c"},
            "a\nb\nd\n",
            "--- f\n+++ f\n@@ -1,3 +1,3 @@\n a\n-b\n+c\n d",
        ),
        (
            "Edit",
            {"old_string": "b", "new_string": "c", "replace_all": True},
            "b\nb\n",
            "--- f\n+++ f\n@@ -1,2 +1,2 @@\n-b\n-b\n+c\n+c",
        ),
        ("Edit", {"old_string": "b", "new_string": "c"}, None, "--- f\n+++ f\n@@ -1 +1 @@\n-b\n+c"),
    ],
)
def test_a_change_is_a_diff(tool: str, given: dict[str, Any], before: str | None, body: str) -> None:
    request = {"tool_name": tool, "input": {"file_path": "f", **given}}
    assert permission.file(request) == "f"
    wanted = permission.read(request, before)
    assert (wanted.title, wanted.form, wanted.body) == (f"{tool}: f", "diff", body)


def test_another_tool_shows_its_input() -> None:
    wanted = permission.read({"tool_name": "mcp__db__drop", "input": {"table": "users", "n": 1}}, None)
    assert wanted.title == "mcp__db__drop: users"
    assert '"n": 1' in wanted.body


def test_its_own_questions() -> None:
    options = [{"label": "Rust", "description": "fast"}, {"label": "Rust"}, {"nothing": 1}]
    request: dict[str, Any] = {
        "tool_name": "AskUserQuestion",
        "input": {"questions": [{"question": "Which?", "options": options}]},
    }
    (asked,) = permission.questions(request)
    assert (asked.question, [option.id for option in asked.options], asked.body) == ("Which?", ["Rust"], "Rust: fast")
    assert permission.answered(request, {"Which?": "Rust"})["updatedInput"]["answers"] == {"Which?": "Rust"}


@given(
    st.dictionaries(
        st.sampled_from(["tool_name", "input", "permission_suggestions"]),
        st.none() | st.text(max_size=5) | st.lists(st.none() | st.dictionaries(st.just("type"), st.text(max_size=3))),
    )
)
def test_whatever_it_asks_for_is_a_question(request: dict[str, Any]) -> None:
    wanted = permission.read(request, None)
    assert wanted.title
    assert wanted.response(answer("once"))["behavior"] == "allow"
    assert permission.questions(request) == []
