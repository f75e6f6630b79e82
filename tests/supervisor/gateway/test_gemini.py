"""Gemini's generateContent: the unmodified google-genai SDK, curl's way of asking, and what cannot be translated."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pydantic
import pytest
from google import genai
from google.genai import errors, types
from hypothesis import given
from hypothesis import strategies as st

from aish.errors import InputError
from aish.supervisor.gateway.dialects.gemini import dialect, request, schema

from .matrix import CLAUDE, OPENAI, Matrix

if TYPE_CHECKING:
    from .conftest import World


OPEN: list[genai.Client] = []
"""They close themselves when nobody has them any more, in the middle of a request."""


class Place(pydantic.BaseModel):
    city: str
    people: int | None = None


def client(world: World, key: str | None = None) -> genai.Client:
    options = types.HttpOptions(base_url=world.gateway.url, timeout=30_000)
    OPEN.append(genai.Client(api_key=key or world.agent()[1], http_options=options))
    return OPEN[-1]


def sent(body: dict[str, Any], *, stream: bool = False) -> dict[str, Any]:
    call = request.content("small", json.dumps(body).encode(), stream=stream)
    return {name: json.loads(bytes(raw)) for name, raw in call.fields.items()}


# --- the SDK --------------------------------------------------------------------------------------------------------


def test_an_answer_with_thoughts_and_usage(shared: World) -> None:
    id, key = shared.agent()
    answer = client(shared, key).models.generate_content(
        model="small",
        contents="say 4 think 2 cached 1",
        config=types.GenerateContentConfig(
            system_instruction="be short", temperature=0.5, top_p=0.9, max_output_tokens=50
        ),
    )
    assert answer.text == "w w w w "
    assert answer.candidates is not None
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP
    usage = answer.usage_metadata
    assert usage is not None
    assert (usage.prompt_token_count, usage.candidates_token_count, usage.thoughts_token_count) == (10, 2, 2)
    assert usage.cached_content_token_count == 1
    asked = shared.upstream.requests[-1]
    assert asked["messages"][0] == {"role": "system", "content": "be short"}
    assert (asked["temperature"], asked["top_p"], asked["max_tokens"]) == (0.5, 0.9, 50)
    tokens = shared.daemon.settled(id, 1).tokens
    assert (tokens.input, tokens.output, tokens.estimated) == (10, 4, 0)
    (row,) = shared.gateway.rows(f"process = '{id}'")
    assert (row["dialect"], row["endpoint"], row["model"]) == ("gemini", "/models:generateContent", "small")


def test_a_stream(shared: World) -> None:
    id, key = shared.agent()
    parts = list(client(shared, key).models.generate_content_stream(model="small", contents="say 4"))
    assert "".join(part.text or "" for part in parts) == "w w w w "
    assert len(parts) >= 4
    assert parts[-1].usage_metadata is not None
    assert parts[-1].usage_metadata.candidates_token_count == 4
    assert shared.daemon.settled(id, 1).tokens.estimated == 0
    (row,) = shared.gateway.rows(f"process = '{id}'")
    assert (row["stream"], row["first_token_s"] is not None) == (1, True)


@pytest.mark.parametrize("stream", [False, True])
def test_a_function_is_called_and_its_result_goes_back(shared: World, *, stream: bool) -> None:
    weather = types.FunctionDeclaration(
        name="weather",
        description="Of a city",
        parameters=types.Schema(
            type=types.Type.OBJECT, properties={"city": types.Schema(type=types.Type.STRING, nullable=True)}
        ),
    )
    config = types.GenerateContentConfig(tools=[types.Tool(function_declarations=[weather])])
    said: list[types.Content] = [types.UserContent("say 1 call weather")]
    models = client(shared).models
    if stream:
        *_, answer = models.generate_content_stream(model="small", contents=said, config=config)
    else:
        answer = models.generate_content(model="small", contents=said, config=config)
    assert answer.function_calls is not None
    (called,) = answer.function_calls
    assert (called.name, called.args) == ("weather", {"city": "Paris 0"})
    asked = shared.upstream.requests[-1]["tools"][0]["function"]
    assert asked["parameters"] == {"type": "object", "properties": {"city": {"type": ["string", "null"]}}}
    assert answer.candidates is not None
    assert answer.candidates[0].content is not None
    result = types.Part.from_function_response(name="weather", response={"sky": "blue"})
    said += [answer.candidates[0].content, types.Content(role="user", parts=[result, types.Part(text="say 2")])]
    assert models.generate_content(model="small", contents=said, config=config).text == "w w "
    _, made, told, last = shared.upstream.requests[-1]["messages"]
    assert made["tool_calls"][0]["id"] == told["tool_call_id"]
    assert (told["role"], json.loads(told["content"])) == ("tool", {"sky": "blue"})
    assert last == {"role": "user", "content": "say 2"}


def test_json_by_a_schema_is_asked_for(shared: World) -> None:
    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=Place)
    client(shared).models.generate_content(model="small", contents="say 1", config=config)
    asked = shared.upstream.requests[-1]["response_format"]
    assert asked["type"] == "json_schema"
    assert asked["json_schema"]["schema"]["properties"]["city"]["type"] == "string"


def test_images_go_along(shared: World) -> None:
    picture = types.Part.from_bytes(data=b"\x89PNG", mime_type="image/png")
    client(shared).models.generate_content(model="small", contents=[picture, "say 1"])
    content = shared.upstream.requests[-1]["messages"][-1]["content"]
    assert content[0] == {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}}


def test_tokens_are_counted_and_models_listed(shared: World) -> None:
    models = client(shared).models
    counted = models.count_tokens(model="small", contents="one two three")
    assert counted.total_tokens == 4
    listed = {model.name: model for model in models.list()}
    assert listed["models/small"].input_token_limit == 4096
    assert models.get(model="small").name == "models/small"


def test_errors_have_their_class_and_status(shared: World) -> None:
    for text, code, status in (("status 429", 429, "RESOURCE_EXHAUSTED"), ("status 400", 400, "INVALID_ARGUMENT")):
        with pytest.raises(errors.ClientError) as caught:
            client(shared).models.generate_content(model="small", contents=text)
        assert (caught.value.code, caught.value.status) == (code, status)
    with pytest.raises(errors.ServerError):
        client(shared).models.generate_content(model="small", contents="status 500")
    with pytest.raises(errors.ClientError, match="does not exist"):
        client(shared).models.generate_content(model="smal", contents="x")
    with pytest.raises(errors.ClientError, match="unknown API key") as refused:
        client(shared, "sk-wrong").models.generate_content(model="small", contents="x")
    assert (refused.value.code, refused.value.status) == (401, "UNAUTHENTICATED")


def test_an_error_inside_a_stream_reaches_the_client(shared: World) -> None:
    with pytest.raises(errors.APIError):
        list(client(shared).models.generate_content_stream(model="small", contents="say 50 cut 7"))


@pytest.mark.parametrize("model", [OPENAI, CLAUDE])
def test_servers_of_other_dialects_answer(matrix: Matrix, model: str) -> None:
    answer = client(matrix.world).models.generate_content(model=model, contents="say 3 think 1 call weather")
    assert answer.text == "w0 w1 w2 "
    assert answer.function_calls is not None
    assert answer.function_calls[0].name == "weather"


# --- by hand --------------------------------------------------------------------------------------------------------


def ask(world: World, path: str, body: object, headers: dict[str, str] | None = None) -> tuple[int, Any, str]:
    request_ = urllib.request.Request(world.gateway.url + path, json.dumps(body).encode(), headers or {})
    try:
        with urllib.request.urlopen(request_, timeout=60) as reply:
            return reply.status, json.loads(reply.read()), reply.headers["Content-Type"]
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read()), error.headers["Content-Type"]


def test_a_key_in_the_query_is_taken_and_never_logged(shared: World) -> None:
    _, key = shared.agent()
    body = {"contents": [{"parts": [{"text": "say 2"}]}], "system_instruction": {"parts": [{"text": "s"}]}}
    status, told, _ = ask(shared, f"/v1beta/models/small:generateContent?key={key}", body)
    assert (status, told["candidates"][0]["content"]["parts"]) == (200, [{"text": "w w "}])
    assert ask(shared, "/v1beta/models/small:generateContent?key=sk-nobody", body)[0] == 401
    assert ask(shared, "/v1/chat/completions?key=" + key, {})[0] == 401, "elsewhere a key has no place there"
    assert key not in shared.gateway.read_log()
    assert "sk-nobody" not in shared.gateway.read_log()


def test_a_stream_without_events_is_an_array(shared: World) -> None:
    body = {"contents": [{"role": "user", "parts": [{"text": "say 3"}]}]}
    headers = {"x-goog-api-key": shared.agent()[1]}
    status, told, kind = ask(shared, "/v1beta/models/small:streamGenerateContent", body, headers)
    assert (status, kind) == (200, "application/json")
    assert "".join(part["candidates"][0]["content"]["parts"][0]["text"] for part in told) == "w w w "
    _, told, _ = ask(
        shared,
        "/v1beta/models/small:streamGenerateContent",
        {"contents": [{"parts": [{"text": "say 9 cut 2"}]}]},
        headers,
    )
    assert told[-1]["error"]["status"] == "INTERNAL"


def test_an_unknown_action_is_told_in_its_shape(shared: World) -> None:
    headers = {"x-goog-api-key": shared.agent()[1]}
    status, told, _ = ask(shared, "/v1beta/models/small:batchEmbedContents", {}, headers)
    assert (status, told["error"]["status"]) == (404, "NOT_FOUND")


# --- what is translated ---------------------------------------------------------------------------------------------


def test_an_allowed_function_is_the_one_that_is_named() -> None:
    tools = [{"functionDeclarations": [{"name": "a"}, {"name": "b"}, {"name": "c"}]}]
    contents = [{"parts": [{"text": "x"}]}]
    for allowed, names, choice in (
        (["b"], ["b"], {"type": "function", "function": {"name": "b"}}),
        (["a", "c"], ["a", "c"], "required"),
        (None, ["a", "b", "c"], "required"),
    ):
        config = {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": allowed}}
        fields = sent({"contents": contents, "tools": tools, "toolConfig": config})
        assert [tool["function"]["name"] for tool in fields["tools"]] == names
        assert fields["tool_choice"] == choice


def test_tools_of_a_vendor_are_left_out_beside_others_and_refused_alone() -> None:
    body: dict[str, Any] = {"contents": [{"parts": [{"text": "x"}]}], "tools": [{"googleSearch": {}}]}
    with pytest.raises(InputError, match="googleSearch"):
        sent(body)
    body["tools"].append({"functionDeclarations": [{"name": "a"}]})
    call = request.content("small", json.dumps(body).encode(), stream=False)
    assert call.left_out == ("googleSearch",)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({}, "contents"),
        ({"contents": [{"role": "robot", "parts": [{"text": "x"}]}]}, "no such role"),
        ({"contents": [{"parts": [{"fileData": {"fileUri": "x"}}]}]}, "cannot be translated"),
        ({"contents": [{"parts": [{"inlineData": {"mimeType": "application/pdf", "data": ""}}]}]}, "images can"),
        ({"contents": [{"parts": [{"functionResponse": {"name": "f"}}]}]}, "not called"),
        ({"contents": [{"parts": [{"text": "x"}]}], "cachedContent": "c"}, "nothing is stored"),
        ({"contents": [{"parts": [{"text": "x"}]}], "generationConfig": {"candidateCount": 2}}, "one answer"),
        ({"contents": [{"parts": [{"text": "x"}]}], "generationConfig": {"responseModalities": ["IMAGE"]}}, "TEXT"),
        (
            {
                "contents": [{"parts": [{"text": "x"}]}],
                "tools": [{"functionDeclarations": [{"name": "a"}]}],
                "toolConfig": {"functionCallingConfig": {"mode": "X"}},
            },
            "mode",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_translated_is_refused_by_name(body: dict[str, Any], why: str) -> None:
    with pytest.raises(InputError, match=why):
        sent(body)


def test_schemas_lose_their_capitals_and_nothing_else() -> None:
    given_ = {
        "type": "OBJECT",
        "properties": {
            "type": {"type": "STRING", "enum": ["A", "B"]},
            "n": {"type": "ARRAY", "items": {"type": "INTEGER"}, "minItems": "1"},
        },
        "required": ["type"],
        "propertyOrdering": ["type", "n"],
    }  # fmt: skip
    assert schema.converted(given_) == {
        "type": "object",
        "properties": {
            "type": {"type": "string", "enum": ["A", "B"]},
            "n": {"type": "array", "items": {"type": "integer"}, "minItems": 1},
        },
        "required": ["type"],
    }
    deep: dict[str, Any] = {}
    for _ in range(100):
        deep = {"items": deep}
    with pytest.raises(InputError, match="levels"):
        schema.converted(deep)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from([
            *("text", "role", "parts", "functionCall", "functionResponse", "name", "args", "type", "items"),
            *("functionDeclarations", "parameters"),
        ]),
        inner,
        max_size=3,
    ),
    max_leaves=8,
)  # fmt: skip


@given(
    st.dictionaries(
        st.sampled_from(["contents", "systemInstruction", "tools", "toolConfig", "generationConfig"]),
        VALUES,
        max_size=5,
    )
)
def test_nothing_but_a_refusal_comes_of_any_json(body: dict[str, Any]) -> None:
    try:
        sent(body)
    except InputError:
        pass


def test_paths() -> None:
    for path, query, endpoint, array in (
        ("/v1beta/models/a:generateContent", "", dialect.WHOLE, False),
        ("/models/a/b:streamGenerateContent", "alt=sse&x=1", dialect.STREAM, False),
        ("/v1beta/models/a:b:streamGenerateContent", "alt=ssex", dialect.STREAM, True),
    ):
        found = dialect.spoken(path, query)
        assert found is not None
        assert (found.endpoint, found._array) == (endpoint, array)
    for path in ("/models/a", "/v1beta/models/a:nothing", "/chat/completions", "/models/:generateContent"):
        assert dialect.spoken(path, "") is None
