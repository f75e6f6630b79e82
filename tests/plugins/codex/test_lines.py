"""Lines as Codex 0.171.0 wrote them, and such as it never wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aish.plugins.codex import lines
from aish.plugins.codex.lines import Answered, Asks, Began, Over, Returned, Said, Settled, Used, Warned

RECORDED = Path(__file__).parent / "recorded"
VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "id", "item", "turn", "status", "error", "codexErrorInfo", "changes", "message"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)
METHODS = ["turn/started", "turn/completed", "item/started", "item/completed", "error", "serverRequest/resolved"]


def told(name: str) -> list[lines.Told]:
    read = [lines.read(line) for line in (RECORDED / name).read_text().splitlines()]
    return [each for each in read if each is not None]


def test_a_turn_with_a_command_and_an_approval() -> None:
    found = told("turn.jsonl")
    answers = [each for each in found if isinstance(each, Answered)]
    assert [each.id for each in answers] == [1, 2, 3]
    thread = answers[1].result["thread"]["id"]
    assert [each for each in found if not isinstance(each, Answered | Asks)] == [
        Began(thread, answers[2].result["turn"]["id"]),
        Said(thread, "w0 w1 ", False),
        Used("call_0", "shell", "touch made2; echo say 4"),
        Settled(0),
        Returned("call_0", "say 4\n", "completed"),
        Said(thread, "w0 w1 w2 w3 ", False),
        Over(thread),
    ]
    (asks,) = [each for each in found if isinstance(each, Asks)]
    assert (asks.id, asks.method) == (0, "item/commandExecution/requestApproval")


def test_a_patch_has_its_diff() -> None:
    used, asks, returned = told("patch.jsonl")
    assert isinstance(used, Used)
    assert (used.tool, used.about) == ("patch", "/work/poem.txt")
    assert used.diff == "--- /dev/null\n+++ /work/poem.txt\n+roses"
    assert isinstance(asks, Asks)
    assert asks.params["itemId"] == used.id
    assert isinstance(returned, Returned)


def test_why_a_turn_failed() -> None:
    """The server's words stand in it as JSON."""
    (over,) = told("failures.jsonl")
    assert isinstance(over, Over)
    assert (over.failure, over.why, over.spent) == ("no", "other", False)


@pytest.mark.parametrize(
    ("info", "why", "status", "spent"),
    [
        ("usageLimitExceeded", "usageLimitExceeded", None, True),
        ({"httpConnectionFailed": {"httpStatusCode": 402}}, "httpConnectionFailed", 402, True),
        ({"responseTooManyFailedAttempts": {"httpStatusCode": 503}}, "responseTooManyFailedAttempts", 503, False),
        (None, "", None, False),
        ({}, "", None, False),
        (["odd"], "['odd']", None, False),
    ],
)
def test_which_failure_it_was(info: Any, why: str, status: int | None, spent: bool) -> None:
    turn = {"status": "failed", "error": {"message": "m", "codexErrorInfo": info}}
    over = lines.read(json.dumps({"method": "turn/completed", "params": {"threadId": "t", "turn": turn}}))
    assert isinstance(over, Over)
    assert (over.failure, over.why, over.status, over.spent) == ("m", why, status, spent)


def test_it_asks_a_model_again() -> None:
    error = {"error": {"message": "stream cut"}, "willRetry": True}
    assert lines.read(json.dumps({"method": "error", "params": error})) == Warned(
        "the model is asked again: stream cut"
    )


def test_an_interrupted_turn_is_no_answer() -> None:
    over = lines.read('{"method": "turn/completed", "params": {"turn": {"status": "interrupted"}}}')
    assert over == Over("", "the turn was interrupted")


def test_an_updated_file_keeps_its_hunks() -> None:
    change = {"path": "f", "kind": {"type": "update", "move_path": None}, "diff": "@@ -1 +1 @@\n-a\n+b\n"}
    assert lines.diff({"changes": [change, "odd"]}) == "--- f\n+++ f\n@@ -1 +1 @@\n-a\n+b"


@pytest.mark.parametrize("line", ["", "{", "[]", "7", '{"method": 7}', '{"id": null, "result": 1}', "[" * 100_000])
def test_what_is_malformed_tells_nothing(line: str) -> None:
    assert lines.read(line) is None


@given(st.sampled_from(METHODS), VALUES, st.none() | st.integers())
def test_nothing_that_it_may_write_is_a_fault(method: str, params: Any, id: int | None) -> None:
    lines.read(json.dumps({"method": method, "params": params}))
    lines.read(json.dumps({"id": id, "error": params}))
    lines.read(json.dumps({"method": method, "params": {"item": params, "turn": params, "error": params}}))
