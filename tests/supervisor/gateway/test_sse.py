"""A stream on its way through: the same events whatever the reads, usage read and taken out, names put back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aish.errors import UpstreamError
from aish.supervisor.gateway.dialects.sse import MAX_EVENT_BYTES, Relay

TRICKY = 'say "model":"inner" and data: [DONE]\n\n{"usage": 5} \\ ü'


def event(choices: list[object], **more: object) -> bytes:
    return b"data: " + json.dumps({"model": "inner", "choices": choices, **more}, separators=(",", ":")).encode()


def delta(text: str) -> bytes:
    return event([{"index": 0, "delta": {"content": text}}])


USAGE = event([], usage={"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10})
EVENTS = [event([{"delta": {"role": "assistant", "content": None}}]), delta("a"), delta(TRICKY), delta("c")]
STREAM = b"\n\n".join([*EVENTS, b": awake", USAGE, b"data: [DONE]", b""])


def relayed(data: bytes, cuts: list[int], *, keep_usage: bool = False) -> tuple[bytes, Relay]:
    relay = Relay("outer", keep_usage=keep_usage)
    out = b""
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        out += relay.feed(data[start:end])
    return out + relay.finish(), relay


def test_a_null_is_left_out() -> None:
    """llama.cpp's first word on several prompts: no client expects it, and it is no object."""
    out, relay = relayed(b"data: null\n\n" + STREAM, [])
    assert out.startswith(b'data: {"model":"outer"')
    assert relay.done


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, len(STREAM)), max_size=30).map(sorted), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_any_cut_of_the_reads_gives_the_same_events(cuts: list[int], end: bytes) -> None:
    data = STREAM.replace(b"\n", end)
    cuts = [min(cut, len(data)) for cut in cuts]
    out, relay = relayed(data, cuts)
    assert out == STREAM.replace(USAGE + b"\n\n", b"").replace(b'{"model":"inner"', b'{"model":"outer"')
    assert relay.used is not None
    assert (relay.used.input, relay.used.output) == (7, 3)
    assert relay.count.events == 3
    texts = [json.loads(e[6:])["choices"][0]["delta"]["content"] for e in out.split(b"\n\n")[1:4]]
    assert texts == ["a", TRICKY, "c"], "text that looks like our marks is text"


def test_a_client_that_asked_for_usage_gets_it() -> None:
    out, _ = relayed(STREAM, [], keep_usage=True)
    assert b'"completion_tokens":3' in out


def test_usage_beside_the_last_text_stays() -> None:
    last = event([{"delta": {"content": "z"}}], usage={"prompt_tokens": 1, "completion_tokens": 1})
    out, relay = relayed(last + b"\n\ndata: [DONE]\n\n", [])
    assert b'"content":"z"' in out
    assert relay.used is not None


def test_bytes_pass_unchanged_when_the_names_are_the_same() -> None:
    odd = (
        b'data:  {"choices" : [ {"delta":{"content":"\\u00fc"}} ],  "model" : "outer", "x":1e400}\n\ndata:[DONE]\n\n'
    )
    relay = Relay("outer", keep_usage=False)
    assert relay.feed(odd) + relay.finish() == odd


@pytest.mark.parametrize(
    "data",
    [
        b"data: nonsense\n\n",
        b"hello world\n\n",
        b'data: {"model": "inner"\n\n',
        b'data: {"model": 5}\n\n',
        delta("a") + b"\n\n<html></html>\n\n",
    ],
)
def test_what_is_no_stream_is_refused(data: bytes) -> None:
    with pytest.raises(UpstreamError, match="malformed stream"):
        Relay("outer", keep_usage=False).feed(data)


@pytest.mark.parametrize("data", [b"", delta("a") + b"\n\n", delta("a") + b"\n\n" + delta("b")[:20]])
def test_an_early_end_is_told(data: bytes) -> None:
    relay = Relay("outer", keep_usage=False)
    relay.feed(data)
    with pytest.raises(UpstreamError, match="before its end"):
        relay.finish()


def test_a_missing_last_blank_line_is_forgiven() -> None:
    out, relay = relayed(delta("a") + b"\n\ndata: [DONE]", [])
    assert out.endswith(b"data: [DONE]\n\n")
    assert relay.done


def test_an_endless_event_is_refused_before_it_fills_the_memory() -> None:
    relay = Relay("outer", keep_usage=False)
    for _ in range(MAX_EVENT_BYTES // (1 << 20)):
        assert relay.feed(b"x" * (1 << 20)) == b""
    with pytest.raises(UpstreamError, match="an event of more than"):
        relay.feed(b"x")


def test_long_events_count_for_several_tokens() -> None:
    relay = Relay("outer", keep_usage=False)
    for text in ("word " * 20, "x", ""):
        relay.feed(delta(text) + b"\n\n")
    assert relay.count.events == 2
    assert relay.count.estimate() == 101 // 4


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_our_own_error(data: bytes) -> None:
    relay = Relay("outer", keep_usage=False)
    try:
        relay.feed(b"data: " + data + b"\n\n" + data)
        relay.finish()
    except UpstreamError:
        pass


def test_a_byte_order_mark_is_no_part_of_the_first_event() -> None:
    for cuts in ([], [1], [3]):
        out, relay = relayed(b"\xef\xbb\xbf" + STREAM, cuts)
        assert relay.used is not None
        assert not out.startswith(b"\xef")


def test_nothing_passes_behind_the_end() -> None:
    """It would be the answer to a question that nobody asked, or a second end."""
    out, relay = relayed(STREAM + delta("more") + b"\n\ndata: [DONE]\n\n", [])
    assert relay.done
    assert out.endswith(b"data: [DONE]\n\n")
    assert out.count(b"[DONE]") == 2, "one is in a text"
    assert b'"more"' not in out


def test_an_error_ends_a_stream_wherever_it_stands_in_its_event() -> None:
    failed = event([{"index": 0, "delta": {}}], error={"message": "no more", "code": 503})
    out, relay = relayed(EVENTS[0] + b"\n\n" + failed + b"\n\n" + STREAM, [])
    assert relay.error
    assert relay.done
    assert out.endswith(failed + b"\n\n")


def test_an_error_without_a_message_gets_one() -> None:
    out, _ = relayed(b'data: {"error": "it is late"}\n\n', [])
    told = json.loads(out.removeprefix(b"data: "))["error"]
    assert (told["message"], told["type"]) == ("it is late", "server_error")


@pytest.mark.parametrize("nothing", [b"event: ping", b"data:", b"data", b"id: 4\nretry: 5"])
def test_an_event_without_data_goes_on_as_a_comment(nothing: bytes) -> None:
    out, _ = relayed(nothing + b"\n\n" + STREAM, [])
    assert out.startswith(b":\n\n")


def test_a_stream_that_only_ends_is_an_error() -> None:
    with pytest.raises(UpstreamError, match="without an answer"):
        relayed(b"data: [DONE]\n\n", [])


def test_what_is_no_json_is_an_error_also_where_nobody_else_reads_it() -> None:
    with pytest.raises(UpstreamError, match="not a JSON object"):
        relayed(EVENTS[0] + b"\n\n" + EVENTS[1] + b"\n\ndata: {this is none}\n\n", [])
