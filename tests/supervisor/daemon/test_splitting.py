"""A budget that is split between two agents: in one step, once, and only by who may."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import pytest

from aish.client import launch
from aish.errors import ConflictError, InputError, LimitError, NotFoundError
from aish.wire.message import Mark, Spawn
from aish.wire.reply import Done, Started
from aish.wire.spec import BudgetPart

if TYPE_CHECKING:
    from conftest import Supervised


def agent(up: Supervised, name: str, of: str | None = None, token: str | None = None, **fields: Any) -> Spawn:
    spec = up.spec("sleep", "600", name=name, kind="agent", **fields)
    token = token or secrets.token_hex(16)
    return Spawn(token=token, spec=spec, launch=launch.capture(), rename=True, budget_of=of)


def left(up: Supervised, id: str) -> tuple[int | None, BudgetPart | None]:
    found = up.inspect(id).spec
    return found.budget_tokens, found.budget


@pytest.mark.usefixtures("home")
def test_it_is_taken_once_whatever_dies(up: Supervised) -> None:
    """A client whose answer was lost asks again: two shares for one fork would be gone."""
    budget = BudgetPart(usd=2.0, requests_per_minute=5)
    first = up.client.ask(Started, agent(up, "first", budget_tokens=1000, budget=budget))
    request = agent(up, "second", first.id, budget_tokens=400, budget=BudgetPart(usd=0.5))
    second = up.client.ask(Started, request)
    rest = (600, BudgetPart(usd=1.5, requests_per_minute=5))
    assert left(up, first.id) == rest
    up.kill_daemon()
    up.next_daemon()
    again = up.client.ask(Started, request)
    assert (again.id, again.existed) == (second.id, True)
    assert left(up, first.id) == rest
    assert left(up, second.id)[0] == 400
    told = [event.detail["fork"] for event in up.events() if event.kind == "forked"]
    assert told == [second.id]


def test_more_than_there_is_is_refused_and_nothing_begins(up: Supervised) -> None:
    first = up.client.ask(Started, agent(up, "first", budget_tokens=1000))
    for tokens in (1001, None):
        with pytest.raises(LimitError, match="cannot be taken from a budget of 1000"):
            up.client.ask(Started, agent(up, "second", first.id, budget_tokens=tokens))
    with pytest.raises(NotFoundError):
        up.client.ask(Started, agent(up, "second", "nobody"))
    assert left(up, first.id) == (1000, None)
    assert [row.name for row in up.view().processes if row.kind == "agent"] == ["first"]


def test_what_is_done_with_checkpoints_is_an_event(up: Supervised) -> None:
    first = up.client.ask(Started, agent(up, "first"))
    up.client.ask(Done, Mark(target=first.id, deed="rewind"))
    up.client.ask(Done, Mark(target=first.id, deed="rewind", done=True, checkpoint="p1.2"))
    up.client.ask(Done, Mark(target=first.id, deed="drop", done=True))
    told = [(event.kind, event.detail["checkpoint"]) for event in up.events() if "checkpoint" in event.detail]
    assert told == [("rewound", "p1.2")]
    with pytest.raises(InputError):
        up.client.ask(Done, Mark(target=first.id, deed="undo"))
    plain = up.spawn("sleep", "600")
    with pytest.raises(ConflictError, match="is no agent"):
        up.client.ask(Done, Mark(target=plain.id, deed="checkpoint"))
