"""What a budget limits beside tokens in all, on the whole way: money, requests, rates, one request; soft and hard."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest

from aish.wire.link import Hold, Release, Warn
from aish.wire.message import KeyList, KeyNew, Limit
from aish.wire.reply import Done, KeyMade, Keys
from aish.wire.spec import BudgetPart, PricePart

from .test_sdk import client
from .upstream import Upstream

if TYPE_CHECKING:
    from .conftest import World

SAY: Any = [{"role": "user", "content": "say 5"}]


@pytest.fixture
def dear(shared: World) -> World:
    """`dear` costs a dollar for a token of output, a tenth for one of input."""
    if "p31" not in shared.daemon.members:
        price = PricePart(input_usd=100_000, output_usd=1_000_000)
        shared.daemon.model("p31", "dear", shared.upstream.route, price=price)
        shared.daemon.ready("p31")
    return shared


def test_money_is_never_above_the_budget(dear: World) -> None:
    """Twenty at once against a budget for a few: what was spent stays below, whoever came first."""
    id, key = dear.agent()
    dear.daemon.change(id, budget=BudgetPart(usd=20.0))
    answers: list[int] = []

    def ask() -> None:
        answers.append(dear.gateway.chat(key, "say 5", model="dear")[0])

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(20)]
    for thread in threads:
        thread.start()
    hold = dear.daemon.event(Hold, lambda e: e.id == id)
    assert (hold.what, hold.budget) == ("usd", 20.0)
    dear.daemon.change(id, budget=BudgetPart(usd=1000.0))
    for thread in threads:
        thread.join(60)
    assert answers == [200] * 20
    dear.daemon.settled(id, 20)
    rows = dear.gateway.rows(f"process = '{id}'")
    assert sum(row["cost_usd"] for row in rows) == pytest.approx(
        sum(row["output"] + row["input"] / 10 for row in rows)
    )


def test_no_limit_is_made_up_where_there_is_enough(dear: World) -> None:
    """Servers that add the prompt to the limit refuse one as large as their context: vLLM."""
    server = Upstream("127.0.0.1:0", context=32768).start()
    dear.daemon.model("p30", "vllm", server.route)
    dear.daemon.ready("p30")
    try:
        for budget in (BudgetPart(concurrent=2), BudgetPart(output_tokens=10_000_000)):
            id, key = dear.agent()
            dear.daemon.change(id, budget=budget)
            assert dear.gateway.chat(key, "say 5", model="vllm")[0] == 200
            assert not {"max_tokens", "max_completion_tokens"} & server.requests[-1].keys()
        dear.daemon.change(id, budget=BudgetPart(output_tokens=9))
        assert dear.gateway.chat(key, "say 50", model="vllm")[1]["choices"][0]["finish_reason"] == "length"
        assert server.requests[-1]["max_tokens"] == 4
    finally:
        dear.daemon.change("p30", alive=False)
        server.stop()


def test_a_hard_budget_refuses_by_the_word_of_each_dialect(dear: World) -> None:
    id, key = dear.agent(budget=0)
    dear.daemon.change(id, budget=BudgetPart(hard=True))
    sdk = client(dear, key)
    with pytest.raises(openai.APIStatusError) as chat:
        sdk.chat.completions.create(model="small", messages=SAY)
    assert (chat.value.status_code, chat.value.code) == (402, "insufficient_quota")
    assert "too little is left of tokens: 0 of 0 are used, and it may take " in str(chat.value)
    with pytest.raises(openai.RateLimitError) as response:
        sdk.responses.create(model="small", input="say 5")
    assert response.value.code == "insufficient_quota"
    claude = anthropic.Anthropic(base_url=dear.gateway.url, api_key=key, max_retries=0)
    with pytest.raises(anthropic.APIStatusError) as message:
        claude.messages.create(model="small", max_tokens=5, messages=SAY)
    assert message.value.status_code == 402
    body: Any = message.value.body
    assert body["error"]["type"] == "billing_error"
    assert f"aish limit {id} tokens=+50k" in body["error"]["message"]


def test_requests_are_counted_and_warned_of(dear: World) -> None:
    id, key = dear.agent()
    dear.daemon.change(id, budget=BudgetPart(requests=3))
    for _ in range(3):
        assert dear.gateway.chat(key, "say 1")[0] == 200
    warn = dear.daemon.event(Warn, lambda e: e.id == id)
    assert (warn.what, warn.used, warn.budget) == ("requests", 3, 3)
    thread = threading.Thread(target=dear.gateway.chat, args=(key, "say 1"), daemon=True)
    thread.start()
    hold = dear.daemon.event(Hold, lambda e: e.id == id)
    assert (hold.what, hold.used) == ("requests", 3)
    dear.daemon.change(id, budget=None)
    assert dear.daemon.event(Release, lambda e: e.id == id).raised
    thread.join(30)


@pytest.mark.parametrize("hard", [False, True])
def test_so_many_at_a_time_and_the_others_wait_for_their_turn_hard_or_not(dear: World, hard: bool) -> None:
    id, key = dear.agent()
    dear.daemon.change(id, budget=BudgetPart(concurrent=2, hard=hard))
    dear.upstream.close_gate()
    dear.upstream.most_active = 0
    threads = [threading.Thread(target=dear.gateway.chat, args=(key, "gate say 1"), daemon=True) for _ in range(6)]
    for thread in threads:
        thread.start()
    dear.upstream.wait_for(lambda server: server.active == 2)
    dear.upstream.open_gate()
    for thread in threads:
        thread.join(30)
    assert dear.upstream.most_active == 2
    assert dear.daemon.settled(id, 6).tokens.requests == 6


def test_one_request_holds_no_more_than_the_context(dear: World) -> None:
    id, key = dear.agent()
    dear.daemon.change(id, budget=BudgetPart(context_tokens=10))
    status, answer, headers = dear.gateway.chat(key, "say 50")
    assert (status, answer["choices"][0]["finish_reason"]) == (200, "length")
    assert answer["usage"]["total_tokens"] == 10
    assert headers["x-aish-limited-by"] == "budget"


def test_input_and_output_apart(dear: World) -> None:
    id, key = dear.agent()
    dear.daemon.change(id, budget=BudgetPart(output_tokens=7))
    assert dear.gateway.chat(key, "say 5")[1]["usage"]["completion_tokens"] == 5
    assert dear.gateway.chat(key, "say 5")[1]["usage"]["completion_tokens"] == 2


def test_what_was_spent_of_each_kind_outlives_a_crash(world: World) -> None:
    world.start()
    id, key = world.agent()
    world.daemon.change(id, budget=BudgetPart(requests=2, output_tokens=100))
    assert world.gateway.chat(key, "say 5")[0] == 200
    world.daemon.settled(id, 1)
    world.gateway.kill()
    world.gateway.start()
    world.daemon.ready("p1")
    assert world.gateway.chat(key, "say 5")[0] == 200
    thread = threading.Thread(target=world.gateway.chat, args=(key, "say 1"), daemon=True)
    thread.start()
    assert world.daemon.event(Hold, lambda e: e.id == id).used == 2
    world.daemon.change(id, budget=None)
    thread.join(30)


def test_a_named_key_has_them_too(dear: World) -> None:
    made = dear.daemon.ask(KeyNew(name="poor", budget_tokens=1000, budget=BudgetPart(requests=1, hard=True)))
    assert isinstance(made, KeyMade)
    assert dear.gateway.chat(made.key, "say 1")[0] == 200
    assert dear.gateway.chat(made.key, "say 1")[0] == 402
    assert dear.daemon.ask(Limit(target="key:poor", budget={"requests": "+1", "usd": "2.5"})) == Done()
    assert dear.gateway.chat(made.key, "say 1")[0] == 200
    listed = dear.daemon.ask(KeyList())
    assert isinstance(listed, Keys)
    (part,) = [part for part in listed.keys if part.name == "poor"]
    assert (part.budget_tokens, part.budget) == (1000, {"requests": "2", "usd": "2.5", "hard": "yes"})
    told = dear.gateway.call("/v1/aish/usage", key=made.key)[1]
    assert (told["budget"]["requests"], told["cost_usd"]) == ("2", 0.0)
