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
    "xAI": {"message": "This model's maximum prompt length is 131072 but the request contains 136973 tokens."},
    "TGI": {"message": "Input validation error: `inputs` must have less than 1024 tokens. Given: 1872"},
    "TGI, both": {
        "message": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 1512. "
        "Given: 1000 `inputs` tokens and 1024 `max_new_tokens`",
    },
    "vLLM, both": {
        "message": "'max_tokens' or 'max_completion_tokens' is too large: 4096. This model's maximum context length "
        "is 32768 tokens and your request has 29000 input tokens (4096 > 32768 - 29000).",
    },
    "vLLM, newer": {
        "message": "This model's maximum context length is 128000 tokens. However, you requested 65535 output tokens "
        "and your prompt contains at least 62466 input tokens, for a total of at least 128001 tokens.",
    },
    "vLLM, older": {
        "message": "This model's maximum context length is 4096 tokens. However, you requested 5060 tokens (4036 in "
        "the messages, 1024 in the completion). Please reduce the length of the messages or completion.",
    },
    "Anthropic, both": {
        "type": "invalid_request_error",
        "message": "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000, decrease "
        "input length or `max_tokens` and try again",
    },
}
LENGTH = "This model's maximum context length is"
NOT_THE_PROMPT = [
    "max_tokens is too large",
    f"max_tokens is too large: 9. {LENGTH} 8.",
    (
        f"'max_tokens' or 'max_completion_tokens' is too large: 32000. {LENGTH} 32768 tokens and your request has "
        "1200 input tokens (32000 > 32768 - 1200)."
    ),
    (
        f"{LENGTH} 32768 tokens. However, you requested 32000 output tokens and your prompt contains at least 769 "
        "input tokens, for a total of at least 32769 tokens."
    ),
    f"{LENGTH} 6048 tokens. However, you requested 6616 tokens (568 in the messages, 6048 in the completion).",
    f"{LENGTH} 4097 tokens, however you requested 4569 tokens (545 in your prompt; 4024 for the completion).",
    (
        "Requested token count exceeds the model's maximum context length of 4096 tokens. You requested a total of "
        "5000 tokens: 100 tokens from the input messages and 4900 tokens for the completion."
    ),
    "`inputs` tokens + `max_new_tokens` must be <= 1512. Given: 10 `inputs` tokens and 2048 `max_new_tokens`",
    "input length and `max_tokens` exceed context limit: 20000 + 190000 > 200000, decrease input length",
]
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
    assert shown["message"].startswith("prompt is too long: ") or server == "Anthropic, both"
    assert SAID[server]["message"] in shown["message"] or server == "llama.cpp"


@pytest.mark.parametrize("server", ["Anthropic", "llama.cpp"])
def test_both_figures_are_where_claude_code_looks_for_them(server: str) -> None:
    told = openai.upstream_failure(400, json.dumps({"error": SAID[server]}).encode(), "m")
    assert CLAUDE_CODE.match(json.loads(failure.body(400, told))["error"]["message"])


def test_anthropic_s_sentence_of_both_reaches_its_clients_as_it_is() -> None:
    """Claude Code reads from it how much less it may ask for."""
    told = openai.upstream_failure(400, json.dumps({"error": SAID["Anthropic, both"]}).encode(), "m")
    assert json.loads(failure.body(400, told))["error"]["message"] == SAID["Anthropic, both"]["message"]


@pytest.mark.parametrize("said", NOT_THE_PROMPT)
def test_who_asks_for_nearly_all_the_room_is_not_told_to_shorten_his_prompt(said: str) -> None:
    """vLLM's sentence names the context, too: clients with a short conversation made it shorter, for nothing."""
    told = openai.upstream_failure(400, json.dumps({"error": {"message": said, "code": 400}}).encode(), "m")
    assert json.loads(told)["error"]["code"] is None
    assert not isinstance(agents.from_response(400, told, "m"), agents.ContextError)
    assert json.loads(failure.body(400, told))["error"]["message"] == said


@pytest.mark.parametrize("status", [400, 429, 500])
def test_other_errors_are_others(status: int) -> None:
    told = openai.upstream_failure(status, b'{"error": {"message": "no such thing"}}', "m")
    assert json.loads(told)["error"]["code"] is None
    assert json.loads(failure.body(status, told))["error"]["message"] == "no such thing"
    late = openai.upstream_failure(500, json.dumps({"error": SAID["OpenAI"]}).encode(), "m")
    assert json.loads(late)["error"]["code"] is None, "a server that fails says nothing of the request"
