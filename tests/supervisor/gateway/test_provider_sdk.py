"""The unmodified SDKs through the gateway while a provider misbehaves: the right words, or an error they know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anthropic
import ollama
import openai
import pytest

from .matrix import CLAUDE, LLAMA, OPENAI, Matrix

TEXT = "w0 w1 w2 "
HARMLESS = (
    *(
        "",
        "slow-between",
        "crlf",
        "cr",
        "bom",
        "comments",
        "blank-events",
        "many-lines",
        "bytes",
        "end-twice",
        "goes-on",
    ),
    *("unknown-events", "no-last-blank-line", "usage-text", "usage-huge", "usage-missing", "closes-after", "interim"),
)
HARMFUL = (
    *(
        "silent",
        "cut-head",
        "cut-event",
        "cut-between",
        "cut-before-usage",
        "cut-before-end",
        "no-events",
        "only-end",
    ),
    *("not-json", "half-json", "no-blank-line", "told-error", "chunk-size", "status-400", "status-429", "status-529"),
    *("html-200", "html-500", "empty-500", "type-swapped", "garbage"),
)
MENDED = {"bad-utf8": "w0 w\ufffd1 w2 ", "surrogates": TEXT + "\ufffdx \ufffd", "nul": TEXT + "\x00n\x00 "}
ERRORS = (openai.APIError, anthropic.APIError, ollama.ResponseError)


def say(text: str) -> Any:
    return [{"role": "user", "content": text}]


def gpt(url: str, key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=60)


def claude(url: str, key: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=url, api_key=key, max_retries=0, timeout=60)


def llama(url: str, key: str) -> ollama.Client:
    return ollama.Client(host=url, headers={"Authorization": f"Bearer {key}"}, timeout=60)


def chat(sdk: openai.OpenAI, model: str, text: str) -> str:
    chunks = sdk.chat.completions.create(model=model, messages=say(text), stream=True)
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices or ())


def response(sdk: openai.OpenAI, model: str, text: str) -> str:
    told = ""
    for event in sdk.responses.create(model=model, input=text, stream=True):
        if event.type == "response.output_text.delta":
            told += event.delta
        elif event.type in ("error", "response.failed"):  # the SDK leaves these to who reads the stream
            raise openai.APIError(str(event), request=None, body=None)  # type: ignore[arg-type]
    return told


def message(sdk: anthropic.Anthropic, model: str, text: str) -> str:
    with sdk.messages.stream(model=model, messages=say(text), max_tokens=50) as stream:
        return stream.get_final_text()


def generate(sdk: ollama.Client, model: str, text: str) -> str:
    parts = sdk.chat(model=model, messages=say(text), stream=True)
    return "".join(part.message.content or "" for part in parts)


ASKING: dict[str, tuple[Callable[[str, str], Any], Callable[[Any, str, str], str]]] = {
    "chat-stream": (gpt, chat),
    "response-stream": (gpt, response),
    "message-stream": (claude, message),
    "ollama-stream": (llama, generate),
}


@pytest.mark.parametrize(
    "model", [OPENAI, *(pytest.param(model, marks=pytest.mark.slow) for model in (CLAUDE, LLAMA))]
)
@pytest.mark.parametrize("name", ASKING)
def test_sdks_get_the_words_or_an_error_that_they_know(matrix: Matrix, name: str, model: str) -> None:
    opened, ask = ASKING[name]
    sdk = opened(matrix.world.gateway.url, matrix.keys[name, model][1])
    problems = []
    for fault in (*HARMLESS, *HARMFUL, *MENDED):
        if (name, model, fault) == ("message-stream", CLAUDE, "usage-missing"):
            continue  # bytes pass, and this SDK cannot do without: as it is without a gateway
        try:
            told = ask(sdk, model, f"say 3 fault {fault}")
        except ERRORS as error:
            matrix.afresh(model)
            if fault not in HARMFUL:
                problems.append(f"{fault}: {error!r}")
        else:
            if fault in HARMFUL:
                problems.append(f"{fault}: no error, but {told!r}")
            elif told != MENDED.get(fault, TEXT):
                problems.append(f"{fault}: {told!r}")
    assert not problems, "\n".join(problems)
