"""What messages of the protocol mean: pure, by messages that the protocol's own library makes, and by wrong ones."""

from __future__ import annotations

import json
from typing import Any

import acp
import pytest
from acp import schema
from hypothesis import given
from hypothesis import strategies as st

from aish.errors import BudgetError, LimitError, RefusedError, UpstreamError
from aish.plugins.acp import failure, messages, model, permission, update
from aish.plugins.acp.call import Call, diff
from aish.wire import budget
from aish.wire import question as q

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


def told(made: Any) -> update.Update | None:
    return update.read(made.model_dump(mode="json", by_alias=True, exclude_none=True))


def test_updates_as_the_library_makes_them() -> None:
    assert told(acp.update_agent_message_text("hello")) == update.Text("hello")
    assert told(acp.update_agent_thought_text("hmm")) == update.Thought("hmm")
    plan = acp.update_plan([acp.plan_entry("a", status="completed"), acp.plan_entry("b\nc", status="pending")])
    assert told(plan) == update.Plan("plan 1/2: b c")
    done = acp.update_plan([acp.plan_entry("a", status="completed")])
    assert told(done) == update.Plan("plan 1/1")
    usage = schema.UsageUpdate(
        session_update="usage_update", used=3, size=9, cost=schema.Cost(amount=1.5, currency="EUR")
    )
    assert told(usage) == update.Usage(3, 9, 1.5, "EUR")
    begun = told(acp.start_tool_call("c", "ls", kind="execute"))
    assert isinstance(begun, update.Tool)
    assert begun.begins
    assert told(acp.update_user_message_text("mine")) is None, "the prompt is no part of the answer"


@given(JSON, JSON)
def test_whatever_is_told_is_read_or_passed_over(fields: Any, more: Any) -> None:
    kinds = ("agent_message_chunk", "tool_call", "plan", "usage_update", "x")
    for kind in kinds:
        content = {
            "sessionUpdate": kind,
            "content": fields,
            "entries": more,
            "used": more,
            "size": fields,
            "cost": more,
        }
        update.read(content)
    update.read(fields)
    call = Call("c", "/w")
    for key in ("title", "kind", "status", "content", "locations", "rawInput", "rawOutput"):
        call.learn({key: fields})
        call.learn({key: [more]})
    asked = permission.asked(call, [fields, more])
    assert asked.title
    call.result()
    model.choice({"configOptions": fields, "models": more}, "m")
    model.choice({"configOptions": [fields], "models": {"availableModels": more}}, "m")
    failure.of(1, "x", fields, name="x", doing="session/prompt", login_hint="")
    messages.read(json.dumps(fields))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", None),
        ("[]", None),
        ("noise", None),
        ('"x"', None),
        ('{"method": 5, "id": 1}', None),
        ('{"id": [], "result": 1}', None),
        ('{"result": 1}', None),
        ("[" * 100_000, None),
        ('{"id": 1, "result": null}', {"id": 1, "result": None}),
        ('{"method": "m"}', {"method": "m"}),
        ('{"id": 1, "error": "no"}', {"id": 1, "error": {"code": -32603, "message": "no", "data": None}}),
        (
            '{"id": 1, "error": {"code": "x"}}',
            {"id": 1, "error": {"code": -32603, "message": "it does not say why", "data": None}},
        ),
    ],
)
def test_lines_as_messages(line: str, message: Any) -> None:
    """The library takes a list for a message, and a word for an error, and its reading ends."""
    assert messages.read(line) == message


@pytest.mark.parametrize(
    ("fields", "title", "form", "body"),
    [
        ({"title": "bash", "kind": "execute", "rawInput": {"command": "ls\nls"}}, "run: ls ls", "command", "ls\nls"),
        ({"title": "ls -l", "kind": "execute"}, "run: ls -l", "command", "ls -l"),
        ({"kind": "execute", "rawInput": {"command": ["ls", "-l"]}}, "run: ls -l", "command", "ls -l"),
        ({"title": "Fetch x", "kind": "fetch", "rawInput": {"url": "x"}}, "Fetch x", "text", '{"url": "x"}'),
        ({"title": "write", "kind": "edit", "locations": [{"path": "/w/a/b"}]}, "edit: a/b", "text", ""),
        ({"title": "go", "content": [{"content": {"type": "text", "text": "why"}}]}, "go", "text", "why"),
        ({}, "a tool", "text", ""),
    ],
)  # fmt: skip
def test_what_a_person_is_asked(fields: dict[str, Any], title: str, form: str, body: str) -> None:
    call = Call("c", "/w")
    call.learn(fields)
    asked = permission.asked(call, [])
    assert (asked.title, asked.form, asked.body) == (title, form, body)


