"""What Codex asks for, as a person reads it, and what the answer does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aish.plugins.codex import approval
from aish.wire.question import AnswerPart

COMMAND = {
    "command": "/bin/bash -lc 'git push'",
    "commandActions": [{"type": "unknown", "command": "git push"}],
    "reason": "May I publish it?",
}


def answer(option: str | None = None, words: str | None = None) -> AnswerPart:
    return AnswerPart(option=option, words=words, time_s=0.0)


def test_a_command() -> None:
    wanted = approval.read(approval.COMMAND, COMMAND, "")
    assert wanted is not None
    assert (wanted.title, wanted.form) == ("shell: git push", "command")
    assert wanted.body == "git push\n\n# May I publish it?"
    assert [option.meaning for option in wanted.options] == ["allow", "allow-always", "deny"]


def test_a_fresh_decision_is_never_for_always() -> None:
    wanted = approval.read(approval.COMMAND, {**COMMAND, "kind": "humanCommand"}, "")
    assert wanted is not None
    assert [option.meaning for option in wanted.options] == ["allow", "deny"]


def test_a_way_into_the_network() -> None:
    context = {"networkApprovalContext": {"host": "example.org", "protocol": "https"}}
    wanted = approval.read(approval.COMMAND, {**COMMAND, **context}, "")
    assert wanted is not None
    assert (wanted.title, wanted.body) == ("network: example.org", "git push")


def test_a_patch() -> None:
    wanted = approval.read(approval.CHANGE, {"itemId": "c"}, "--- f\n+++ f\n@@ -1 +1 @@\n-a\n+b")
    assert wanted is not None
    assert (wanted.title, wanted.form) == ("patch: f", "diff")


@pytest.mark.parametrize(
    ("given", "decision"),
    [
        (answer("accept"), "accept"),
        (answer("acceptForSession"), "acceptForSession"),
        (answer("decline"), "decline"),
        (answer(words="no, not now"), "decline"),
    ],
)
def test_answers_of_commands_and_patches(given: AnswerPart, decision: str) -> None:
    assert approval.response(approval.COMMAND, COMMAND, given) == {"decision": decision}


@pytest.mark.parametrize(
    ("given", "response"),
    [
        (answer("accept"), {"permissions": {"network": {"enabled": True}}, "scope": "turn"}),
        (answer("acceptForSession"), {"permissions": {"network": {"enabled": True}}, "scope": "session"}),
        (answer("decline"), {"permissions": {}}),
    ],
)
def test_answers_of_permissions(given: AnswerPart, response: dict[str, Any]) -> None:
    params = {"permissions": {"network": {"enabled": True}}}
    assert approval.read(approval.PERMISSIONS, params, "") is not None
    assert approval.response(approval.PERMISSIONS, params, given) == response


def test_its_own_questions() -> None:
    options = [{"label": "A", "description": "one"}, {"label": "A"}, 5]
    (asked,) = approval.questions({"questions": [{"id": "lang", "question": "Which?", "options": options}]})
    assert (asked.id, asked.question, [option.id for option in asked.options]) == ("lang", "Which?", ["A"])
    assert approval.answered({"lang": answer("A")}) == {"answers": {"lang": {"answers": ["A"]}}}
    assert approval.answered({"lang": answer(words="B")}) == {"answers": {"lang": {"answers": ["B"]}}}


@given(
    st.sampled_from([approval.COMMAND, approval.CHANGE, approval.PERMISSIONS]),
    st.dictionaries(
        st.sampled_from(["command", "commandActions", "reason", "kind", "networkApprovalContext", "permissions"]),
        st.none() | st.text(max_size=5) | st.lists(st.none() | st.text(max_size=3)),
    ),
)
def test_whatever_it_asks_for_is_a_question(method: str, params: dict[str, Any]) -> None:
    wanted = approval.read(method, params, "")
    assert wanted is not None
    assert wanted.title
    assert approval.response(method, params, answer())
