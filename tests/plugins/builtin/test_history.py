"""What the built-in agent is told of the turns before, and what it has its host keep of each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from aish.errors import StorageError, UpstreamError

if TYPE_CHECKING:
    from .conftest import Bench


def told(bench: Bench) -> list[str]:
    """The last request, without its instructions."""
    return [str(each["content"] or "").strip() for each in bench.bodies()[-1]["messages"] if each["role"] != "system"]


def test_a_turn_goes_on_where_the_last_one_ended(bench: Bench) -> None:
    first = bench.run("say 1", instructions="Old ones.").conversation
    second = bench.run("say 2", conversation=first, instructions="New ones.").conversation
    bench.run("say 3", conversation=second, instructions="New ones.")
    assert told(bench) == ["say 1", "w0", "say 2", "w0 w1", "say 3"]
    assert [each["content"] for each in bench.bodies()[-1]["messages"] if each["role"] == "system"] == ["New ones."]
    bench.run("say 4", conversation=first)
    assert told(bench) == ["say 1", "w0", "say 4"], "an earlier one is as it was"


def test_calls_and_their_results_are_part_of_it(bench: Bench) -> None:
    prompt = f"call write {json.dumps({'path': 'a', 'content': 'x'})} then say 1"
    first = bench.run(prompt, tools=("write",)).conversation
    bench.run("say 2", tools=("write",), conversation=first)
    roles = [each["role"] for each in bench.bodies()[-1]["messages"] if each["role"] != "system"]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]


@pytest.mark.parametrize("tools", [(), ("read",)])
def test_an_answer_by_a_schema_is_part_of_it(bench: Bench, tools: tuple[str, ...]) -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    first = bench.run('json {"n": 7}', schema=schema, tools=tools).conversation
    bench.run('json {"n": 8}', schema=schema, tools=tools, conversation=first)
    assert [json.loads(text) for text in told(bench)[1:2]] == [{"n": 7}]


def test_a_turn_that_failed_is_not_part_of_it(bench: Bench) -> None:
    first = bench.run("say 1").conversation
    with pytest.raises(UpstreamError):
        bench.run("fault status-500", conversation=first)
    assert bench.desk.conversation == first


def test_one_that_cannot_be_read_is_told(bench: Bench) -> None:
    with pytest.raises(StorageError, match="cannot be understood"):
        bench.run("say 1", conversation=b'[{"kind": "nonsense"}]')
    assert bench.bodies() == [], "the model was asked without what it knew"