def test_an_edit_shows_its_diff_below_the_folder() -> None:
    call = Call("c", "/w")
    call.learn({"kind": "edit", "content": [{"type": "diff", "path": "/w/a.py", "oldText": "1\n", "newText": "2"}]})
    asked = permission.asked(call, [])
    assert (asked.title, asked.form) == ("edit: a.py", "diff")
    assert asked.body == "--- a.py\n+++ a.py\n@@ -1 +1 @@\n-1\n+2\n\\ No newline at end of file\n"
    assert call.paths() == ["/w/a.py"]
    assert "characters become" in diff("a", "", "x\n" * 2_000_000), "comparing takes the square of the lines"


def test_options_have_the_protocols_meanings_and_bounds() -> None:
    kinds = ("allow_once", "allow_always", "reject_once", "reject_always", "odd")
    options: list[Any] = [{"optionId": kind, "name": f"{kind}\n!", "kind": kind} for kind in kinds]
    options += [{"optionId": "odd"}, {"optionId": ""}, {"optionId": "x" * 300}, None, {"name": "y"}]
    asked = permission.asked(Call("c", "/"), options)
    assert [option.meaning for option in asked.options] == list(q.MEANINGS)
    assert asked.options[0].label == "allow_once !"
    many = [{"optionId": str(number), "name": "x", "kind": "allow_once"} for number in range(99)]
    assert len(permission.asked(Call("c", "/"), many).options) == q.OPTIONS_MOST
    assert not permission.asked(Call("c", "/"), many).answerable("deny"), "a person would be asked against the file"


def test_a_token_is_of_one_request() -> None:
    tokens = {permission.token(session, call, number) for session in "ab" for call in "ab" for number in (1, 2)}
    assert len(tokens) == 8


def test_the_model_that_is_meant() -> None:
    select = {"id": "m", "category": "model", "type": "select", "currentValue": "p/a"}
    session = {
        "configOptions": [{**select, "options": [{"value": "p/a"}, {"group": "g", "options": [{"value": "q/b"}]}]}]
    }
    assert model.choice(session, "b") == ("session/set_config_option", {"configId": "m", "value": "q/b"})
    assert model.choice(session, "a") is None, "it has it already"
    assert model.choice(session, "c") is None
    twice = {"configOptions": [{**select, "options": [{"value": "p/c"}, {"value": "q/c"}]}]}
    assert model.choice(twice, "c") is None, "nobody knows which"
    older = {"models": {"currentModelId": "a", "availableModels": [{"modelId": "a"}, {"modelId": "b"}]}}
    assert model.choice(older, "b") == ("session/set_model", {"modelId": "b"})
    assert model.names(older) == ["a", "b"]


@pytest.mark.parametrize(
    ("reason", "denied", "error"),
    [
        ("end_turn", None, None),
        ("max_tokens", None, None),
        ("end_turn", "run: ls", RefusedError),
        ("cancelled", "run: ls", RefusedError),
        ("refusal", None, RefusedError),
        ("max_turn_requests", None, LimitError),
        ("cancelled", None, UpstreamError),
        (None, None, UpstreamError),
    ],
)
def test_why_a_turn_was_none(reason: object, denied: str | None, error: type | None) -> None:
    found = failure.stopped(reason, name="x", denied=denied)
    assert (None if found is None else type(found)) is error


def test_failures_say_whose_they_are() -> None:
    def of(code: int, data: object, doing: str = "session/new") -> Any:
        return failure.of(code, "No", data, name="x", doing=doing, login_hint="log in")

    assert (str(of(-32000, None)), of(-32000, None).hint) == ("x is not logged in: No", "log in")
    assert str(of(-32601, {"method": "m"})) == 'x does not know session/new: No: {"method": "m"}'
    assert str(of(1, {"details": "away"}, "session/prompt")) == "x failed at session/prompt: No: away"
    spent = of(-32603, {"details": f"its budget {budget.REFUSED}: too little is left"}, "session/prompt")
    assert (type(spent), spent.exit_status) == (BudgetError, 75), "it was taken for a fault of the model's server"
