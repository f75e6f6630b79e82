"""Tools on the embedded model, which has never learned any: every call is valid, and counted as the server counts."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic
import jsonschema
import openai
import pytest

from .test_model import Real, real  # noqa: F401  the fixture

pytestmark = [pytest.mark.model, pytest.mark.slow, pytest.mark.timeout(600)]
FORCED = 200
TEXT = {"type": "string", "maxLength": 24}


def whole(least: int, most: int) -> Any:
    return {"type": "integer", "minimum": least, "maximum": most}


def fitting(pattern: str) -> Any:
    return {"type": "string", "pattern": pattern}


def several(item: Any, least: int = 0) -> Any:
    return {"type": "array", "items": item, "minItems": least, "maxItems": 2}


def table(*required: str, **properties: Any) -> Any:
    return {"type": "object", "properties": properties, "required": list(required)}


POINT = {**table("x", "y", x=whole(-9, 9), y={"type": "integer"}), "additionalProperties": False}
WHEN = table("date", date={"type": "string", "format": "date"}, hour=whole(0, 23))
ITEM = table("sku", "count", sku=fitting("^[A-Z]{2}-[0-9]{3}$"), count=whole(1, 99))
SCHEMAS: dict[str, Any] = {
    "weather": table("city", city=TEXT, unit={"enum": ["C", "F"]}),
    "send_mail": table("to", "subject", to=TEXT, subject=TEXT, cc=several(TEXT)),
    "calculate": table("expression", expression=TEXT),
    "search": table("query", query=TEXT, limit=whole(1, 20)),
    "appoint": table("when", "who", when=WHEN, who=several(TEXT, 1)),
    "translate": table("text", "to", text=TEXT, to=fitting("^[a-z]{2}$")),
    "order": table("items", items=several(ITEM, 1), express={"type": "boolean"}),
    "heat": table("degrees", degrees={"type": "number", "minimum": 5, "maximum": 30}),
    "move": {**table("path", path=several({"$ref": "#/$defs/point"}, 1)), "$defs": {"point": POINT}},
    "note": table(
        "title", "about", title=TEXT | {"type": ["string", "null"]}, about={"anyOf": [POINT, {"const": 1}]}
    ),
}
ASKED = (
    "What is the weather in Paris?",
    "Write to bob@example.com that lunch is at noon.",
    "What is 12*37?",
    "Search for llamas",
    "Meet Ann on 2026-03-04 at 15",
    "Translate 'good morning' to French",
    "Order 3 of AB-123",
    "Set the heating to 21 degrees",
    "Move from 0,0 to 3,4",
    "Note: buy milk",
)
TOOLS: Any = [
    {"type": "function", "function": {"name": name, "parameters": schema}} for name, schema in SCHEMAS.items()
]


def test_every_forced_call_is_valid_and_every_token_is_counted(real: Real) -> None:  # noqa: F811
    id, key = real.agent()
    before = real.counts()
    sdk = openai.OpenAI(base_url=f"{real.gateway.url}/v1", api_key=key, max_retries=0, timeout=300)

    def ask(number: int) -> tuple[str, str, int, int]:
        name = list(SCHEMAS)[number % len(SCHEMAS)]
        choice: Any = "required" if number % 2 else {"type": "function", "function": {"name": name}}
        answer = sdk.chat.completions.create(
            model="small",
            messages=[{"role": "user", "content": ASKED[number % len(ASKED)]}],
            tools=TOOLS,
            tool_choice=choice,
            max_tokens=400,
            seed=number,
        )
        (choice_made,) = answer.choices
        assert choice_made.finish_reason == "tool_calls", choice_made
        (call,) = choice_made.message.tool_calls or ()
        assert call.type == "function"
        assert isinstance(choice, str) or call.function.name == name
        assert answer.usage is not None
        return call.function.name, call.function.arguments, answer.usage.prompt_tokens, answer.usage.completion_tokens

    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(ask, range(FORCED)))
    for name, arguments, _, _ in made:
        jsonschema.validate(json.loads(arguments), SCHEMAS[name], format_checker=jsonschema.FormatChecker())
    told = real.daemon.settled(id, FORCED).tokens
    assert (told.input, told.output) == (sum(each[2] for each in made), sum(each[3] for each in made))
    assert told.estimated == 0
    after = real.counts()
    assert after[1] - before[1] == told.output


def test_a_stream_of_anthropic_s_client_and_its_result(real: Real) -> None:  # noqa: F811
    sdk = anthropic.Anthropic(base_url=real.gateway.url, api_key=real.agent()[1], max_retries=0, timeout=300)
    tool: Any = {"name": "weather", "input_schema": SCHEMAS["weather"]}
    messages: Any = [{"role": "user", "content": ASKED[0]}]
    fields: Any = {"model": "small", "max_tokens": 200, "tools": [tool]}
    with sdk.messages.stream(messages=messages, tool_choice={"type": "any"}, **fields) as stream:
        answer = stream.get_final_message()
    (block,) = [block for block in answer.content if block.type == "tool_use"]
    assert answer.stop_reason == "tool_use"
    jsonschema.validate(block.input, tool["input_schema"])
    result: Any = {"type": "tool_result", "tool_use_id": block.id, "content": "rain, 12 C"}
    turn: Any = [{"role": "assistant", "content": [block.to_dict()]}, {"role": "user", "content": [result]}]
    after = sdk.messages.create(messages=[*messages, *turn], tool_choice={"type": "none"}, **fields)
    assert after.stop_reason in ("end_turn", "max_tokens")
    assert [each.type for each in after.content] == ["text"]
