"""Budgets of a day, of a project and of the user, on the whole way: held until midnight, over crashes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from aish.wire import account
from aish.wire.link import ActivityNote, Hold, Release, Warn
from aish.wire.message import BudgetQuery, KeyNew, Limit
from aish.wire.reply import Budgets, Done, Failure
from aish.wire.spec import BudgetPart

from .test_limits import Call

if TYPE_CHECKING:
    from .conftest import World


def zone_with_midnight_in(seconds: float) -> str:
    """As TZ has it, tzset(3): hours, minutes and seconds that the local time is behind."""
    behind_s = int(time.time() + seconds) % 86400
    return f"AIS{behind_s // 3600}:{behind_s // 60 % 60}:{behind_s % 60}"


def limit(world: World, target: str, **budget: str) -> object:
    return world.daemon.ask(
        Limit(target=target, budget={name.replace("_", "/"): most for name, most in budget.items()})
    )


def used(world: World, target: str) -> dict[str, tuple[float | None, float]]:
    found = world.daemon.ask(BudgetQuery(target=target))
    assert isinstance(found, Budgets)
    return {f"{line.account} {line.word}": (line.used, line.most) for line in found.lines}


@pytest.mark.slow
def test_who_is_held_by_todays_budget_goes_on_by_itself_at_midnight(world: World) -> None:
    """Over a kill -9, which must not give the day's tokens again."""
    world.gateway.environ["TZ"] = zone_with_midnight_in(6)
    world.start()
    id, key = world.agent()
    world.daemon.change(id, budget=BudgetPart(tokens_per_day=20))
    assert world.gateway.chat(key, "say 17", max_tokens=17)[0] == 200
    warn = world.daemon.event(Warn, lambda e: e.id == id)
    assert (warn.what, warn.used, warn.budget) == ("tokens_per_day", 20, 20)
    world.gateway.kill()
    world.gateway.start()
    call = Call(world, key, "say 5")
    hold = world.daemon.event(Hold, lambda e: e.id == id)
    assert (hold.what, hold.used, hold.budget) == ("tokens_per_day", 20, 20)
    release = world.daemon.event(Release, lambda e: e.id == id)
    assert (release.raised, release.why) == (True, "day")
    assert call.done()[0] == 200
    assert used(world, id) == {f"{id} tokens/day": (8, 20)}


def test_the_users_budget_counts_everybody_and_survives(world: World) -> None:
    world.start()
    (_, one), (id, two) = world.agent(), world.agent()
    assert world.gateway.chat(one, "say 8", max_tokens=8)[0] == 200  # before anything is limited
    assert limit(world, "user", tokens_day="100", requests="3", hard="") == Done()
    assert used(world, "user") == {"user tokens/day": (11, 100), "user requests": (0, 3)}
    named = world.daemon.ask(KeyNew(name="mine")).key
    for key in (one, two, named):
        assert world.gateway.chat(key, "say 8", max_tokens=8)[0] == 200
    assert used(world, id) == {"user tokens/day": (44, 100), "user requests": (3, 3)}
    world.gateway.kill()
    world.gateway.start()
    status, answer, _ = world.gateway.chat(two, "say 8")
    assert (status, answer["error"]["code"]) == (402, "insufficient_quota")
    assert "the budget of the user does not allow this request" in answer["error"]["message"]
    assert "aish limit user requests=+100 raises it" in answer["error"]["message"]
    warn = world.daemon.event(Warn, lambda e: e.id == "user")
    assert (warn.what, warn.used) == ("requests", 3)
    assert limit(world, "user", requests="none", hard="no") == Done()
    assert world.gateway.chat(two, "say 8", max_tokens=8)[0] == 200
    world.daemon.stop()
    world.daemon.epoch = 2  # another process table: the user is still the same
    world.daemon.acknowledged = 0
    world.daemon.start()
    assert used(world, "user") == {"user tokens/day": (55, 100)}
    assert limit(world, "user", tokens_day="none") == Done()
    assert used(world, "user") == {}


def test_a_project_counts_what_its_processes_start(world: World) -> None:
    path = "/home/some one/web/aish.toml"
    world.start()
    top, one = world.agent(project=path)
    two = world.agent(parent=top)[1]
    for key in (one, two):
        assert world.gateway.chat(key, "say 8", max_tokens=8)[0] == 200
    assert limit(world, "project:web", tokens_day="47") == Done(), "its folder's name means it"
    project = account.of_project(path)
    assert used(world, f"project:{path}") == {f"{project} tokens/day": (11, 47)}, "the child's row names no project"
    assert world.gateway.chat(two, "say 8", max_tokens=8)[0] == 200
    assert world.gateway.chat(world.agent()[1], "say 8", max_tokens=8)[0] == 200, "of no project"
    assert used(world, top) == {f"{project} tokens/day": (22, 47)}
    world.gateway.kill()
    world.gateway.start()
    assert world.gateway.chat(two, "say 19", max_tokens=19)[0] == 200
    call = Call(world, one, "say 9")
    hold = world.daemon.event(Hold, lambda e: e.id == top)
    assert (hold.owner, hold.what, hold.used) == (project, "tokens_per_day", 44)
    world.daemon.event(ActivityNote, lambda e: e.doing == "over today's budget of the project web: 47 tokens")
    assert limit(world, f"project:{path}", tokens_day="+50") == Done()
    assert call.done()[0] == 200
    assert world.daemon.event(Release, lambda e: e.id == top).why == "raised"


@pytest.mark.parametrize("target", ["project:nobody", "project:/no/such/aish.toml", "key:nobody"])
def test_who_is_not_known_has_no_budget(shared: World, target: str) -> None:
    refused = limit(shared, target, usd="5")
    assert isinstance(refused, Failure)
    assert refused.code == "not-found"


def test_what_a_file_says_is_said_once(world: World) -> None:
    """What was raised by hand since stays, until the file says something else."""
    path = str(world.root / "aish.toml")
    (world.root / "aish.toml").touch()
    target = f"project:{path}"
    world.start()
    says = Limit(target=target, tokens="1M", budget={"usd/day": "5"}, anew=True)
    assert world.daemon.ask(says) == Done()
    assert world.daemon.ask(says) == Done(changed=False)
    assert limit(world, target, usd_day="+2") == Done()
    world.gateway.kill()
    world.gateway.start()
    assert world.daemon.ask(says) == Done(changed=False)
    id = account.of_project(path)
    assert used(world, target) == {f"{id} tokens": (0, 1_000_000), f"{id} usd/day": (0, 7)}
    assert world.daemon.ask(Limit(target=target, budget={"usd/day": "6"}, anew=True)) == Done()
    assert used(world, target) == {f"{id} usd/day": (0, 6)}
    assert world.daemon.ask(Limit(target=target, anew=True)) == Done()
    assert used(world, target) == {}


def test_a_limit_of_a_day_that_is_set_later_counts_all_of_the_day(world: World) -> None:
    world.start()
    id, key = world.agent()
    assert world.gateway.chat(key, "say 8", max_tokens=8)[0] == 200
    world.daemon.change(id, budget=BudgetPart(tokens_per_day=100))
    assert world.gateway.chat(key, "say 8", max_tokens=8)[0] == 200
    assert used(world, id) == {f"{id} tokens/day": (22, 100)}
    world.daemon.change(id, budget=BudgetPart(tokens_per_day=200))
    assert used(world, id) == {f"{id} tokens/day": (22, 200)}
