"""llama.cpp's own figures in the middle of an answer: how they are read and taken out, and what a hang-up costs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aish.errors import UpstreamError
from aish.supervisor.gateway.dialects.sse import Relay
from aish.supervisor.gateway.dialects.worked import Worked
from aish.supervisor.gateway.meter import Used


def event(*indices: int, predicted: int, **more: Any) -> bytes:
    choices = [{"index": index, "delta": {"content": "w"}} for index in indices]
    timings = {"cache_n": 2, "prompt_n": 3, "predicted_n": predicted}
    return b"data: " + json.dumps({"choices": choices, "model": "m", "timings": timings, **more}).encode() + b"\n\n"


def test_figures_are_those_of_each_answer_and_of_what_may_have_come_since() -> None:
    worked = Worked()
    assert worked.used() is None
    assert worked.untold(1) == 4
    for index, predicted in ((0, 1), (1, 1), (0, 4), (1, 7)):
        worked.take(event(index, predicted=predicted)[6:])
    worked.take(event(predicted=8)[6:])
    assert worked.used() == Used(10, 12), "figures without a choice are of the answer that has just ended"
    assert worked.untold(2) == 2 * 2 * 6, "it made six tokens between two events"


@pytest.mark.parametrize("keep", [False, True])
def test_who_did_not_ask_for_figures_gets_none_but_those_at_the_end(keep: bool) -> None:
    relay = Relay("m", keep_usage=True, worked=Worked(), keep_timings=keep)
    usage = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
    first, last = event(0, predicted=3), event(predicted=3, usage=usage)
    text = b'data: {"choices":[{"index":0,"delta":{"content":",\\"timings\\":{}"}}],"model":"m"}\n\n'
    assert relay.feed(text) == text, "what a model says is left as it is"
    passed = relay.feed(first)
    assert (
        passed == first
        if keep
        else json.loads(passed[6:]) == {"choices": [{"index": 0, "delta": {"content": "w"}}], "model": "m"}
    )
    assert relay.feed(last) == last
    assert relay.worked is not None
    assert relay.worked.used() == Used(5, 3)


def test_figures_that_are_none_are_the_server_s_fault() -> None:
    relay = Relay("m", keep_usage=True, worked=Worked(), keep_timings=False)
    with pytest.raises(UpstreamError, match="malformed"):
        relay.feed(b'data: {"choices":[],"model":"m","timings":{"predicted_n":"many"}}\n\n')
