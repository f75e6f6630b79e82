"""Lines as Claude Code 2.1.332 wrote them, and such as it never wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aish.plugins.claude import lines
from aish.plugins.claude.lines import Again, Answered, Began, Over, Returned, Said, Thought, Used, Wants, Withdrew

RECORDED = Path(__file__).parent / "recorded"
VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "subtype", "message", "content", "text", "id", "request", "response", "result"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)
TYPES = st.sampled_from(["assistant", "user", "system", "result", "control_request", "control_response"])


def told(name: str) -> list[lines.Told]:
    return [each for line in (RECORDED / name).read_text().splitlines() for each in lines.read(line)]


def test_a_turn_with_a_tool_and_a_permission() -> None:
    answered, began, thought, said, used, wants, returned, last, over = told("turn.jsonl")
    assert answered == Answered("r1", None)
    assert isinstance(began, Began)
    assert (thought, said, last) == (Thought("t0 t1 t2 "), Said("w0 w1 "), Said("w0 w1 w2 w3 "))
    assert used == Used("toolu_0", "Bash", "touch made; echo say 4")
    assert isinstance(wants, Wants)
    assert (wants.kind, wants.request["tool_name"]) == ("can_use_tool", "Bash")
    assert returned == Returned("toolu_0", "say 4", False)
    assert over == Over("w0 w1 w2 w3 ")


def test_why_a_turn_failed() -> None:
    turns, again, _, overloaded = told("failures.jsonl")
    assert turns == Over("", "Reached maximum number of turns (1)")
    assert again == Again("529 overloaded")
    assert isinstance(overloaded, Over)
    assert (overloaded.status, overloaded.spent) == (529, False)
    assert (overloaded.failure or "").startswith("API Error: 529 Overloaded.")


def test_what_it_says_of_an_error_is_no_text_of_the_model() -> None:
    assert not any(isinstance(each, Said) for each in told("failures.jsonl"))


@pytest.mark.parametrize(
    ("fields", "failure"),
    [
        ({"subtype": "error_max_turns"}, "it has used up its turns"),
        ({"subtype": "error_of_tomorrow"}, "it ended with error_of_tomorrow"),
        ({"subtype": "success", "is_error": True, "errors": 5}, "it ended with success"),
        ({}, "it ended with None"),
    ],
)
def test_a_failure_without_words_has_some(fields: dict[str, Any], failure: str) -> None:
    assert lines.read(json.dumps({"type": "result", **fields})) == [Over("", failure)]


def test_a_spent_budget_is_402() -> None:
    (over,) = lines.read('{"type": "result", "subtype": "success", "is_error": true, "api_error_status": 402}')
    assert isinstance(over, Over)
    assert over.spent


def test_helpers_tell_of_their_tools_alone() -> None:
    content = [{"type": "text", "text": "mine"}, {"type": "tool_use", "id": "a", "name": "Read", "input": {}}]
    line = {"type": "assistant", "parent_tool_use_id": "toolu_1", "message": {"content": content}}
    assert lines.read(json.dumps(line)) == [Used("a", "Read", "")]


def test_a_question_is_taken_back() -> None:
    assert lines.read('{"type": "control_cancel_request", "request_id": "q"}') == [Withdrew("q")]


@pytest.mark.parametrize("line", ["", "{", "[]", "7", '{"type": 7}', "\udcff", "[" * 100_000, '{"a": "' + "x" * 99])
def test_what_is_malformed_tells_nothing(line: str) -> None:
    assert lines.read(line) == []


@given(TYPES, st.dictionaries(st.sampled_from(["subtype", "message", "request", "response", "result"]), VALUES))
def test_nothing_that_it_may_write_is_a_fault(kind: str, fields: dict[str, Any]) -> None:
    lines.read(json.dumps({**fields, "type": kind}))
