"""Frameworks that people use, unmodified: pydantic-ai, langchain-openai, the client of litellm, curl."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pydantic
import pytest

if TYPE_CHECKING:
    from .conftest import World

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # it would fetch prices while it is imported
os.environ.setdefault("LANGSMITH_TRACING", "false")


class Place(pydantic.BaseModel):
    city: str


# --- pydantic-ai ----------------------------------------------------------------------------------------------------


def pydantic_agent(world: World, kind: str, key: str, **more: Any) -> Any:
    from pydantic_ai import Agent

    if kind == "anthropic":
        from anthropic import AsyncAnthropic
        from pydantic_ai.models.anthropic import AnthropicModel
        from pydantic_ai.providers.anthropic import AnthropicProvider

        client = AsyncAnthropic(base_url=world.gateway.url, api_key=key, max_retries=0)
        return Agent(AnthropicModel("small", provider=AnthropicProvider(anthropic_client=client)), **more)
    from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
    from pydantic_ai.providers.openai import OpenAIProvider

    provider = OpenAIProvider(base_url=f"{world.gateway.url}/v1", api_key=key)
    model = OpenAIChatModel if kind == "chat" else OpenAIResponsesModel
    return Agent(model("small", provider=provider), **more)


@pytest.mark.parametrize("kind", ["chat", "responses", "anthropic"])
def test_pydantic_ai(shared: World, kind: str) -> None:
    """An answer, a stream, a tool that is called and whose result goes back, an output of a type."""
    id, key = shared.agent()
    told: list[str] = []

    async def main() -> None:
        agent = pydantic_agent(shared, kind, key)
        found = await agent.run("say 3")
        assert found.output.split() == ["w"] * 3
        async with agent.run_stream("say 4") as stream:
            assert (await stream.get_output()).split() == ["w"] * 4

        @agent.tool_plain
        def weather(city: str) -> str:
            """Of a city."""
            told.append(city)
            return "say 2"

        found = await agent.run("say 1 call weather")
        assert found.output, "the result of the tool is the last message: it is answered"
        typed = pydantic_agent(shared, kind, key, output_type=Place)
        assert (await typed.run("say 1 call final_result")).output == Place(city="Paris 0")

    asyncio.run(main())
    assert told == ["Paris 0"]
    rows = shared.gateway.rows(f"process = '{id}'")
    assert {row["dialect"] for row in rows} == {"chat": {"openai"}}.get(kind, {kind})
    assert [row["status"] for row in rows] == [200] * 5


# --- langchain ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("responses", [False, True])
def test_langchain(shared: World, *, responses: bool) -> None:
    from langchain_core.tools import tool
    from langchain_openai import ChatOpenAI, OpenAIEmbeddings

    id, key = shared.agent()
    at: Any = {"base_url": f"{shared.gateway.url}/v1", "api_key": key, "max_retries": 0}
    model = ChatOpenAI(model="small", use_responses_api=responses, **at)
    answer = model.invoke("say 3")
    assert answer.text.split() == ["w"] * 3
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["output_tokens"] == 3
    assert "".join(chunk.text for chunk in model.stream("say 4")).split() == ["w"] * 4

    @tool
    def weather(city: str) -> str:
        """Of a city."""
        return city

    called = model.bind_tools([weather]).invoke("say 1 call weather")
    assert [(call["name"], call["args"]) for call in called.tool_calls] == [("weather", {"city": "Paris 0"})]
    vectors = OpenAIEmbeddings(model="small", check_embedding_ctx_length=False, **at).embed_documents(["a", "b"])
    assert vectors == [[0.5, 0.0], [0.5, 1.0]]
    assert shared.daemon.settled(id, 4).tokens.output == 3 + 4 + 1


# --- litellm --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", ["openai", "anthropic", "ollama_chat"])
@pytest.mark.slow
def test_litellm(shared: World, provider: str) -> None:
    import litellm

    _, key = shared.agent()
    base = f"{shared.gateway.url}/v1" if provider == "openai" else shared.gateway.url
    at: Any = {"model": f"{provider}/small", "api_base": base, "api_key": key, "num_retries": 0, "max_tokens": 50}
    answer: Any = litellm.completion(messages=[{"role": "user", "content": "say 3"}], **at)
    assert answer.choices[0].message.content.split() == ["w"] * 3
    assert answer.usage.completion_tokens == 3
    stream: Any = litellm.completion(messages=[{"role": "user", "content": "say 4"}], stream=True, **at)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream).split() == ["w"] * 4
    with pytest.raises(litellm.exceptions.RateLimitError if provider != "ollama_chat" else Exception):
        litellm.completion(messages=[{"role": "user", "content": "status 429"}], **at)


# --- curl -----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl: apt-get install curl")
def test_curl_in_every_dialect(shared: World) -> None:
    key = shared.agent()[1]
    messages = [{"role": "user", "content": "say 2"}]
    asked: dict[str, dict[str, Any]] = {
        "/v1/chat/completions": {"messages": messages},
        "/v1/responses": {"input": "say 2"},
        "/v1/messages": {"messages": messages, "max_tokens": 9},
        "/api/chat": {"messages": messages, "stream": False},
    }
    for path, body in asked.items():
        command = ["curl", "-sS", "-H", f"x-api-key: {key}", "-d", json.dumps({"model": "small", **body})]
        done = subprocess.run([*command, shared.gateway.url + path], capture_output=True, text=True, timeout=60)
        assert "w w " in done.stdout, (path, done.stdout, done.stderr)
