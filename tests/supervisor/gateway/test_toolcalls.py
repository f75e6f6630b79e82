"""Tools on a server that drops them: what the model is given, and what becomes of what it writes."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aish.errors import InputError
from aish.supervisor.gateway.dialects import call as calls
from aish.supervisor.gateway.dialects.openai import CHAT
from aish.supervisor.gateway.dialects.toolcalls.offer import offered
from aish.supervisor.gateway.dialects.toolcalls.take import Reader

from .conftest import World

if TYPE_CHECKING:
    from collections.abc import Iterator

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER: Any = {
    "type": "function",
    "function": {"name": "weather", "description": "Of  a\ncity", "parameters": CITY},
}
CLOCK: Any = {"type": "function", "function": {"name": "clock"}}
ONE = '<tool_call>{"name": "weather", "arguments": {"city": "a\\"}b {"}}</tool_call>'
TWO = f'{ONE}\n<tool_call>{{"name": "clock", "arguments": {{}}}}</tool_call>'
HI: Any = [{"role": "user", "content": "writes -1"}]


@pytest.fixture(scope="module")
def small() -> Iterator[World]:
    root = Path(tempfile.mkdtemp(prefix="aish-g-", dir="/tmp"))
    world = World(root)
    world.upstream.drops_tools = True
    try:
        yield world.start()
    finally:
        world.stop()
        shutil.rmtree(root, ignore_errors=True)


def gpt(world: World) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{world.gateway.url}/v1", api_key=world.agent()[1], max_retries=0, timeout=60)


# --- the whole way --------------------------------------------------------------------------------------------------


def test_a_call_of_a_chat(small: World) -> None:
    small.upstream.written = TWO
    answer = gpt(small).chat.completions.create(model="small", messages=HI, tools=[WEATHER, CLOCK])
    choice = answer.choices[0]
    assert choice.finish_reason == "tool_calls"
    made: Any = choice.message.tool_calls
    assert [(call.function.name, json.loads(call.function.arguments)) for call in made] == [
        ("weather", {"city": 'a"}b {'}),
        ("clock", {}),
    ]
    assert len({call.id for call in made}) == 2
    sent = small.upstream.requests[-1]
    assert not {"tools", "tool_choice"} & sent.keys()
    assert "weather(city: string): Of a city" in sent["messages"][0]["content"]
    assert '"weather' in sent["grammar"]
    assert answer.usage is not None


def test_a_call_of_a_stream(small: World) -> None:
    small.upstream.written = TWO
    made: dict[int, list[str]] = {}
    pieces = 0
    why = None
    for event in gpt(small).chat.completions.create(model="small", messages=HI, tools=[WEATHER, CLOCK], stream=True):
        for choice in event.choices:
            why = choice.finish_reason or why
            for part in choice.delta.tool_calls or []:
                call = made.setdefault(part.index, ["", ""])
                assert part.function is not None
                call[0] += part.function.name or ""
                call[1] += part.function.arguments or ""
                pieces += 1
    assert why == "tool_calls"
    assert {index: (name, json.loads(given)) for index, (name, given) in made.items()} == {
        0: ("weather", {"city": 'a"}b {'}),
        1: ("clock", {}),
    }
    assert pieces > 6, "arguments go on as they are written"


def test_words_pass(small: World) -> None:
    small.upstream.written = "It is 5 < 6, says <b>he</b>."
    answer = gpt(small).chat.completions.create(model="small", messages=HI, tools=[WEATHER])
    assert (answer.choices[0].message.content, answer.choices[0].message.tool_calls) == (small.upstream.written, None)
    assert answer.choices[0].finish_reason == "stop"


@pytest.mark.parametrize("cut", [5, 20, 45, len(ONE) - 3])
def test_a_call_that_the_limit_cuts_is_none(small: World, cut: int) -> None:
    """Fault: half a call looked like one, and the client could not read its arguments."""
    small.upstream.written = ONE
    messages: Any = [{"role": "user", "content": f"writes {cut}"}]
    choice = gpt(small).chat.completions.create(model="small", messages=messages, tools=[WEATHER]).choices[0]
    assert choice.finish_reason == "length"
    whole = cut > ONE.index("}}</tool_call>")
    assert [call.type for call in choice.message.tool_calls or []] == (["function"] if whole else [])
    assert not choice.message.content


def test_the_same_for_anthropic_s_clients(small: World) -> None:
    small.upstream.written = ONE
    sdk = anthropic.Anthropic(base_url=small.gateway.url, api_key=small.agent()[1], max_retries=0, timeout=60)
    tool: Any = {"name": "weather", "input_schema": CITY}
    fields: Any = {
        "model": "small",
        "max_tokens": 50,
        "messages": HI,
        "tools": [tool],
        "tool_choice": {"type": "any"},
    }
    with sdk.messages.stream(**fields) as stream:
        answer = stream.get_final_message()
    assert answer.stop_reason == "tool_use"
    assert [(block.name, block.input) for block in answer.content if block.type == "tool_use"] == [
        ("weather", {"city": 'a"}b {'})
    ]


def test_a_server_that_knows_tools_gets_them(shared: World) -> None:
    gpt(shared).chat.completions.create(
        model="small", messages=[{"role": "user", "content": "say 1"}], tools=[WEATHER]
    )
    assert shared.upstream.requests[-1]["tools"] == [WEATHER]


# --- what the model is given ----------------------------------------------------------------------------------------


def offer(**fields: Any) -> dict[str, Any]:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "tools": [WEATHER, CLOCK], **fields}
    call = offered(calls.parse(CHAT, json.dumps(body).encode()))
    return {name: json.loads(bytes(raw)) for name, raw in call.fields.items()}


def root(**fields: Any) -> str:
    return str(offer(**fields)["grammar"].partition("\n")[0])


def test_what_tool_choice_means() -> None:
    assert "|" in root(), "a call or words"
    assert "|" in root(tool_choice="auto")
    assert "|" not in root(tool_choice="required")
    named = offer(tool_choice={"type": "function", "function": {"name": "clock"}})
    assert "clock" in named["grammar"]
    assert "weather" not in named["grammar"]
    none = offer(tool_choice="none")
    assert not {"grammar", "tools", "tool_choice"} & none.keys()
    assert none["messages"] == [{"role": "user", "content": "hi"}]


def test_no_tools_at_all_are_none() -> None:
    found = offer(tools=None)
    assert not {"grammar", "tools"} & found.keys()
    assert found["messages"] == [{"role": "user", "content": "hi"}]


def test_several_calls_are_for_who_asks_for_them() -> None:
    assert "{0,7}" in offer(tool_choice="required", parallel_tool_calls=True)["grammar"]
    assert "{0,7}" not in offer(tool_choice="required")["grammar"]


def test_earlier_calls_and_results_are_text() -> None:
    called = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"x"}'}}
    found = offer(
        messages=[
            {"role": "developer", "content": [{"type": "text", "text": "be brief"}]},
            {"role": "user", "content": "?"},
            {"role": "assistant", "content": "so", "tool_calls": [called]},
            {"role": "tool", "tool_call_id": "1", "content": "rain"},
            {"role": "tool", "tool_call_id": "1", "content": [{"type": "text", "text": "sun"}]},
            {"role": "user", "content": [{"type": "text", "text": "and?"}]},
        ]
    )["messages"]  # fmt: skip
    assert found[0]["role"] == "system"
    assert found[0]["content"].startswith("be brief\n\nTools that you can call")
    assert found[1:] == [
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": 'so\n<tool_call>{"name": "weather", "arguments": {"city":"x"}}</tool_call>'},
        {
            "role": "user",
            "content": "<tool_response>weather: rain</tool_response>\n<tool_response>weather: sun</tool_response>",
        },
        {"role": "user", "content": [{"type": "text", "text": "and?"}]},
    ]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"tools": [{"type": "function", "function": {"name": "x", "parameters": {"$ref": "#/no"}}}]}, "tools"),
        ({"tools": [WEATHER] * 200}, "tools"),
        ({"tool_choice": "sometimes"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": "nix"}}}, "tool_choice"),
        ({"messages": [{"role": 5, "content": "x"}]}, "messages[0]"),
    ],
)
def test_what_cannot_be_offered_is_refused(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as caught:
        offer(**fields)
    assert caught.value.field == field


# --- what it writes -------------------------------------------------------------------------------------------------


def read(text: str, cuts: list[int]) -> tuple[str, list[tuple[str, str]]]:
    reader = Reader()
    deltas: list[dict[str, Any]] = []
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        deltas += reader.feed(text[start:end])
    deltas += reader.end()
    words = "".join(delta.get("content", "") for delta in deltas)
    made: dict[int, list[str]] = {}
    for delta in deltas:
        for part in delta.get("tool_calls", ()):
            call = made.setdefault(part["index"], ["", ""])
            call[0] += part["function"].get("name", "")
            call[1] += part["function"]["arguments"]
    return words, [(name, given) for name, given in made.values()]


@given(st.lists(st.integers(0, len(TWO)), max_size=20).map(sorted))
def test_any_cut_of_what_is_written_reads_the_same(cuts: list[int]) -> None:
    assert read(TWO, cuts) == ("", [("weather", '{"city": "a\\"}b {"}'), ("clock", "{}")])


@pytest.mark.parametrize("text", ["", "hello", "<", "<tool", "<b>bold</b>", " <tool_call>", "5 < 6"])
def test_words_are_words_whatever_they_begin_with(text: str) -> None:
    begun = text.startswith("<tool")
    assert read(text, list(range(len(text)))) == ("" if begun or text == "<" else text, [])
