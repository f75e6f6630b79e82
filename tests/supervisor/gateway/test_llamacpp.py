"""Which of llama.cpp's failures are the client's mistakes: the words of the real server (see test_model.py)."""

from __future__ import annotations

import json

import pytest

from aish.supervisor.gateway.dialects.llamacpp import mistake


def told(message: object) -> bytes:
    return json.dumps({"error": {"code": 500, "message": message, "type": "server_error"}}).encode()


@pytest.mark.parametrize(
    ("message", "code", "field"),
    [
        ("input (601 tokens) is too large to process. increase the …", "context_length_exceeded", "input"),
        ('Failed to parse tools: Missing tool function: {"type":"function"}; tools = […]', None, "tools"),
        ("Failed to parse messages: Missing 'role' in message", None, "messages"),
        ("image input is not supported - hint: if this is unexpected, …", None, "messages"),
        ("audio input is not supported", None, "messages"),
        ("the current context does not support logits computation. skipping", None, None),
    ],
)
def test_a_mistake_of_the_client(message: str, code: str | None, field: str | None) -> None:
    found = mistake(told(message))
    assert found is not None
    assert (found.message, found.code, found.field) == (message, code, field)


@pytest.mark.parametrize(
    "body",
    [
        told("Compute error."),
        told("about: Failed to parse tools: x"),
        told(None),
        b'{"error":"Failed to parse tools: x"}',
        b"<html>",
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_everything_else_stays_the_server_s_own_failure(body: bytes) -> None:
    assert mistake(body) is None
