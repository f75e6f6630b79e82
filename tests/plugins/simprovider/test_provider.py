"""The simulated provider, asked by the real SDKs and nothing between: what has no fault is as a real one has it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

DEADLINE_S = 60.0
TOOL: Any = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """As a program of its own: its address is the first line that it says."""
    process = subprocess.Popen(
        [sys.executable, "-m", "aish.plugins.simprovider", "--llamacpp"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def gpt(url: str, **more: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=url, api_key="sk", timeout=DEADLINE_S, **{"max_retries": 0, **more})


def claude(url: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=url.removesuffix("/v1"), api_key="sk", max_retries=0, timeout=DEADLINE_S)


def say(text: str) -> Any:
    return [{"role": "user", "content": text}]


def test_a_chat_whole_and_as_a_stream(url: str) -> None:
    answer = gpt(url).chat.completions.create(model="m", messages=say("say 4 think 2 call weather"), tools=[TOOL])
    assert answer.choices[0].message.content == "w0 w1 w2 w3 "
    assert answer.choices[0].message.tool_calls is not None
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (7, 6)
    chunks = list(
        gpt(url).chat.completions.create(
            model="m", messages=say("say 4"), stream=True, stream_options={"include_usage": True}
        )
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == "w0 w1 w2 w3 "
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 4


def test_an_output_limit_cuts_the_answer(url: str) -> None:
    answer = gpt(url).chat.completions.create(model="m", messages=say("say 9"), max_tokens=2)
    assert (answer.choices[0].finish_reason, answer.choices[0].message.content) == ("length", "w0 w1 ")
    message = claude(url).messages.create(model="m", messages=say("say 9"), max_tokens=2)
    assert message.stop_reason == "max_tokens"


def test_completions_and_embeddings(url: str) -> None:
    assert gpt(url).completions.create(model="m", prompt="say 2").choices[0].text == "w0 w1 "
    parts = list(gpt(url).completions.create(model="m", prompt="say 2", stream=True))
    assert "".join(part.choices[0].text for part in parts) == "w0 w1 "
    found = gpt(url).embeddings.create(model="m", input=["a", "b c"], encoding_format="float")
    assert [item.embedding for item in found.data] == [[0.5, 0.0], [0.5, 1.0]]
    assert found.usage.prompt_tokens == 3


def test_a_response_whole_and_as_a_stream(url: str) -> None:
    answer = gpt(url).responses.create(model="m", input="say 3 think 1 call weather")
    assert answer.output_text == "w0 w1 w2 "
    assert [item.type for item in answer.output] == ["reasoning", "message", "function_call"]
    with gpt(url).responses.stream(model="m", input="say 3 think 1 call weather") as stream:
        for _ in stream:
            pass
        assert stream.get_final_response().output_text == "w0 w1 w2 "


def test_a_message_whole_and_as_a_stream(url: str) -> None:
    fields: Any = {"model": "m", "max_tokens": 50, "messages": say("say 3 think 1 call weather")}
    answer = claude(url).messages.create(**fields)
    with claude(url).messages.stream(**fields) as stream:
        streamed = stream.get_final_message()
    assert [block.type for block in answer.content] == ["thinking", "text", "tool_use"]
    assert [block.type for block in streamed.content] == ["thinking", "text", "tool_use"]
    assert (streamed.stop_reason, streamed.usage.output_tokens) == (answer.stop_reason, answer.usage.output_tokens)
    assert claude(url).messages.count_tokens(model="m", messages=say("one two")).input_tokens == 3


@pytest.mark.slow
def test_a_fault_of_the_first_requests_alone_ends_with_them(url: str) -> None:
    """What a client that tries again is there for."""
    answer = gpt(url, max_retries=3).chat.completions.create(
        model="m", messages=say("say 1 fault status-503 first 2"), timeout=DEADLINE_S
    )
    assert answer.choices[0].message.content == "w0 "


@pytest.mark.parametrize("status", [400, 429, 500, 529])
def test_errors_have_the_shape_of_the_dialect(url: str, status: int) -> None:
    with pytest.raises(openai.APIStatusError) as ours:
        gpt(url).chat.completions.create(model="m", messages=say(f"fault status-{status}"))
    with pytest.raises(anthropic.APIStatusError) as theirs:
        claude(url).messages.create(model="m", max_tokens=5, messages=say(f"fault status-{status}"))
    assert (ours.value.status_code, theirs.value.status_code) == (status, status)
    assert isinstance(theirs.value.body, dict)
    assert theirs.value.body["type"] == "error"


def test_what_llama_cpp_has_besides(url: str) -> None:
    root = url.removesuffix("/v1")
    with urllib.request.urlopen(f"{root}/props", timeout=DEADLINE_S) as reply:
        assert json.loads(reply.read())["default_generation_settings"]["n_ctx"] == 4096
    request = urllib.request.Request(f"{root}/tokenize", b'{"content": "a b c"}')
    with urllib.request.urlopen(request, timeout=DEADLINE_S) as reply:
        assert len(json.loads(reply.read())["tokens"]) == 3
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{root}/nothing", timeout=DEADLINE_S)


def test_an_address_that_cannot_be_had_is_told() -> None:
    for address, status in (("127.0.0.1:99999999", 69), ("nonsense", 2)):
        done = subprocess.run(
            [sys.executable, "-m", "aish.plugins.simprovider", "--listen", address],
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
        )
        assert (done.returncode, done.stdout) == (status, "")
        assert done.stderr.startswith("simprovider: ")
        assert "Traceback" not in done.stderr
