"""A server that uses more than was reserved: counted as it says, and told with its number where a budget is above."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aish.wire.link import Exceeded, Hold
from aish.wire.message import KeyNew, Limit
from aish.wire.reply import Done
from aish.wire.spec import BudgetPart, PricePart

from .test_limits import Call
from .upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import World

BOUND = 3000
"""More than what is reserved for a short request with 20 tokens of output."""


@pytest.fixture
def far(world: World) -> Iterator[World]:
    """A world with a server that cannot count for us, and wants a dollar for a million tokens."""
    world.start()
    server = Upstream("127.0.0.1:0").start()
    price = PricePart(input_usd=1.0, output_usd=1.0)
    world.daemon.model("p2", "far", server.route, price=price)
    world.daemon.ready("p2")
    try:
        yield world
    finally:
        world.gateway.stop()
        server.stop()


def ask(world: World, key: str, script: str) -> int:
    return world.gateway.chat(key, script, model="far", max_tokens=20)[0]


def test_it_is_told_once_with_its_number_over_crashes(far: World) -> None:
    id, key = far.agent(budget=BOUND)
    assert ask(far, key, "say 5") == 200
    used = far.daemon.settled(id, 1).tokens
    assert not far.daemon.events(Exceeded)
    far.daemon.acks = False
    assert ask(far, key, "say 5 beyond 5000") == 200
    told = far.daemon.event(Exceeded)
    (row,) = far.gateway.rows("input > 5000")
    (over,) = told.overs
    assert (told.id, told.request, told.model) == (id, row["number"], "far")
    took = row["input"] + row["output"]
    assert (over.owner, over.what, over.budget, over.used) == (id, "tokens", BOUND, took)
    assert over.over == used.input + used.output + took - BOUND, "all that the budget is above its limit"
    assert 500 < over.reserved < 1000
    far.gateway.kill()
    far.daemon.heard.clear()
    far.gateway.start()
    again = far.daemon.event(Exceeded)
    assert (again.request, again.overs) == (told.request, told.overs), "until it is acknowledged"
    far.daemon.acks = True
    call = Call(far, key, "say 1", call=lambda: far.gateway.chat(key, "say 1", model="far"))
    assert far.daemon.event(Hold, lambda e: e.id == id).used == BOUND + over.over
    assert {event.request for event in far.daemon.events(Exceeded)} == {told.request}
    far.daemon.change(id, budget_tokens=None)
    assert call.done()[0] == 200


def test_every_budget_that_is_above_is_named_and_others_are_not(far: World) -> None:
    top, _ = far.agent(budget=1_000_000)
    id, key = far.agent(parent=top)
    far.daemon.change(id, budget=BudgetPart(requests=5, usd=0.004))
    assert far.daemon.ask(Limit(target="user", budget={"tokens/day": "4000"})) == Done()
    assert ask(far, key, "say 5 beyond 9000") == 200
    told = far.daemon.event(Exceeded)
    assert [(over.owner, over.what) for over in told.overs] == [(id, "usd"), ("user", "tokens_per_day")]
    (row,) = far.gateway.rows("input > 9000")
    took = row["input"] + row["output"]
    assert [over.over for over in told.overs] == [pytest.approx(took / 1e6 - 0.004), took - 4000]


def test_a_key_is_told_of_too(far: World) -> None:
    made = far.daemon.ask(KeyNew(name="mine", budget_tokens=BOUND))
    assert ask(far, made.key, "say 5 beyond 5000") == 200
    told = far.daemon.event(Exceeded)
    assert (told.id, told.overs[0].owner) == ("key:mine", "key:mine")


def test_who_has_no_budget_exceeds_none(far: World) -> None:
    id, key = far.agent()
    assert ask(far, key, "say 5 beyond 5000") == 200
    far.daemon.settled(id, 1)
    assert not far.daemon.events(Exceeded)
