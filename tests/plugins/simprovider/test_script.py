"""Scripts are read out of whatever a request has."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aish.plugins.simprovider import said, script
from aish.plugins.simprovider.script import Script

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["role", "content", "text", "output", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": "system", "content": "say 9"}, {"role": "user", "content": "say 2 fault bom"}]},
        {"messages": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "say 2 fault bom"}]}]},
        {"prompt": "say 2 fault bom"},
        {"input": ["say 2 fault bom"]},
        {"input": [{"role": "user", "content": [{"type": "input_text", "text": "say 2 fault bom"}]}]},
    ],
)
def test_the_last_words_are_the_script(body: dict[str, Any]) -> None:
    found = script.read(script.prompt(body))
    assert (found.say, found.fault) == (2, "bom")


def test_words_that_say_nothing_leave_what_is_usual() -> None:
    assert script.read("hello say many think -1 first") == Script("hello say many think -1 first")


@given(st.dictionaries(st.sampled_from(["messages", "input", "prompt", "system", "max_tokens"]), VALUES))
def test_any_request_has_a_script_and_an_answer(body: dict[str, Any]) -> None:
    asked = script.read(script.prompt(body))
    answer = said.answer(asked, body)
    assert answer.text == "".join(answer.words)
    assert script.words(body) >= 0


def test_calls_have_the_arguments_that_are_told() -> None:
    """An agent's tools can only be tried with a model that calls them as the test wants."""
    found = script.read('say 0 call write {"path": "a b", "content": "call x {}"} call read call shell {oops')
    assert found.calls == (("write", '{"path": "a b", "content": "call x {}"}'), ("read", ""), ("shell", "{oops"))
    assert said.answer(found, {}).calls[1] == ("read", '{"place": 1}')
    assert said.answer(script.read('json {"a": "b c"}'), {}).text == '{"a": "b c"}'


def test_each_request_with_results_is_the_next_step() -> None:
    asked: dict[str, Any] = {"role": "user", "content": 'call a {"x": "then"} then call b then say 1'}
    result = [{"role": "assistant", "tool_calls": []}, {"role": "tool", "content": "say 9 then say 8"}]
    steps = [script.prompt({"messages": [asked, *result * times]}) for times in range(4)]
    assert steps == ['call a {"x": "then"}', "call b", "say 1", "say 1"]
    assert script.prompt({"messages": [{"role": "user", "content": "say 1"}, *result]}) == "say 9 then say 8"


def test_what_stands_in_arguments_is_no_script_and_the_turn_is_told() -> None:
    found = script.read('say 2 call Bash {"command": "echo say 9"}')
    assert found.say == 2
    assert said.answer(found, {"messages": [{"role": "user"}] * 3}).turn == 3


def test_what_a_client_tells_the_model_behind_the_prompt_is_no_script() -> None:
    messages = [{"role": "user", "content": "say 2"}, {"role": "system", "content": "say 9"}]
    assert script.prompt({"messages": messages}) == "say 2"
    assert script.prompt({"input": [{"role": ["odd"], "content": "say 2"}]}) == "say 2"
