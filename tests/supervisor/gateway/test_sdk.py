"""The unmodified openai SDK and curl through the gateway."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import openai
import pytest

if TYPE_CHECKING:
    from .conftest import World

pytestmark = pytest.mark.usefixtures("not_in_a_row")

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl: apt-get install curl")


def client(world: World, key: str | None = None, **more: object) -> openai.OpenAI:
    settings: dict[str, object] = {"max_retries": 0, "timeout": 30, **more}
    return openai.OpenAI(base_url=f"{world.gateway.url}/v1", api_key=key or world.agent()[1], **settings)  # type: ignore[arg-type]


def test_chat_is_answered_and_counted_as_the_server_told(shared: World) -> None:
    id, key = shared.agent()
    answer = client(shared, key).chat.completions.create(
        model="small", messages=[{"role": "user", "content": "say 5 please"}]
    )
    assert answer.choices[0].message.content == "w w w w w "
    assert answer.model == "small", "the asked name comes back, not the server's own"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (4, 5)
    settled = shared.daemon.settled(id, 1)
    assert (settled.tokens.input, settled.tokens.output, settled.tokens.estimated) == (4, 5, 0)
    (row,) = shared.gateway.rows(f"process = '{id}'")
    assert (row["model"], row["status"], row["input"], row["output"], row["stream"]) == ("small", 200, 4, 5, 0)


def test_a_stream_comes_in_events_without_the_usage_chunk_that_nobody_asked_for(shared: World) -> None:
    id, key = shared.agent()
    chunks = list(
        client(shared, key).chat.completions.create(
            model="default", messages=[{"role": "user", "content": "say 4"}], stream=True
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == "w " * 4
    assert all(chunk.usage is None and chunk.model == "default" for chunk in chunks)
    settled = shared.daemon.settled(id, 1)
    assert (settled.tokens.input, settled.tokens.output, settled.tokens.estimated) == (3, 4, 0)
    (row,) = shared.gateway.rows(f"process = '{id}'")
    assert row["first_token_s"] is not None
    assert row["first_token_s"] <= row["seconds"]


def test_a_stream_ends_with_the_usage_chunk_when_asked_for(shared: World) -> None:
    chunks = list(
        client(shared).chat.completions.create(
            model="small",
            messages=[{"role": "user", "content": "say 2"}],
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 2
    assert chunks[-1].choices == []


@pytest.mark.parametrize("deployment", [None, "small"])
def test_azure_s_client_finds_the_model_in_the_path(shared: World, deployment: str | None) -> None:
    """It asks at /openai/deployments/NAME, and names no other model where the deployment is set once for all."""
    id, key = shared.agent()
    azure = openai.AzureOpenAI(
        azure_endpoint=shared.gateway.url,
        azure_deployment=deployment,
        api_key=key,
        api_version="2024-10-21",
        max_retries=0,
    )
    model = "gpt-4o" if deployment else "small"
    say: Any = [{"role": "user", "content": "say 2"}]
    answer = azure.chat.completions.create(model=model, messages=say)
    assert (answer.model, answer.choices[0].message.content) == ("small", "w w ")
    stream = azure.chat.completions.create(model=model, messages=say, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "w w "
    assert azure.completions.create(model=model, prompt="say 2").choices[0].text == "w w "
    assert len(azure.embeddings.create(model=model, input="a").data) == 1
    shared.daemon.settled(id, 4)
    rows = shared.gateway.rows(f"process = '{id}'")
    paths = ["/chat/completions", "/chat/completions", "/completions", "/embeddings"]
    assert [(row["endpoint"], row["model"]) for row in rows] == [(path, "small") for path in paths]
    if deployment is None:
        assert azure.responses.create(model="small", input="say 2").output_text == "w w "
        assert "small" in {model.id for model in azure.models.list()}
        with pytest.raises(openai.NotFoundError, match="does not exist"):
            azure.chat.completions.create(model="no/such model", messages=say)


def test_completions_and_embeddings(shared: World) -> None:
    id, key = shared.agent()
    sdk = client(shared, key)
    assert sdk.completions.create(model="small", prompt="say 2").choices[0].text == "w w "
    embeddings = sdk.embeddings.create(model="", input=["a b c", "d"], encoding_format="float")
    assert [item.embedding for item in embeddings.data] == [[0.5, 0.0], [0.5, 1.0]]
    assert embeddings.model == "small"
    settled = shared.daemon.settled(id, 2)
    assert (settled.tokens.input, settled.tokens.output) == (6, 2)


def test_models_are_listed_with_context_and_state(shared: World) -> None:
    models = {model.id: model for model in client(shared).models.list()}
    assert set(models) == {"default", "small"}
    assert models["small"].model_dump()["context_length"] == 4096
    assert models["default"].model_dump()["state"] == "ready"
    assert client(shared).models.retrieve("small:latest").owned_by == "aish"


def test_unknown_fields_and_number_formats_reach_the_server_as_they_are(shared: World) -> None:
    client(shared).chat.completions.create(
        model="small",
        messages=[{"role": "user", "content": "unknown-fields"}],
        temperature=0.30000000000000004,
        extra_body={"mirostat": 2, "nested": {"model": "inner", "big": 12345678901234567890123}},
    )
    body = next(r for r in shared.upstream.requests if r.get("mirostat"))
    assert body["model"] == "inner"
    assert body["nested"] == {"model": "inner", "big": 12345678901234567890123}
    assert body["temperature"] == 0.30000000000000004
    assert "max_tokens" not in body, "nothing is limited without a budget"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("status 400", openai.BadRequestError),
        ("status 429", openai.RateLimitError),
        ("status 429 text", openai.RateLimitError),
        ("status 500", openai.InternalServerError),
        ("status 529", openai.InternalServerError),
        ("notjson", openai.InternalServerError),
        ("cut 1", openai.InternalServerError),
    ],
)
def test_a_server_s_error_raises_the_right_class(
    shared: World, text: str, error: type[openai.APIStatusError]
) -> None:
    with pytest.raises(error) as caught:
        client(shared).chat.completions.create(model="small", messages=[{"role": "user", "content": text}])
    body = caught.value.body
    assert isinstance(body, dict)
    assert set(body) >= {"message", "type", "param", "code"}
    if "429" in text:
        assert caught.value.response.headers["retry-after"] == "0"


def test_errors_of_our_own_raise_the_right_class(shared: World) -> None:
    with pytest.raises(openai.AuthenticationError, match="unknown API key"):
        client(shared, "sk-wrong").models.list()
    with pytest.raises(openai.NotFoundError, match="did you mean small") as caught:
        client(shared).chat.completions.create(model="smal", messages=[{"role": "user", "content": "x"}])
    assert caught.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError, match="max_tokens") as bad:
        client(shared).chat.completions.create(
            model="small", messages=[{"role": "user", "content": "x"}], extra_body={"max_tokens": "many"}
        )
    assert bad.value.param == "max_tokens"


@needs_curl
def test_curl_streams_with_and_without_v1(shared: World) -> None:
    _, key = shared.agent()
    body = json.dumps({"model": "small", "stream": True, "messages": [{"role": "user", "content": "say 2"}]})
    for base in ("/v1", ""):
        done = subprocess.run(
            ["curl", "-sS", "-N", "-i", f"{shared.gateway.url}{base}/chat/completions", "-d", body]
            + ["-H", f"Authorization: Bearer {key}", "-H", "Content-Type: application/json"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        head, _, events = done.stdout.partition("\n\n")  # text mode made CR LF to LF
        assert head.startswith("HTTP/1.1 200")
        assert "text/event-stream" in head
        assert events.count('"content": "w "') == 2
        assert events.rstrip().endswith("data: [DONE]")
        assert "inner" not in events


@needs_curl
def test_curl_sends_a_large_body_after_100_continue(shared: World) -> None:
    _, key = shared.agent()
    body = json.dumps({"model": "small", "messages": [{"role": "user", "content": "say 1 " + "x" * (2 << 20)}]})
    done = subprocess.run(
        ["curl", "-sS", "-w", "%{http_code}", "-o", "/dev/null", f"{shared.gateway.url}/v1/chat/completions"]
        + ["-d", "@-", "-H", f"Authorization: Bearer {key}", "-H", "Expect: 100-continue"],
        input=body,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "200"
