"""A process that is wrapped up: one more request beyond its budgets, with a message added; then none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from aish.wire.link import Hold, LastSaid, Release
from aish.wire.message import Limit
from aish.wire.spec import BudgetPart, LastWordPart

from .test_faults import Client, chat
from .test_limits import Call

if TYPE_CHECKING:
    from .conftest import World

TEXT = "say 5 as your goodbye"
"""The scripted server goes by the last message."""
LAST = LastWordPart(message=TEXT, budget=BudgetPart(requests=1, hard=True))


def asked(world: World) -> list[Any]:
    """The messages of the last request that the server saw."""
    messages: list[Any] = world.upstream.requests[-1]["messages"]
    return messages


def spent(world: World, **more: Any) -> tuple[str, str]:
    """An agent that has used up its budget."""
    id, key = world.agent(budget=20, **more)
    assert world.gateway.chat(key, "say 17", max_tokens=17)[0] == 200
    return id, key


def test_who_is_held_says_a_last_message_and_no_more(shared: World) -> None:
    id, key = spent(shared)
    call = Call(shared, key, "say 5")
    shared.daemon.event(Hold, lambda e: e.id == id)
    shared.daemon.change(id, last_word=LAST)
    status, answer, _ = call.done()
    assert (status, answer["usage"]["completion_tokens"]) == (200, 5)
    assert asked(shared) == [{"role": "user", "content": "say 5"}, {"role": "user", "content": TEXT}]
    assert shared.daemon.event(Release, lambda e: e.id == id).why == "wrapup"
    shared.daemon.event(LastSaid, lambda e: e.id == id)
    for path, body, refused in (
        ("/v1/chat/completions", {"model": "small", "messages": [{"role": "user", "content": "say 1"}]}, 402),
        (
            "/v1/messages",
            {"model": "small", "max_tokens": 5, "messages": [{"role": "user", "content": "say 1"}]},
            402,
        ),
        ("/v1/responses", {"model": "small", "input": "say 1"}, 429),
        ("/v1/embeddings", {"model": "small", "input": "one"}, 402),
    ):
        status, answer, _ = shared.gateway.call(path, body, key)
        assert (status, "wrapped up" in answer["error"]["message"]) == (refused, True)
    tokens = shared.daemon.settled(id, 2).tokens
    assert tokens.output == 22, "it counts, beyond the budget"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/messages", {"model": "small", "max_tokens": 5, "messages": [{"role": "user", "content": "say 5"}]}),
        ("/v1/responses", {"model": "small", "input": "say 5"}),
        ("/api/chat", {"model": "small", "messages": [{"role": "user", "content": "say 5"}], "stream": False}),
    ],
)
def test_every_dialect_says_it_in_its_way(shared: World, path: str, body: dict[str, Any]) -> None:
    id, key = spent(shared)
    call = Call(shared, key, "", call=lambda: shared.gateway.call(path, body, key))
    shared.daemon.event(Hold, lambda e: e.id == id)
    shared.daemon.change(id, last_word=LAST)
    assert call.done()[0] == 200
    assert TEXT in str(asked(shared)[-1]["content"])


def test_what_is_under_way_goes_on_and_the_next_request_is_the_last(shared: World) -> None:
    shared.upstream.close_gate()
    id, key = shared.agent()
    call = Call(shared, key, "gate say 3")
    shared.upstream.wait_for(lambda server: server.active == 1)
    shared.daemon.change(id, last_word=LAST)
    shared.upstream.open_gate()
    assert call.done()[0] == 200
    assert not [e for e in shared.daemon.events(LastSaid) if e.id == id]
    assert shared.gateway.chat(key, "say 4")[0] == 200, "also without a budget there is but one"
    assert asked(shared)[-1]["content"] == TEXT
    shared.daemon.event(LastSaid, lambda e: e.id == id)
    assert shared.gateway.chat(key, "say 4")[0] == 402


def test_what_fails_is_no_last_message_and_neither_is_an_embedding(shared: World) -> None:
    id, key = spent(shared)
    shared.daemon.change(id, last_word=LAST)
    shared.upstream.broken = (400, "no")
    try:
        assert shared.gateway.chat(key, "say 4")[0] == 400
    finally:
        shared.upstream.broken = None
    assert shared.gateway.call("/v1/embeddings", {"model": "small", "input": "one"}, key)[0] == 200
    assert not [e for e in shared.daemon.events(LastSaid) if e.id == id]
    assert shared.gateway.chat(key, "say 4")[0] == 200
    assert shared.gateway.chat(key, "say 4")[0] == 402


def test_the_grace_limits_it_and_who_asks_for_more_has_said_all(shared: World) -> None:
    id, key = spent(shared)
    shared.daemon.change(
        id, last_word=LastWordPart(message="say 50", tokens=15, budget=BudgetPart(requests=2, hard=True))
    )
    status, answer, headers = shared.gateway.chat(key, "go on")
    assert (status, answer["usage"]["total_tokens"]) == (200, 15)
    assert headers["x-aish-limited-by"] == "budget"
    assert "x-aish-budget-of" not in headers
    assert shared.gateway.chat(key, "say 1")[0] == 402
    shared.daemon.event(LastSaid, lambda e: e.id == id)


def test_budgets_above_are_no_obstacle_and_know_what_it_took(shared: World) -> None:
    top, _ = shared.agent(budget=1)
    id, key = shared.agent(parent=top)
    call = Call(shared, key, "say 5")
    assert shared.daemon.event(Hold, lambda e: e.id == id).owner == top
    shared.daemon.change(id, last_word=LAST)
    assert call.done()[0] == 200
    other, other_key = shared.agent(parent=top)
    waiting = Call(shared, other_key, "say 5")
    assert shared.daemon.event(Hold, lambda e: e.id == other).used == 14
    shared.daemon.change(top, budget_tokens=None)
    assert waiting.done()[0] == 200


def test_a_kill_9_in_the_middle_of_it_does_not_take_it_away(world: World) -> None:
    """The client asks again, and is answered; once that was so, no crash gives it another one."""
    world.start()
    id, key = spent(world)
    world.daemon.change(id, last_word=LastWordPart(message="gate say 3", budget=LAST.budget))
    client = Client(world, key, chat("go on", max_tokens=3))
    world.upstream.wait_for(lambda server: server.active == 1)
    world.gateway.kill()
    client.hang_up()
    world.gateway.start()
    assert not world.daemon.events(LastSaid)
    world.upstream.open_gate()
    assert world.gateway.chat(key, "say 3", max_tokens=3)[0] == 200
    assert asked(world)[-1]["content"] == "gate say 3"
    world.daemon.event(LastSaid)  # an answer is on its way a moment before it is on the disk
    world.gateway.kill()
    world.daemon.heard.clear()
    world.gateway.start()
    world.daemon.event(LastSaid)
    assert world.gateway.chat(key, "say 3", max_tokens=3)[0] == 402
    world.daemon.stop()
    world.daemon.start()  # the whole truth once more is no new grace
    world.daemon.wait_for(lambda daemon: daemon.links >= 4)
    assert world.gateway.chat(key, "say 3", max_tokens=3)[0] == 402
    world.daemon.change(id, alive=False, last_word=None)
    world.daemon.change(id, alive=True, budget_tokens=1000)
    assert world.gateway.chat(key, "say 3", max_tokens=3)[0] == 200, "it was started again"


def test_money_that_is_limited_while_somebody_waits_is_asked_for(shared: World) -> None:
    """It had asked without a price, and would have cost nothing."""
    id, key = spent(shared)
    call = Call(shared, key, "say 5")
    shared.daemon.event(Hold, lambda e: e.id == id)
    shared.daemon.change(id, budget=BudgetPart(usd=0.0))
    assert shared.daemon.ask(Limit(target="key:nobody", tokens="1")).code == "not-found"  # answered after the Delta
    shared.daemon.change(id, budget_tokens=None)
    assert call.done()[0] == 200, "what is served here costs nothing"
