"""A request that is longer than the context: each server says it otherwise, and each client has to understand it."""

from __future__ import annotations

import json
import re

import pytest

from aish.agents import failure as agents
from aish.supervisor.gateway.dialects import openai
from aish.supervisor.gateway.dialects.anthropic import failure

SAID = {
    "OpenAI": {"message": "This model's maximum context length is 8192 tokens. However, you requested 9001 tokens"},
    "OpenAI, newer": {
        "message": "Your input exceeds the context window of this model.",
        "code": "context_length_exceeded",
    },
    "Anthropic": {"type": "invalid_request_error", "message": "prompt is too long: 250000 tokens > 200000 maximum"},
    "vLLM": {
        "message": "The decoder prompt (length 5000) is longer than the maximum model length of 4096.",
        "code": 400,
    },
    "SGLang": {"message": "The input (5000 tokens) is longer than the model's context length (4096 tokens)."},
    "Mistral": {"message": "Prompt contains 40000 tokens, too large for model with 32768 maximum context length"},
    "Gemini": {"message": "The input token count (1100000) exceeds the maximum number of tokens allowed (1048576)."},
    "Bedrock": {"message": "Input is too long for requested model."},
    "llama.cpp": {
        "message": "the request exceeds the available context size, try increasing it",
        "type": "exceed_context_size_error",
        "code": 400,
        "n_prompt_tokens": 5000,
        "n_ctx": 4096,
    },
}
CLAUDE_CODE = re.compile(r"^prompt is too long: \d+ tokens > \d+ maximum$")


@pytest.mark.parametrize("server", SAID)
def test_clients_of_every_dialect_know_it(server: str) -> None:
    """An agent on Claude or Gemini was told that its request is wrong, and ended: only llama.cpp's and OpenAI's own
    words made it shorten its conversation."""
    told = openai.upstream_failure(400, json.dumps({"error": SAID[server]}).encode(), "m")
    error = json.loads(told)["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "context_length_exceeded")
    assert isinstance(agents.from_response(400, told, "m"), agents.ContextError)
    shown = json.loads(failure.body(400, told))["error"]
    assert shown["type"] == "invalid_request_error"
    assert shown["message"].startswith("prompt is too long: ")
    assert SAID[server]["message"] in shown["message"] or server == "llama.cpp"


@pytest.mark.parametrize("server", ["Anthropic", "llama.cpp"])
def test_both_figures_are_where_claude_code_looks_for_them(server: str) -> None:
    told = openai.upstream_failure(400, json.dumps({"error": SAID[server]}).encode(), "m")
    assert CLAUDE_CODE.match(json.loads(failure.body(400, told))["error"]["message"])


@pytest.mark.parametrize("status", [400, 429, 500])
def test_other_errors_are_others(status: int) -> None:
    told = openai.upstream_failure(status, b'{"error": {"message": "max_tokens is too large"}}', "m")
    assert json.loads(told)["error"]["code"] is None
    assert json.loads(failure.body(status, told))["error"]["message"] == "max_tokens is too large"
    late = openai.upstream_failure(500, json.dumps({"error": SAID["OpenAI"]}).encode(), "m")
    assert json.loads(late)["error"]["code"] is None, "a server that fails says nothing of the request"
