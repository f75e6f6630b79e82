"""A request that fails before its first byte is tried elsewhere, and what that cost is counted once."""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest

from aish.errors import InputError
from aish.supervisor.gateway.course import Course
from aish.supervisor.gateway.dialects import call as calls
from aish.supervisor.gateway.dialects.openai import CHAT
from aish.supervisor.gateway.dialects.paths import OPENAI
from aish.supervisor.gateway.routes import Server
from aish.wire.link import ActivityNote, FellBack, Resting
from aish.wire.spec import BudgetPart, PricePart

from .farm import Farm
from .test_faults import Client
from .test_limits import Call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEADLINE_S = 60.0
FAILURES = (
    "status 408",
    "status 409",
    "status 429",
    "status 500",
    "status 502",
    "status 503",
    "status 504",
    "status 529",
    "drop",
)
FOR_GOOD = (400, 404, 413, 422)
WEATHER: Any = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}
CLAUDES: Any = {"name": "weather", "description": "Of a city", "input_schema": {"type": "object", "properties": {}}}


@pytest.fixture(scope="module")
def planted() -> Iterator[Farm]:
    root = Path(tempfile.mkdtemp(prefix="aish-g-", dir="/tmp"))
    made = Farm(root)
    try:
        yield made.start()
    finally:
        made.stop()
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def farm(planted: Farm) -> Iterator[Farm]:
    try:
        yield planted
    finally:
        planted.clear()


