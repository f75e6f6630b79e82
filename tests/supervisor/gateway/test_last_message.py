"""What is added to a request for a last message, in every dialect, and nothing else of it changes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aish.supervisor.gateway.dialects import call as openai_call
from aish.supervisor.gateway.dialects.anthropic import head as anthropic
from aish.supervisor.gateway.dialects.last_message import added
from aish.supervisor.gateway.dialects.responses import head as responses

TEXT = 'Say "good\\bye",\nin one line: ü.'
SAID = {"role": "user", "content": TEXT}
HELLO = {"role": "user", "content": "hello"}


def fields(endpoint: str, body: dict[str, Any], *, spaced: bool) -> tuple[dict[str, Any], int]:
    """The fields afterwards, and by how many bytes the prompt is longer."""
    data = json.dumps(body, indent=2 if spaced else None).encode()
    parse = {"/messages": anthropic.parse, "/responses": responses.parse}.get(endpoint, openai_call.parse)
    call = parse(endpoint, data)
    after = added(call, TEXT)
    assert (after.model, after.stream, after.copies) == (call.model, call.stream, call.copies)
    return {
        name: json.loads(bytes(raw)) for name, raw in after.fields.items()
    }, after.prompt_bytes - call.prompt_bytes


@pytest.mark.parametrize("spaced", [False, True])
@pytest.mark.parametrize(
    ("endpoint", "body", "name", "expected"),
    [
        ("/chat/completions", {"messages": [HELLO]}, "messages", [HELLO, SAID]),
        ("/messages", {"max_tokens": 5, "messages": [HELLO], "system": "s"}, "messages", [HELLO, SAID]),
        ("/responses", {"input": [HELLO]}, "input", [HELLO, SAID]),
        ("/responses", {"input": "hello"}, "input", [HELLO, SAID]),
        ("/completions", {"prompt": "once"}, "prompt", f"once\n\n{TEXT}\n"),
    ],
)
def test_it_is_behind_what_was_said(
    endpoint: str, body: dict[str, Any], name: str, expected: object, spaced: bool
) -> None:
    body = {"model": "m", **body, "unknown": [1, {"a": None}]}
    after, longer = fields(endpoint, body, spaced=spaced)
    assert after == {**body, name: expected}
    assert longer >= len(TEXT.encode()), "it is reserved for, too"


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        ("/embeddings", {"input": ["one", "two"]}),
        ("/embeddings", {"input": "one"}),
        ("/completions", {"prompt": ["one", "two"]}),
        ("/completions", {"prompt": [1, 2, 3]}),
    ],
)
def test_what_has_no_place_for_it_stays(endpoint: str, body: dict[str, Any]) -> None:
    assert fields(endpoint, body, spaced=False) == (body, 0)
