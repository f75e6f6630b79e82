"""A request, pure: what is read of it, what is rewritten, and that reading it is bounded whatever is in it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aish.errors import InputError
from aish.supervisor.gateway.dialects import openai
from aish.supervisor.gateway.dialects.anthropic.dialect import Anthropic
from aish.supervisor.gateway.dialects.call import (
    MAX_FIELDS,
    MAX_NAME_CHARS,
    MAX_PARTS,
    MAX_PROMPTS,
    Call,
    parse,
    render,
)
from aish.supervisor.gateway.dialects.crossing import cross
from aish.supervisor.gateway.dialects.ollama.dialect import Chat
from aish.supervisor.gateway.dialects.unchanged import Unchanged
from aish.supervisor.gateway.routes import Server

if TYPE_CHECKING:
    from collections.abc import Callable

MESSAGES = [{"role": "user", "content": "hello"}]


def parsed(endpoint: str = openai.CHAT, **fields: object) -> Call:
    base: dict[str, object] = {
        openai.CHAT: {"messages": MESSAGES},
        openai.COMPLETIONS: {"prompt": "hello"},
        openai.EMBEDDINGS: {"input": "hello"},
    }[endpoint]
    return parse(endpoint, json.dumps({**base, **fields}).encode())


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        ({}, None),
        ({"max_tokens": None}, None),
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 7, "max_tokens": 5}, 7),
        ({"n_predict": 9, "max_tokens": 5}, 9),
        ({"max_tokens": -1}, None),
        ({"max_tokens": 5, "n_predict": -1}, None),
        ({"max_tokens": 0}, 1),
        ({"max_tokens": 8.0}, 8),
        ({"max_tokens": openai.MOST_TOKENS}, openai.MOST_TOKENS),
    ],
)
def test_the_limit_is_the_most_that_any_field_allows(fields: dict[str, object], limit: int | None) -> None:
    assert parsed(**fields).max_output == limit


@pytest.mark.parametrize(
    ("endpoint", "fields", "copies"),
    [
        (openai.CHAT, {"n": 3}, 3),
        (openai.CHAT, {"n_cmpl": 4}, 4),
        (openai.COMPLETIONS, {"prompt": ["a", "b"], "n": 2}, 4),
        (openai.COMPLETIONS, {"prompt": ["a", "b", "c"], "best_of": 5, "n": 2}, 15),
        (openai.COMPLETIONS, {"prompt": [1, 2, 3]}, 1),
        (openai.COMPLETIONS, {"prompt": [[1, 2], [3]]}, 2),
    ],
)
def test_answers_are_counted(endpoint: str, fields: dict[str, object], copies: int) -> None:
    assert parsed(endpoint, **fields).copies == copies


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"model": 5}, "model"),
        ({"stream": 1}, "stream"),
        ({"n": True}, "n"),
        ({"n": 10**30}, "n"),
        ({"max_tokens": "5"}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": 10**20}, "max_tokens"),
        ({"n_predict": openai.MOST_TOKENS + 1}, "n_predict"),
        ({"stream_options": []}, "stream_options"),
    ],
)
def test_a_wrong_type_names_the_field(fields: dict[str, object], field: str) -> None:
    with pytest.raises(InputError) as caught:
        parsed(**fields)
    assert caught.value.field == field


def test_vectors_are_no_stream_whatever_is_said() -> None:
    """They were taken for a failure of the server, which does not know the word and answers as ever."""
    assert not parse(openai.EMBEDDINGS, b'{"input": "x", "stream": true}').stream


@pytest.mark.parametrize(
    ("endpoint", "field"), [(openai.CHAT, "messages"), (openai.COMPLETIONS, "prompt"), (openai.EMBEDDINGS, "input")]
)
def test_nothing_to_answer_is_refused(endpoint: str, field: str) -> None:
    """llama.cpp generated for 20 seconds."""
    for nothing in (b"[]", b"[ \n ]"):
        with pytest.raises(InputError, match=f"'{field}': at least one") as caught:
            parse(endpoint, b'{"model": "m", "%s": %s}' % (field.encode(), nothing))
        assert caught.value.field == field


def test_the_prompt_s_bytes_bound_its_tokens() -> None:
    call = parsed(tools=[{"type": "function"}])
    assert call.tools
    assert call.prompt_bytes == len(json.dumps(MESSAGES)) + len(json.dumps([{"type": "function"}]))
    assert parsed(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]).parts == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(min_size=1).map(lambda name: f"x-{name}"), JSON, max_size=5), st.booleans())
def test_unknown_fields_pass_byte_for_byte(extra: dict[str, Any], stream: bool) -> None:
    call = parsed(stream=stream, **extra)
    sent = json.loads(render(call, "inner", None))
    for name, value in extra.items():
        assert json.dumps(sent[name]) == json.dumps(value)
    assert sent["model"] == "inner"
    assert sent.get("stream_options") == ({"include_usage": True} if stream else None)


def test_stream_options_keep_what_the_client_wrote() -> None:
    call = parsed(stream=True, stream_options={"chunk": 3, "include_usage": False})
    assert json.loads(render(call, None, None))["stream_options"] == {"chunk": 3, "include_usage": True}
    assert "stream_options" not in json.loads(render(parsed(), None, None))


def test_a_limit_goes_into_every_field_that_is_there_else_into_the_given_one() -> None:
    sent = json.loads(render(parsed(max_tokens=90, n_predict=-1), None, 5))
    assert (sent["max_tokens"], sent["n_predict"]) == (5, 5)
    assert json.loads(render(parsed(), None, 5, "max_completion_tokens"))["max_completion_tokens"] == 5


@pytest.mark.parametrize(
    ("dialect", "fields"),
    [
        (Anthropic(), {"max_tokens": 9, "messages": MESSAGES}),
        (Chat(), {"options": {"num_predict": 9}, "messages": MESSAGES}),
    ],
)
@pytest.mark.parametrize("limit", [None, 5])
def test_a_translated_limit_goes_by_the_name_that_newer_models_take(
    dialect: Any, fields: dict[str, object], limit: int | None
) -> None:
    call = dialect.parse("/messages", json.dumps({"model": "m", **fields}).encode())
    newer, others = Server("p1", "m", "https://api.openai.com/v1"), Server("p1", "m", "https://example.org/v1")
    sent = json.loads(cross(call, dialect, newer).body(limit))
    assert ("max_tokens" in sent, sent["max_completion_tokens"]) == (False, limit or 9)
    sent = json.loads(cross(call, dialect, others).body(limit))
    assert ("max_completion_tokens" in sent, sent["max_tokens"]) == (False, limit or 9)


def test_a_client_s_own_limit_keeps_its_name() -> None:
    server = Server("p1", "m", "https://api.openai.com/v1")
    sent = json.loads(cross(parsed(max_tokens=9), Unchanged(), server).body(5))
    assert ("max_completion_tokens" in sent, sent["max_tokens"]) == (False, 5)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=100), st.sampled_from(openai.ENDPOINTS))
def test_no_body_raises_anything_but_our_own_error(body: bytes, endpoint: str) -> None:
    for data in (body, b'{"messages":' + body + b"}", b'{"prompt":' + body + b"}", b'{"input":' + body + b"}"):
        try:
            render(parse(endpoint, data), "x", 5)
        except InputError:
            pass


# --- bounds ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("endpoint", "fields", "prompts"),
    [
        (openai.CHAT, {}, 1),
        (openai.EMBEDDINGS, {"input": "a"}, 1),
        (openai.EMBEDDINGS, {"input": ["a"] * 30}, 30),
        (openai.EMBEDDINGS, {"input": [[1, 2], [3]]}, 2),
        (openai.EMBEDDINGS, {"input": [1, 2, 3]}, 1),
        (openai.EMBEDDINGS, {"input": [7, "a", "b"]}, 1),
        (openai.EMBEDDINGS, {"input": ["a"] * MAX_PROMPTS}, MAX_PROMPTS),
        (openai.COMPLETIONS, {"prompt": [{"prompt_string": "a"}, {"prompt_string": "b"}]}, 2),
        (openai.COMPLETIONS, {"prompt": [' ["', '\\"', "]]]]"]}, 3),
    ],
)
def test_prompts_are_counted(endpoint: str, fields: dict[str, object], prompts: int) -> None:
    """A budget for one prompt must not hold for thirty."""
    call = parsed(endpoint, **fields)
    assert call.prompts == prompts
    assert call.copies == (prompts if endpoint == openai.COMPLETIONS else 1)


@pytest.mark.parametrize(
    ("endpoint", "fields", "field"),
    [
        (openai.CHAT, {"model": "m" * (MAX_NAME_CHARS + 1)}, "model"),
        (openai.CHAT, {"model": "m" * (30 << 20)}, "model"),
        (openai.CHAT, {"stream_options": {"x": "y" * 5000}}, "stream_options"),
        (openai.EMBEDDINGS, {"input": ["a"] * (MAX_PROMPTS + 1)}, "input"),
        (openai.COMPLETIONS, {"prompt": [[1]] * (1 << 20)}, "prompt"),
        (openai.CHAT, {f"x-{n}": n for n in range(MAX_FIELDS)}, None),
        (openai.CHAT, {"messages": [{"image_url": {}}] * (MAX_PARTS + 1)}, None),
    ],
)
def test_what_is_beyond_all_bounds_is_refused(endpoint: str, fields: dict[str, object], field: str | None) -> None:
    """A name of 30 MB stayed in the records, and in every table made of them."""
    with pytest.raises(InputError) as caught:
        parsed(endpoint, **fields)
    assert caught.value.field == field
    assert len(str(caught.value)) < 200


def test_the_longest_name_is_taken() -> None:
    assert parsed(model="\u20ac" * MAX_NAME_CHARS).model == "\u20ac" * MAX_NAME_CHARS


MANY = 21 << 20
BODIES: dict[str, Callable[[int], bytes]] = {
    "empty prompts": lambda many: b'{"prompt":["",%s""]}' % (b'"",' * many),
    "empty token lists": lambda many: b'{"prompt":[[],%s[]]}' % (b"[]," * many),
    "lists in a list": lambda many: b'{"prompt":[[[],%s[]]]}' % (b"[]," * many),
    "tokens": lambda many: b'{"prompt":[%s1]}' % (b"1," * many),
    "a name of lists": lambda many: b'{"prompt":"","model":[[],%s[]]}' % (b"[]," * many),
    "a flag of lists": lambda many: b'{"prompt":"","stream":[[],%s[]]}' % (b"[]," * many),
    "a number of digits": lambda many: b'{"prompt":"","n":%s}' % (b"9" * many),
    "options": lambda many: (
        b'{"prompt":"","stream_options":{%s}}' % b",".join(b'"%x":0' % n for n in range(many // 10))
    ),
    "fields": lambda many: b'{"prompt":"",%s}' % b",".join(b'"%x":0' % n for n in range(many // 10)),
    "files": lambda many: b'{"prompt":"","suffix":[%s0]}' % (b'{"file":0},' * (many // 4)),
    "text": lambda many: b'{"prompt":"%s"}' % ("\u20ac: \U0001f30a\\n".encode() * (many // 4)),
}


def _names(count: int) -> bytes:
    return b",".join(b'"%x":0' % number for number in range(count))


MEASURE = """
import resource, sys
from aish.errors import InputError
from aish.supervisor.gateway.dialects.call import parse, render
body = sys.stdin.buffer.read()
with open("/proc/self/statm") as statm:
    size = int(statm.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + int(sys.argv[1]),) * 2)
try:
    print(len(render(parse("/completions", body), None, None)))
except InputError as error:
    print(error)
"""


@pytest.mark.parametrize("share", [4, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", BODIES)
def test_reading_a_body_takes_no_more_memory_than_a_few_bodies(name: str, share: int) -> None:
    """64 MiB of tiny values took 1.7 GiB as objects, and seconds, in which nobody else was served.

    A fourth of it would take 430 MiB, and has a fourth of the bound.
    """
    body = BODIES[name](MANY // share)
    words = [sys.executable, "-c", MEASURE, str((150 << 20) // share)]
    done = subprocess.run(words, input=body, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()[-500:]
    if name in ("text", "tokens"):
        assert int(done.stdout) >= len(body), "it is read"
    else:
        assert not done.stdout.strip().isdigit(), "it is refused"


def test_a_completion_is_limited_by_the_older_word_everywhere() -> None:
    """OpenAI's own completions refuse the newer one."""
    call = parse("/completions", b'{"model": "m", "prompt": "x"}')
    sent = json.loads(render(call, None, 5, "max_completion_tokens"))
    assert ("max_completion_tokens" in sent, sent["max_tokens"]) == (False, 5)