def gpt(farm: Farm, key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{farm.world.gateway.url}/v1", api_key=key, max_retries=0, timeout=60)


def claude(farm: Farm, key: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=farm.world.gateway.url, api_key=key, max_retries=0, timeout=60)


def say(text: str) -> Any:
    return [{"role": "user", "content": text}]


def by_openai(farm: Farm, key: str, model: str, text: str, *, stream: bool = False, **more: Any) -> str:
    sdk = gpt(farm, key)
    if not stream:
        return sdk.chat.completions.create(model=model, messages=say(text), **more).choices[0].message.content or ""
    chunks = sdk.chat.completions.create(model=model, messages=say(text), stream=True, **more)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def by_anthropic(farm: Farm, key: str, model: str, text: str, *, stream: bool = False, **more: Any) -> str:
    sdk, asked = claude(farm, key), {"model": model, "max_tokens": 50, "messages": say(text), **more}
    if not stream:
        return "".join(block.text for block in sdk.messages.create(**asked).content if block.type == "text")
    with sdk.messages.stream(**asked) as streamed:
        return "".join(streamed.text_stream)


Ask = "Callable[..., str]"
DIALECTS = (by_openai, by_anthropic)


# --- other servers of the same name --------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("ask", DIALECTS)
@pytest.mark.parametrize("fault", FAILURES)
def test_what_may_pass_is_mended_by_another_server(
    farm: Farm, fault: str, ask: Callable[..., str], stream: bool
) -> None:
    """One success is all that a client without retries of its own sees."""
    farm.serve("twin", farm.one)
    farm.serve("twin", farm.two)
    id, key = farm.world.agent()
    farm.one.faults, farm.two.faults = [fault], []
    before = farm.asked(farm.two)
    assert ask(farm, key, "twin", "say 3 please", stream=stream).split() == ["w"] * 3
    if fault != "drop" and "409" not in fault:
        assert farm.asked(farm.two) == before + 1
    attempts = 2 if fault == "status 504" else 1  # there somebody behind it may have worked
    tokens = farm.world.daemon.settled(id, attempts).tokens
    (answered,) = farm.world.gateway.rows(f"process = '{id}' AND status = 200")
    assert (answered["output"], answered["estimated"], tokens.requests) == (3, 0, attempts)


@pytest.mark.parametrize("ask", DIALECTS)
@pytest.mark.parametrize("status", FOR_GOOD)
def test_what_another_server_would_say_as_well_is_told_at_once(
    farm: Farm, status: int, ask: Callable[..., str]
) -> None:
    farm.serve("twin", farm.one)
    farm.serve("twin", farm.two)
    _, key = farm.world.agent()
    farm.one.faults = farm.two.faults = [f"status {status}", f"status {status}"]
    with pytest.raises((openai.APIStatusError, anthropic.APIStatusError)) as caught:
        ask(farm, key, "twin", "say 3")
    assert caught.value.status_code == status
    assert len(farm.one.faults) == 1, "one server was asked, once"


@pytest.mark.parametrize("widest", ["one", "claude"])
def test_what_one_server_cannot_be_asked_is_asked_of_another(farm: Farm, widest: str) -> None:
    """They speak different dialects. The client was told of the one that cannot, whenever it was looked at first."""
    context = {widest: 100_000}
    farm.serve("twin", farm.claude, context_tokens=context.get("claude", 50_000))
    farm.serve("twin", farm.one, context_tokens=context.get("one", 50_000))
    _, key = farm.world.agent()
    before = farm.asked(farm.claude)
    for _ in range(4):
        assert farm.world.gateway.chat(key, "say 1", model="twin", n=2)[0] == 200
    assert farm.asked(farm.claude) == before
    assert farm.world.gateway.chat(key, "say 1", model="twin")[0] == 200


def test_what_those_that_are_ready_cannot_be_asked_waits_for_one_that_loads(farm: Farm) -> None:
    """They speak different dialects. It was refused with 400, though a server that takes it was about to come."""
    farm.serve("twin", farm.claude)
    farm.two.loading = True
    id = farm.serve("twin", farm.two, ready=False)
    _, key = farm.world.agent()
    call = Call(farm.world, key, "", call=lambda: farm.world.gateway.chat(key, "say 1", model="twin", n=2))
    farm.world.daemon.event(ActivityNote, lambda note: note.doing == "waits for twin to get ready")
    farm.two.loading = False
    farm.world.daemon.ready(id)
    assert call.done()[0] == 200


@pytest.mark.parametrize("loads", ["anthropic", "openai"])
def test_a_server_that_loads_is_waited_for_where_it_can_be_asked(loads: str) -> None:
    """Else the client is told at once. Several answers are what Anthropic's dialect has not."""
    ready = Server("p1", "twin", "http://a", dialect="anthropic", ready="yes")
    loading = Server("p2", "twin", "http://b", dialect=loads, ready="no")
    gone = Server("p3", "twin", "http://c", ready="unknown")
    said = calls.parse(CHAT, b'{"model": "twin", "n": 2, "messages": [{"role": "user", "content": "x"}]}')
    course = Course(SimpleNamespace(dialect=OPENAI), said, said)  # type: ignore[arg-type]
    if loads == "openai":
        assert course.able((ready,), (ready, loading, gone)) == ()
        assert course.later
        assert [course.fits(server) for server in (ready, loading)] == [False, True]
    else:
        with pytest.raises(InputError):
            course.able((ready,), (ready, loading, gone))


@pytest.mark.parametrize("ask", DIALECTS)
def test_switched_it_is_answered_by_another_model_in_the_middle_of_a_conversation(
    farm: Farm, ask: Callable[..., str]
) -> None:
    """Also by one that speaks another dialect, and where the asked one is not there at all."""
    farm.serve("first", farm.one)
    farm.serve("second", farm.two)
    farm.serve("third", farm.claude)
    id, key = farm.world.agent()
    ask(farm, key, "first", "say 1")
    for model, server in (("second", farm.two), ("third", farm.claude)):
        farm.world.daemon.change(id, switched=model)
        before, first = farm.asked(server), farm.asked(farm.one)
        for asked in ("first", "no-such-model"):
            assert ask(farm, key, asked, "say 2").split() == ["w"] * 2
        assert (farm.asked(server) - before, farm.asked(farm.one) - first) == (2, 0)
    farm.world.daemon.settled(id, 5)
    rows = farm.world.gateway.rows(f"process = '{id}'")
    assert [row["model"] for row in rows] == ["first", "second", "second", "third", "third"]
    farm.world.daemon.change(id, switched=None)
    before = farm.asked(farm.one)
    ask(farm, key, "first", "say 1")
    assert farm.asked(farm.one) == before + 1


def test_switched_to_what_is_not_there_it_is_told(farm: Farm) -> None:
    farm.serve("first", farm.one)
    id, key = farm.world.agent()
    farm.world.daemon.change(id, switched="gone")
    with pytest.raises(openai.NotFoundError, match="gone"):
        by_openai(farm, key, "first", "say 1")


def test_vectors_are_those_of_the_asked_model(farm: Farm) -> None:
    """Of another they would mean nothing to who has some of this one."""
    farm.serve("first", farm.one)
    farm.serve("second", farm.two)
    _, key = farm.world.agent(switched="second")
    before = farm.asked(farm.one)
    assert farm.world.gateway.call("/v1/embeddings", {"model": "first", "input": "x"}, key=key)[0] == 200
    assert farm.asked(farm.one) == before + 1


def test_what_no_server_can_be_asked_is_told(farm: Farm) -> None:
    farm.serve("twin", farm.claude)
    farm.serve("twin", farm.one)
    _, key = farm.world.agent()
    body = {"model": "twin", "input": "say 1", "previous_response_id": "resp_1"}
    status, said, _ = farm.world.gateway.call("/v1/responses", body, key)
    assert (status, said["error"]["param"]) == (400, "previous_response_id")


def test_who_can_be_asked_and_failed_is_what_the_client_is_told_of(farm: Farm) -> None:
    """And not of the one that could not be asked: 400 would say that the request was wrong."""
    farm.serve("twin", farm.claude)
    farm.serve("twin", farm.one)
    _, key = farm.world.agent()
    farm.one.faults = ["status 503"]
    assert farm.world.gateway.chat(key, "say 1", model="twin", n=2)[0] == 503


@pytest.mark.parametrize("ask", DIALECTS)
def test_an_error_as_the_first_word_of_a_stream_is_mended(farm: Farm, ask: Callable[..., str]) -> None:
    farm.serve("twin", farm.one)
    farm.serve("twin", farm.two)
    id, key = farm.world.agent()
    farm.one.faults = ["overloaded"]
    assert ask(farm, key, "twin", "say 3", stream=True).split() == ["w"] * 3
    tokens = farm.world.daemon.settled(id, 1).tokens
    assert (tokens.output, tokens.requests, tokens.estimated) == (3, 1, 0)


def test_a_reply_that_was_cut_is_made_anew_and_both_are_counted(farm: Farm) -> None:
    """The server had done all of its work: `usage` lost that, or counted it for the answer."""
    first, second = farm.serve("twin", farm.one), farm.serve("twin", farm.two)
    id, key = farm.world.agent()
    farm.one.faults = ["say 4 cut 1"]
    assert by_openai(farm, key, "twin", "say 4 please").split() == ["w"] * 4
    tokens = farm.world.daemon.settled(id, 2).tokens
    cut, answered = farm.world.gateway.rows(f"process = '{id}'")
    assert (cut["status"], cut["estimated"], cut["server"]) == (502, 1, first)
    assert (answered["status"], answered["estimated"], answered["server"]) == (200, 0, second)
    assert cut["input"] > 0
    assert tokens.input == cut["input"] + answered["input"]
    assert tokens.output == cut["output"] + answered["output"]


@pytest.mark.parametrize("ask", DIALECTS)
def test_after_the_first_byte_there_is_no_other_attempt(farm: Farm, ask: Callable[..., str]) -> None:
    farm.serve("twin", farm.one)
    farm.serve("twin", farm.two)
    id, key = farm.world.agent()
    farm.one.faults = ["say 9 cut 3 pace 0.05"]
    before = farm.asked(farm.two)
    with pytest.raises((openai.APIError, anthropic.APIError), match="in the middle of its reply"):
        ask(farm, key, "twin", "say 9", stream=True)
    assert farm.asked(farm.two) == before
    farm.world.daemon.settled(id, 1)
    assert len(farm.world.gateway.rows(f"process = '{id}'")) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_tool_calls_come_from_another_server_as_well(farm: Farm, stream: bool) -> None:
    farm.serve("twin", farm.one)
    farm.serve("twin", farm.claude)
    _, key = farm.world.agent()
    farm.one.faults = ["status 503"]
    asked: Any = {"model": "twin", "messages": say("say 1 call weather"), "tools": [WEATHER]}
    if stream:
        chunks = list(gpt(farm, key).chat.completions.create(**asked, stream=True))
        deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
        parts = [part for delta in deltas for part in delta.tool_calls or ()]
        name, given = parts[0].function.name, "".join(part.function.arguments or "" for part in parts)
    else:
        (call,) = gpt(farm, key).chat.completions.create(**asked).choices[0].message.tool_calls
        name, given = call.function.name, call.function.arguments
    assert (name, json.loads(given)) == ("weather", {"city": "Paris 0"})


# --- the same server again ------------------------------------------------------------------------------------------


def test_without_retries_a_status_is_told_as_it_is(farm: Farm) -> None:
    """Clients retry by themselves, and would multiply with ours."""
    farm.serve("lone", farm.one)
    _, key = farm.world.agent()
    farm.one.faults = ["status 500", "status 500"]
    status, body, headers = farm.world.gateway.chat(key, "say 1", model="lone")
    assert (status, body["error"]["message"]) == (500, "scripted")
    assert "x-aish-attempts" not in headers
    assert len(farm.one.faults) == 1


def test_a_route_with_retries_is_asked_so_often(farm: Farm) -> None:
    farm.serve("lone", farm.one, retries=2)
    id, key = farm.world.agent()
    farm.one.faults = ["status 500", "status 429", "say 2"]
    status, body, headers = farm.world.gateway.chat(key, "x", model="lone")
    assert (status, body["choices"][0]["message"]["content"]) == (200, "w w ")
    assert headers["x-aish-attempts"] == "3"
    assert farm.world.daemon.settled(id, 1).tokens.requests == 1
    farm.one.faults = ["status 500"] * 3 + ["say 1"]
    status, body, headers = farm.world.gateway.chat(key, "x", model="lone")
    assert (status, body["error"]["message"], headers["x-aish-attempts"]) == (500, "scripted", "3")
    assert farm.one.faults == ["say 1"]


def test_a_request_that_nobody_took_is_sent_once_more(farm: Farm) -> None:
    """llama.cpp gets a connection for each request: what closes it at once has taken nothing."""
    farm.serve("lone", farm.spare)
    id, key = farm.world.agent()
    farm.spare.faults = ["drop"]
    status, _, headers = farm.world.gateway.chat(key, "say 2", model="lone")
    assert (status, headers["x-aish-attempts"]) == (200, "2")
    farm.spare.faults = ["drop", "drop"]
    status, body, headers = farm.world.gateway.chat(key, "say 2", model="lone")
    assert (status, headers["x-aish-attempts"]) == (502, "2")
    assert "closed the connection without an answer" in body["error"]["message"]
    assert farm.world.daemon.settled(id, 2).tokens.output == 2


def test_a_rest_that_is_too_long_is_not_waited_for(farm: Farm) -> None:
    farm.serve("lone", farm.one, retries=3)
    _, key = farm.world.agent()
    farm.one.faults = ["status 429 after 30"]
    began_s = time.monotonic()
    status, _, headers = farm.world.gateway.chat(key, "say 1", model="lone")
    assert time.monotonic() - began_s < 10
    assert (status, headers["retry-after"]) == (429, "30")


def test_a_rest_that_is_short_is_kept(farm: Farm) -> None:
    id = farm.serve("lone", farm.one, retries=1)
    _, key = farm.world.agent()
    farm.one.faults = ["status 529 after 1"]
    began_s = time.monotonic()
    assert farm.world.gateway.chat(key, "say 1", model="lone")[0] == 200
    assert time.monotonic() - began_s >= 1.0
    farm.world.daemon.event(Resting, lambda e: e.id == id and e.until_s is None)


def test_hanging_up_in_a_pause_frees_everything_at_once(farm: Farm) -> None:
    farm.serve("lone", farm.one, retries=1)
    id, key = farm.world.agent(budget=4000)
    farm.one.faults = ["status 429 after 19"]
    body: dict[str, object] = {"model": "lone", "messages": say("say 1"), "max_tokens": 3000}
    client = Client(farm.world, key, body)
    farm.world.daemon.event(ActivityNote, lambda e: e.id == id and "again: its server answered 429" in str(e.doing))
    usage = farm.world.gateway.call("/v1/aish/usage", key=key)[1]
    assert usage["left_tokens"] < 1000
    client.hang_up()
    farm.world.daemon.settled(id, 1)
    assert farm.world.gateway.call("/v1/aish/usage", key=key)[1]["left_tokens"] == 4000
    (row,) = farm.world.gateway.rows(f"process = '{id}'")
    assert (row["status"], row["input"], row["output"]) == (499, 0, 0)


# --- fall-backs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("ask", DIALECTS)
@pytest.mark.parametrize("other", ["spare", "claude"])
def test_another_model_answers_in_its_place(farm: Farm, other: str, ask: Callable[..., str], stream: bool) -> None:
    """Also one whose server speaks another dialect, or has another price."""
    lone = farm.serve("lone", farm.one, fallback=["nobody", "other"])
    farm.serve("other", getattr(farm, other), price=PricePart(input_usd=1.0, output_usd=2.0))
    id, key = farm.world.agent()
    farm.world.daemon.change(id, budget=BudgetPart(usd=1.0))
    farm.one.faults = ["status 500"]
    assert ask(farm, key, "lone", "say 3", stream=stream).split() == ["w"] * 3
    tokens = farm.world.daemon.settled(id, 1).tokens
    (row,) = farm.world.gateway.rows(f"process = '{id}'")
    assert (row["model"], row["status"], tokens.requests, tokens.estimated) == ("other", 200, 1, 0)
    assert tokens.cost_usd == pytest.approx((tokens.input + 2 * tokens.output) / 1e6)
    farm.world.daemon.event(FellBack, lambda e: e.id == lone and e.to == "other")


def test_who_answered_is_told_and_the_answer_has_the_name_that_was_asked(farm: Farm) -> None:
    lone = farm.serve("lone", farm.one, fallback=["other"])
    farm.serve("other", farm.spare)
    _, key = farm.world.agent()
    farm.one.faults = ["status 529 of a vendor"] * 3
    for _ in range(3):
        status, body, headers = farm.world.gateway.chat(key, "say 1", model="lone")
        assert (status, body["model"]) == (200, "lone")
        assert (headers["x-aish-model"], headers["x-aish-attempts"]) == ("other", "2")
    farm.world.daemon.event(FellBack, lambda e: e.id == lone and e.to == "other")
    headers = farm.world.gateway.chat(key, "say 1", model="lone")[2]
    assert "x-aish-model" not in headers
    farm.world.daemon.event(FellBack, lambda e: e.id == lone and e.to is None)
    told = [event.to for event in farm.world.daemon.events(FellBack) if event.id == lone]
    assert told == ["other", None], "when it begins and when it ends, and not for each request"


def test_the_next_fall_back_answers_where_one_does_not(farm: Farm) -> None:
    farm.serve("lone", farm.one, fallback=["other", "last"])
    farm.serve("other", farm.two)
    farm.serve("last", farm.spare)
    _, key = farm.world.agent()
    farm.one.faults, farm.two.faults = ["status 500"], ["status 400"]
    headers = farm.world.gateway.chat(key, "say 1", model="lone")[2]
    assert (headers["x-aish-model"], headers["x-aish-attempts"]) == ("last", "3")


def test_where_nobody_answers_the_first_failure_is_told(farm: Farm) -> None:
    """What a fall-back says is about a model that nobody asked for."""
    farm.serve("lone", farm.one, fallback=["other"])
    farm.serve("other", farm.two)
    id, key = farm.world.agent()
    farm.one.faults, farm.two.faults = ["status 503"], ["status 422"]
    status, _, headers = farm.world.gateway.chat(key, "say 1", model="lone")
    assert (status, headers["x-aish-attempts"]) == (503, "2")
    farm.world.daemon.settled(id, 1)
    (row,) = farm.world.gateway.rows(f"process = '{id}'")
    assert (row["model"], row["status"]) == ("lone", 503)


@pytest.mark.parametrize("fields", [{"n": 2}, {"logprobs": True}])
def test_what_a_fall_back_cannot_do_is_not_asked_of_it(farm: Farm, fields: dict[str, object]) -> None:
    farm.serve("lone", farm.one, fallback=["other"])
    farm.serve("other", farm.claude)
    _, key = farm.world.agent()
    farm.one.faults = ["status 503"]
    before = farm.asked(farm.claude)
    assert farm.world.gateway.chat(key, "say 1", model="lone", **fields)[0] == 503
    assert farm.asked(farm.claude) == before


def test_a_client_may_want_this_model_or_none(farm: Farm) -> None:
    farm.serve("lone", farm.one, fallback=["other"])
    farm.serve("other", farm.spare)
    _, key = farm.world.agent()
    farm.one.faults = ["status 503"]
    body = {"model": "lone", "messages": say("say 1")}
    headers = {"x-aish-no-fallback": "1"}
    assert farm.world.gateway.call("/v1/chat/completions", body, key, headers)[0] == 503


def test_embeddings_of_another_model_are_no_answer(farm: Farm) -> None:
    farm.serve("lone", farm.one, fallback=["other"])
    farm.serve("other", farm.spare)
    _, key = farm.world.agent()
    farm.one.broken = (503, "no")
    status, _, headers = farm.world.gateway.call("/v1/embeddings", {"model": "lone", "input": "a"}, key)
    assert (status, "x-aish-model" in headers) == (503, False)


def test_a_login_of_the_client_s_own_goes_to_no_other_vendor(farm: Farm) -> None:
    """Its bearer would be in another vendor's hands. Another model of the same vendor may have it."""
    farm.serve("lone", farm.one, login="client", fallback=["stranger"])
    farm.serve("own", farm.one, login="client", fallback=["stranger", "sister"])
    farm.serve("stranger", farm.two, login="client")
    farm.serve("sister", farm.one, login="client")
    _, key = farm.world.agent()
    headers = {"x-aish-key": key, "Authorization": "Bearer of-the-client"}
    seen = len(farm.two.headers)

    def ask(model: str) -> tuple[int, dict[str, str]]:
        farm.one.faults = ["status 503"]
        body = {"model": model, "messages": say("say 1")}
        status, _, told = farm.world.gateway.call("/v1/chat/completions", body, None, headers)
        return status, told

    assert ask("lone")[0] == 503
    status, told = ask("own")
    assert (status, told["x-aish-model"]) == (200, "sister")
    assert not [told for told in farm.two.headers[seen:] if "of-the-client" in str(told)]
    asked_with = [told for told in farm.one.headers if "of-the-client" in str(told)]
    assert len(asked_with) == 3, "both models that failed, and the sister"


# --- models that are not there --------------------------------------------------------------------------------------


def test_a_model_that_is_gone_is_not_waited_for_where_another_can_answer(farm: Farm) -> None:
    id = farm.serve("lone", farm.two, fallback=["other"])
    farm.serve("other", farm.spare)
    _, key = farm.world.agent()
    farm.two.broken = (500, "out of memory")
    assert farm.world.gateway.chat(key, "say 1", model="lone")[2]["x-aish-attempts"] == "2"
    readiness = type(farm.world.daemon.ready(id))
    farm.world.daemon.event(readiness, lambda e: e.id == id and e.ready == "unknown")
    headers = farm.world.gateway.chat(key, "say 1", model="lone")[2]
    assert headers["x-aish-model"] == "other"
    assert "x-aish-attempts" not in headers, "it was not even asked"


def test_a_refused_key_falls_back_at_once(farm: Farm) -> None:
    farm.one.broken = (401, "no")
    id = farm.serve("lone", farm.one, fallback=["other"], ready=False)
    farm.serve("other", farm.spare)
    _, key = farm.world.agent()
    from aish.wire.link import Readiness

    farm.world.daemon.event(Readiness, lambda e: e.id == id and e.hopeless)
    asked = len(farm.one.paths)
    for _ in range(5):
        assert farm.world.gateway.chat(key, "say 1", model="lone")[2]["x-aish-model"] == "other"
    assert len(farm.one.paths) <= asked + 6, "no probe for each request"


def test_a_model_that_is_loading_is_waited_for_whoever_else_could_answer(farm: Farm) -> None:
    farm.two.loading = True
    farm.serve("lone", farm.two, fallback=["other"], ready=False)
    farm.serve("other", farm.spare)
    id, key = farm.world.agent()
    answers: list[Any] = []
    thread = threading.Thread(
        target=lambda: answers.append(farm.world.gateway.chat(key, "say 1", model="lone")), daemon=True
    )
    thread.start()
    farm.world.daemon.event(ActivityNote, lambda e: e.id == id and e.doing == "waits for lone to get ready")
    farm.two.loading = False
    thread.join(DEADLINE_S)
    (status, _, headers), *_ = answers
    assert (status, "x-aish-model" in headers) == (200, False)


# --- a server that rests --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "kind"), [(429, "rate_limit_error"), (529, "overloaded_error")])
def test_a_server_that_wants_to_rest_is_left_alone_and_its_clients_told_at_once(
    farm: Farm, status: int, kind: str
) -> None:
    id = farm.serve("lone", farm.one)
    _, key = farm.world.agent()
    farm.one.faults = [f"status {status} after 60"]
    assert farm.world.gateway.chat(key, "say 1", model="lone")[0] == status
    asked = farm.asked(farm.one)
    told, body, headers = farm.world.gateway.chat(key, "say 1", model="lone")
    assert told == status
    assert 50 <= int(headers["Retry-After"]) <= 60
    assert f"lone rests for {headers['Retry-After']} s: its server answered {status}" in body["error"]["message"]
    with pytest.raises(anthropic.APIStatusError) as caught:
        by_anthropic(farm, key, "lone", "say 1")
    assert caught.value.status_code == status
    body = caught.value.response.json()
    assert (body["type"], body["error"]["type"]) == ("error", kind)
    assert 50 <= int(caught.value.response.headers["retry-after"]) <= 60
    assert farm.asked(farm.one) == asked
    event = farm.world.daemon.event(Resting, lambda e: e.id == id)
    assert event.until_s is not None
    assert 50 < event.until_s - time.time() <= 60
    assert event.text == f"its server answered {status}: scripted"


def test_while_it_rests_others_answer(farm: Farm) -> None:
    farm.serve("lone", farm.one, fallback=["other"])
    farm.serve("other", farm.spare)
    _, key = farm.world.agent()
    farm.one.faults = ["status 529 after 60"]
    attempts = [farm.world.gateway.chat(key, "say 1", model="lone")[2].get("x-aish-attempts") for _ in range(3)]
    assert attempts == ["2", None, None]
    farm.serve("lone", farm.two)  # one of its own name goes first
    assert "x-aish-model" not in farm.world.gateway.chat(key, "say 1", model="lone")[2]


def test_failures_in_a_row_let_it_rest_and_one_request_tries(farm: Farm) -> None:
    id = farm.serve("lone", farm.one)
    _, key = farm.world.agent()
    farm.one.faults = ["status 500"] * 100_000
    status, headers, body = 500, {}, {}
    deadline_s = time.monotonic() + DEADLINE_S
    while status == 500:
        assert time.monotonic() < deadline_s
        status, body, headers = farm.world.gateway.chat(key, "say 1", model="lone")
    farm.one.faults.clear()
    assert (status, headers["Retry-After"]) == (503, "1")
    assert "its server answered 500" in body["error"]["message"]
    farm.world.daemon.event(Resting, lambda e: e.id == id and e.until_s is not None)
    deadline_s = time.monotonic() + DEADLINE_S
    while farm.world.gateway.chat(key, "say 1", model="lone")[0] != 200:
        assert time.monotonic() < deadline_s
    farm.world.daemon.event(Resting, lambda e: e.id == id and e.until_s is None)
    assert farm.world.gateway.chat(key, "say 1", model="lone")[0] == 200


def test_a_limit_of_the_client_s_own_account_concerns_nobody_else(farm: Farm) -> None:
    farm.serve("lone", farm.one, login="client")
    _, key = farm.world.agent()
    body = {"model": "lone", "messages": say("say 1")}
    headers = {"x-aish-key": key, "Authorization": "Bearer of-the-client"}
    farm.one.faults = ["status 429 after 60"]
    assert farm.world.gateway.call("/v1/chat/completions", body, None, headers)[0] == 429
    assert farm.world.gateway.call("/v1/chat/completions", body, None, headers)[0] == 200


# --- budgets --------------------------------------------------------------------------------------------------------


def test_a_budget_for_one_attempt_is_not_exceeded_by_another(farm: Farm) -> None:
    """The first may have worked until its end: there is no room for a second one, so it is not made."""
    farm.serve("twin", farm.one)
    farm.serve("twin", farm.two)
    id, key = farm.world.agent()
    farm.world.daemon.change(id, budget=BudgetPart(requests=1))
    farm.one.faults = ["status 504"]
    before = farm.asked(farm.two)
    status, _, headers = farm.world.gateway.chat(key, "say 2", model="twin")
    assert (status, "x-aish-attempts" in headers) == (504, False)
    assert farm.asked(farm.two) == before
    assert farm.world.daemon.settled(id, 1).tokens.requests == 1


def test_an_attempt_that_cost_nothing_takes_nothing_of_the_budget(farm: Farm) -> None:
    farm.serve("twin", farm.one)
    farm.serve("twin", farm.two)
    id, key = farm.world.agent()
    farm.world.daemon.change(id, budget=BudgetPart(requests=1, requests_per_minute=1, concurrent=1))
    farm.one.faults = ["status 500"]
    status, _, headers = farm.world.gateway.chat(key, "say 2", model="twin")
    assert (status, headers["x-aish-attempts"]) == (200, "2")
    assert farm.world.daemon.settled(id, 1).tokens.requests == 1


def test_one_request_at_a_time_may_be_tried_again_once_the_first_attempt_is_counted(farm: Farm) -> None:
    farm.serve("twin", farm.one)
    farm.serve("twin", farm.two)
    id, key = farm.world.agent()
    farm.world.daemon.change(id, budget=BudgetPart(concurrent=1))
    farm.one.faults = ["say 4 cut 1"]
    status, _, headers = farm.world.gateway.chat(key, "say 2", model="twin")
    assert (status, headers["x-aish-attempts"]) == (200, "2")
    assert farm.world.daemon.settled(id, 2).tokens.requests == 2


def test_a_fall_back_that_the_budget_cannot_pay_is_not_asked(farm: Farm) -> None:
    farm.serve("lone", farm.one, fallback=["dear", "cheap"])
    farm.serve("dear", farm.claude, price=PricePart(input_usd=1e6, output_usd=1e6))
    farm.serve("cheap", farm.spare)
    id, key = farm.world.agent()
    farm.world.daemon.change(id, budget=BudgetPart(usd=0.5))
    farm.one.faults = ["status 500"]
    before = farm.asked(farm.claude)
    assert farm.world.gateway.chat(key, "say 2", model="lone", max_tokens=5)[2]["x-aish-model"] == "cheap"
    assert farm.asked(farm.claude) == before
    assert farm.world.daemon.settled(id, 1).tokens.cost_usd == 0


def test_who_waited_for_a_budget_pays_the_price_of_the_server_that_answers(farm: Farm) -> None:
    """The one that was found first is gone by then; what was reserved for it is not enough for the other."""
    cheap = farm.serve("twin", farm.one)
    farm.serve("twin", farm.two, price=PricePart(output_usd=1e6))  # a dollar for each token
    parent, other_key = farm.world.agent()
    farm.world.daemon.change(parent, budget=BudgetPart(usd=10.0, concurrent=1))
    id, key = farm.world.agent(parent=parent)
    gate = Client(farm.world, other_key, {"model": "small", "messages": say("gate say 1")})
    farm.world.upstream.wait_for(lambda server: server.active == 1)
    answers: list[Any] = []
    thread = threading.Thread(
        target=lambda: answers.append(farm.world.gateway.chat(key, "say 30", model="twin", max_tokens=30)),
        daemon=True,
    )
    thread.start()
    farm.world.daemon.event(ActivityNote, lambda e: e.id == id and e.activity == "queued")
    farm.world.daemon.change(cheap, alive=False)
    farm.world.upstream.open_gate()
    gate.read_until(b"usage")
    thread.join(DEADLINE_S)
    farm.world.upstream.close_gate()
    (status, _, headers), *_ = answers
    assert (status, headers["x-aish-max-tokens-lowered"]) == (200, "10")
    assert farm.world.daemon.settled(id, 1).tokens.cost_usd == pytest.approx(10.0)


# --- many -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_a_server_that_is_killed_among_fifty_requests_costs_nobody_an_answer(farm: Farm, stream: bool) -> None:
    """Those that had not a byte yet are answered by the other, and the sums are those of the servers."""
    from .upstream import Upstream

    doomed = Upstream("127.0.0.1:0").start()
    first = farm.serve("twin", doomed)
    second = farm.serve("twin", farm.two)
    ids = [farm.world.agent() for _ in range(50)]
    before = (farm.two.input, farm.two.output)
    answers: list[str] = []
    failures: list[Exception] = []

    def ask(key: str) -> None:
        try:
            answers.append(by_openai(farm, key, "twin", "gate say 2", stream=stream))
        except openai.APIError as error:
            failures.append(error)

    threads = [threading.Thread(target=ask, args=(key,), daemon=True) for _, key in ids]
    for thread in threads:
        thread.start()
    doomed.wait_for(lambda server: server.active >= 20)
    farm.two.wait_for(lambda server: server.active >= 20)
    doomed.stop()  # nobody there has a byte yet: all wait at its gate
    farm.two.wait_for(lambda server: server.active >= 50)
    farm.two.open_gate()
    for thread in threads:
        thread.join(DEADLINE_S)
    farm.two.close_gate()
    assert not failures
    assert answers == ["w w "] * 50
    told = [farm.world.daemon.settled(id, 1).tokens for id, _ in ids]
    assert sum(tokens.output for tokens in told) == 100
    assert all(tokens.requests == 1 and tokens.estimated == 0 for tokens in told)
    served = farm.world.daemon.served(second, 51).tokens
    assert (served.input, served.output) == (farm.two.input - before[0] + 2, farm.two.output - before[1] + 1)
    farm.world.daemon.change(first, alive=False)


def test_a_kill_in_the_second_attempt_counts_both_once() -> None:
    """The first has a row of its own, and the second is settled at its bound, like every request that died."""
    root = Path(tempfile.mkdtemp(prefix="aish-g-", dir="/tmp"))
    farm = Farm(root)
    try:
        farm.start()
        farm.serve("twin", farm.one)
        farm.serve("twin", farm.two)
        id, key = farm.world.agent(budget=5000)
        farm.one.faults, farm.two.faults = ["say 4 cut 1"], ["never"]
        client = Client(farm.world, key, {"model": "twin", "messages": say("say 4"), "max_tokens": 100})
        farm.two.wait_for(lambda server: server.active == 1)
        farm.world.daemon.settled(id, 1)
        farm.world.gateway.kill()
        client.hang_up()
        farm.world.gateway.start()
        tokens = farm.world.daemon.settled(id, 2).tokens
        cut, died = farm.world.gateway.rows(f"process = '{id}'")
        assert (cut["status"], died["status"], cut["estimated"], died["estimated"]) == (502, 0, 1, 1)
        assert died["output"] == 100
        assert tokens.requests == 2
        assert tokens.input + tokens.output == sum(row["input"] + row["output"] for row in (cut, died))
        left = farm.world.gateway.call("/v1/aish/usage", key=key)[1]["left_tokens"]
        assert left == 5000 - tokens.input - tokens.output
    finally:
        farm.stop()
        shutil.rmtree(root, ignore_errors=True)
