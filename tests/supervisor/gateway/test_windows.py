"""Usage windows on the whole way: a server's headers, the ledger, what is told and what outlives a crash."""

from __future__ import annotations

import http.client
import json
import shutil
import sqlite3
import tempfile
import threading
import time
import urllib.request
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aish.wire.link import FellBack, Hold, LastSaid, Readiness, Release, Room
from aish.wire.message import KeyNew, WindowList, WindowSet, WindowUnset
from aish.wire.part import ParkedPart
from aish.wire.reply import Done, Windows
from aish.wire.spec import BudgetPart, FailoverPart, LastWordPart

from .claude import KEY, LOGIN
from .conftest import World
from .subscription import OTHER, PREFIX, RENEWED, Subscription, joined, unified
from .upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aish.wire.part import WindowPart

ORG = "anthropic-organization-id"


@pytest.fixture
def there() -> Iterator[World]:
    """A world with a model `claude` that clients are logged in to by themselves."""
    root = Path(tempfile.mkdtemp(prefix="aish-g-", dir="/tmp"))
    world = World(root)
    server = Subscription("127.0.0.1:0").start()
    try:
        world.start()
        world.daemon.model(
            "p2", "claude", server.route, dialect="anthropic", login="client", upstream_name="claude-*"
        )
        world.daemon.ready("p2")
        world.upstream.stop()
        world.upstream = server
        yield world
    finally:
        world.stop()
        shutil.rmtree(root, ignore_errors=True)


def server(world: World) -> Subscription:
    assert isinstance(world.upstream, Subscription)
    return world.upstream


def ask(
    world: World,
    key: str,
    text: str = "say 2",
    login: str = LOGIN,
    headers: dict[str, str] | None = None,
    **more: Any,
) -> tuple[int, Any, dict[str, str]]:
    body = {"model": "claude-x", "max_tokens": 50, "messages": [{"role": "user", "content": text}], **more}
    own = {"x-aish-key": key, "Authorization": login, "anthropic-version": "2023-06-01"}
    return world.gateway.call("/v1/messages", body, None, own | (headers or {}))


def listed(world: World) -> list[WindowPart]:
    answer = world.daemon.ask(WindowList())
    assert isinstance(answer, Windows)
    return answer.windows


def test_headers_of_answers_feed_the_ledger_and_pass_to_the_client(there: World) -> None:
    server(there).told[LOGIN] = joined(unified(0.42), unified(0.1, time.time() + 86400, "7d"), {ORG: "org-1"})
    _, key = there.agent()
    status, _, headers = ask(there, key)
    assert (status, headers["anthropic-ratelimit-unified-5h-utilization"]) == (200, "0.42")
    five, week = listed(there)
    assert (five.account, five.window, five.used, five.source, five.length_s) == (
        "claude",
        "5h",
        0.42,
        "header",
        18000,
    )
    assert five.resets_s is not None
    assert 3500 < five.resets_s - time.time() <= 3601
    assert (week.window, week.used, week.login) == ("7d", 0.1, five.login)


def test_a_stream_and_a_refusal_feed_it_too(there: World) -> None:
    server(there).told[LOGIN] = joined(unified(0.97), {ORG: "org-1"})
    _, key = there.agent()
    headers = {"x-aish-key": key, "Authorization": LOGIN, "anthropic-version": "2023-06-01"}
    body = {"model": "claude-x", "max_tokens": 5, "messages": [{"role": "user", "content": "say 2"}], "stream": True}
    request = urllib.request.Request(
        there.gateway.url + "/v1/messages", data=json.dumps(body).encode(), headers=headers
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        assert b"message_stop" in reply.read()
    assert [part.used for part in listed(there)] == [0.97]
    refused = {"anthropic-ratelimit-unified-status": "rejected"}
    refused |= {"anthropic-ratelimit-unified-representative-claim": "five_hour"}
    refused |= {"anthropic-ratelimit-unified-reset": f"{time.time() + 3600:.0f}"}
    server(there).told[LOGIN] = joined(refused, {ORG: "org-1"})
    status, _, _ = ask(there, key, "status 429")
    assert status == 429
    (part,) = listed(there)
    assert (part.used, part.status) == (1.0, "rejected")


def test_two_logins_do_not_mix_and_a_renewed_one_is_the_same(there: World) -> None:
    server(there).told = {
        LOGIN: joined(unified(0.4), {ORG: "org-1"}),
        RENEWED: joined(unified(0.5), {ORG: "org-1"}),
        OTHER: joined(unified(0.9), {ORG: "org-2"}),
    }
    _, key = there.agent()
    for login in (LOGIN, RENEWED, OTHER):
        assert ask(there, key, login=login)[0] == 200
    found = {part.login: part.used for part in listed(there)}
    assert sorted(found.values()) == [0.5, 0.9]


def test_a_window_that_ended_is_not_known_and_not_empty(there: World) -> None:
    server(there).told[LOGIN] = unified(0.8, time.time() + 1.2)
    _, key = there.agent()
    ask(there, key)
    deadline_s = time.monotonic() + 10
    while (part := listed(there)[0]).used is not None:
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    assert part.resets_s is None


def test_the_ledger_outlives_kill_9_and_nothing_of_a_login_is_kept(there: World) -> None:
    server(there).told[LOGIN] = joined(unified(0.61), {ORG: "org-of-the-user"})
    _, key = there.agent()
    assert ask(there, key)[0] == 200
    before = listed(there)
    there.gateway.kill()
    there.gateway.start()
    there.daemon.heard.clear()
    there.daemon.event(Readiness)
    assert listed(there) == before
    db = sqlite3.connect(f"file:{there.gateway.state}/gateway.db?mode=ro", uri=True)
    try:
        everything = "\n".join(db.iterdump())
    finally:
        db.close()
    assert "org-of-the-user" not in everything
    assert LOGIN.removeprefix("Bearer ") not in everything


def test_hostile_headers_do_no_harm(there: World) -> None:
    server(there).told[LOGIN] = {
        "anthropic-ratelimit-unified-5h-utilization": "nan",
        "anthropic-ratelimit-unified-5h-reset": "9" * 4000,
        **{f"anthropic-ratelimit-unified-{number}h-utilization": "0.5" for number in range(1, 60)},
        "x-codex-primary-used-percent": "-7",
    }
    _, key = there.agent()
    assert ask(there, key)[0] == 200
    found = listed(there)
    assert 0 < len(found) <= 16
    assert {part.used for part in found} <= {0.5, None}


def test_a_server_on_this_machine_with_a_key_of_ours_is_not_listened_to(there: World) -> None:
    """Nobody has a subscription there: a local program does not fill the ledger."""
    key_file = there.root / "key"
    key_file.write_text(KEY)
    key_file.chmod(0o600)
    there.daemon.model("p9", "here", server(there).route, dialect="anthropic", key_file=str(key_file))
    there.daemon.ready("p9")
    server(there).told[None] = unified(0.5)
    _, key = there.agent()
    body = {"model": "here", "max_tokens": 50, "messages": [{"role": "user", "content": "say 2"}]}
    assert there.gateway.call("/v1/messages", body, key)[0] == 200
    assert listed(there) == []


# --- rules ----------------------------------------------------------------------------------------------------------


def set_rule(world: World, target: str = "claude", **changes: str) -> None:
    assert world.daemon.ask(WindowSet(target=target, changes=changes)) == Done()


def ask_later(world: World, key: str, text: str = "say 2") -> tuple[threading.Thread, list[int]]:
    """A request in a thread of its own, and its status once it is answered."""
    answers: list[int] = []
    thread = threading.Thread(target=lambda: answers.append(ask(world, key, text)[0]), daemon=True)
    thread.start()
    return thread, answers


def begun(world: World, key: str) -> http.client.HTTPConnection:
    """A request whose answer nobody waits for."""
    headers = {"x-aish-key": key, "Authorization": LOGIN, "anthropic-version": "2023-06-01"}
    body = {"model": "claude-x", "max_tokens": 5, "messages": [{"role": "user", "content": "say 2"}]}
    client = http.client.HTTPConnection("127.0.0.1", world.gateway.port)
    client.request("POST", "/v1/messages", json.dumps(body), headers)
    return client


def used(world: World, part: float, ends_in_s: float = 3600.0, login: str = LOGIN) -> None:
    """From the next answer on so much of the five hours is used."""
    server(world).told[login] = joined(unified(part, time.time() + ends_in_s), {ORG: f"org of {login}"})


def held(world: World, id: str) -> Hold:
    return world.daemon.event(Hold, lambda event: event.id == id)


def released(world: World, id: str) -> Release:
    return world.daemon.event(Release, lambda event: event.id == id)


@pytest.mark.slow
def test_the_background_is_held_at_the_reserve_and_goes_on_when_the_window_begins_anew(there: World) -> None:
    """Two agents behind, one in front. The vendor's figure rises with each answer; nobody raises anything."""
    first, first_key = there.agent(background=True)
    second, second_key = there.agent(background=True)
    _, front_key = there.agent()
    set_rule(there, reserve="40%")
    used(there, 0.56, 5.0)
    server(there).step = 0.02
    assert ask(there, first_key)[0] == ask(there, second_key)[0] == 200
    server(there).told[LOGIN][f"{PREFIX}5h-utilization"] = "0.61"
    assert ask(there, front_key)[0] == 200, "and tells that 61 % are used by now"
    waiting = [ask_later(there, key) for key in (first_key, second_key)]
    for id in (first, second):
        hold = held(there, id)
        assert (hold.owner, hold.what, hold.used, hold.budget) == ("window:claude/5h", "window_reserve", 0.61, 0.6)
        assert hold.until_s is not None
        assert 0 < hold.until_s - time.time() <= 6
    (part,) = listed(there)
    assert (sorted(part.held), part.reserve) == (sorted((first, second)), 0.4)
    for _ in range(3):
        assert ask(there, front_key)[0] == 200
    asked = len(server(there).requests)
    assert all(answers == [] for _, answers in waiting)
    server(there).told[LOGIN] = {}
    for thread, answers in waiting:
        thread.join(20)
        assert answers == [200]
    assert len(server(there).requests) == asked + 2, "nothing was sent while they waited"
    assert [released(there, id).why for id in (first, second)] == ["window", "window"]


def test_a_rule_that_is_changed_or_taken_away_lets_them_go(there: World) -> None:
    id, key = there.agent(background=True)
    used(there, 0.9)
    assert ask(there, key)[0] == 200
    set_rule(there, reserve="40%")
    thread, answers = ask_later(there, key)
    held(there, id)
    set_rule(there, reserve="5%")
    thread.join(20)
    assert answers == [200]
    set_rule(there, reserve="50%", hours="09-18")
    rules = there.daemon.ask(WindowList()).rules
    assert [(rule.target, rule.words, rule.windows) for rule in rules] == [
        ("claude", {"reserve": "50%", "hours": "09-18"}, ["claude/5h"])
    ]
    assert there.daemon.ask(WindowUnset(target="claude")).changed
    assert not there.daemon.ask(WindowUnset(target="claude")).changed
    refused = there.daemon.ask(WindowSet(target="claude", changes={"reserv": "40%"}))
    assert (refused.code, refused.hint) == ("usage", "did you mean reserve=?")


@pytest.mark.slow
def test_hours_that_end_let_them_go(there: World) -> None:
    """A rule that holds for this minute: it is over at the next."""
    deadline_s = time.monotonic() + 20
    while time.localtime().tm_sec > 50:
        assert time.monotonic() < deadline_s
        time.sleep(0.1)
    id, key = there.agent(background=True)
    used(there, 0.9)
    assert ask(there, key)[0] == 200
    now = datetime.now().astimezone()
    later = (now + timedelta(minutes=1)).replace(second=0, microsecond=0)
    set_rule(there, reserve="40%", hours=f"{now:%H:%M}-{later:%H:%M}")
    thread, answers = ask_later(there, key)
    assert held(there, id).until_s == later.timestamp()
    thread.join(75)
    assert answers == [200]
    assert time.time() >= later.timestamp()


def test_a_client_that_hangs_up_while_it_waits_is_told_as_given_up(there: World) -> None:
    id, key = there.agent(background=True)
    used(there, 0.9)
    assert ask(there, key)[0] == 200
    set_rule(there, reserve="40%")
    client = begun(there, key)
    held(there, id)
    client.close()
    assert released(there, id).why == "given-up"
    assert listed(there)[0].held == []


@pytest.mark.parametrize("waits", [True, False])
def test_who_is_wrapped_up_says_its_last_message_whatever_is_reserved(there: World, *, waits: bool) -> None:
    """It was held until its grace was over, and ended with nothing said."""
    id, key = there.agent(background=True)
    used(there, 0.9)
    assert ask(there, key)[0] == 200
    set_rule(there, reserve="40%")
    last = LastWordPart(message="say 3 as your goodbye", budget=BudgetPart(requests=1, hard=True))
    if waits:
        thread, answers = ask_later(there, key)
        held(there, id)
        there.daemon.change(id, last_word=last)
        thread.join(20)
        assert answers == [200]
        assert released(there, id).why == "wrapup"
    else:
        there.daemon.change(id, last_word=last)
        assert ask(there, key)[0] == 200
    there.daemon.event(LastSaid, lambda event: event.id == id)
    assert "goodbye" in str(server(there).requests[-1]["messages"][-1]["content"])
    assert ask(there, key)[0] == 402, "what comes after is refused, and is not held at the window"


def test_rules_and_what_is_known_outlive_kill_9_and_hold_again(there: World) -> None:
    id, key = there.agent(background=True)
    used(there, 0.9)
    assert ask(there, key)[0] == 200
    set_rule(there, reserve="40%")
    client = begun(there, key)
    held(there, id)
    there.gateway.kill()
    client.close()
    there.gateway.start()
    released(there, id)
    holds = len(there.daemon.events(Hold))
    thread, answers = ask_later(there, key)
    there.daemon.wait_for(lambda daemon: sum(isinstance(e, Hold) for e in daemon.heard) > holds)
    assert there.daemon.ask(WindowUnset(target="claude")).changed
    thread.join(20)
    assert answers == [200]


def test_another_login_has_windows_of_its_own(there: World) -> None:
    id, key = there.agent(background=True)
    used(there, 0.9)
    used(there, 0.1, login=OTHER)
    assert ask(there, key)[0] == ask(there, key, login=OTHER)[0] == 200
    set_rule(there, reserve="40%")
    assert ask(there, key, login=OTHER)[0] == 200
    thread, answers = ask_later(there, key)
    hold = held(there, id)
    full = next(part for part in listed(there) if part.used == 0.9)
    assert hold.owner == f"window:claude#{full.login}/5h"
    set_rule(there, f"claude#{full.login}", reserve="1%")
    thread.join(20)
    assert answers == [200]


def test_a_named_key_is_in_front_unless_the_rule_says_otherwise(there: World) -> None:
    made = there.daemon.ask(KeyNew(name="ci"))
    used(there, 0.9)
    assert ask(there, made.key)[0] == 200
    set_rule(there, reserve="40%")
    assert ask(there, made.key)[0] == 200
    set_rule(there, background="key:ci")
    thread, answers = ask_later(there, made.key)
    deadline_s = time.monotonic() + 20
    while listed(there)[0].held != ["key:ci"]:
        assert time.monotonic() < deadline_s
    set_rule(there, background="none")
    thread.join(20)
    assert answers == [200]


def test_who_has_used_its_share_waits_in_front_or_not_and_others_go_on(there: World) -> None:
    """Of all that was taken in this window the agent and what it started took the most."""
    id, _ = there.agent()
    child, child_key = there.agent(parent=id)
    _, other_key = there.agent()
    used(there, 0.4)
    for _ in range(3):
        assert ask(there, child_key, "say 9")[0] == 200
    assert ask(there, other_key, "say 1")[0] == 200
    there.daemon.settled(child, 3)
    share = f"share.@agent-{id}"
    set_rule(there, **{share: "20%"})
    thread, answers = ask_later(there, child_key)
    hold = held(there, child)
    assert (hold.what, hold.budget) == ("window_share", 0.2)
    assert 0.3 < hold.used <= 0.4
    assert ask(there, other_key)[0] == 200
    assert listed(there)[0].shares == {f"@agent-{id}": pytest.approx(hold.used, abs=0.05)}
    set_rule(there, **{share: "90%"})
    thread.join(20)
    assert answers == [200]


# --- moved to another model ---------------------------------------------------------------------------------------


# --- who is parked --------------------------------------------------------------------------------------------------


def parked(world: World, id: str, hold: Hold, since_s: float = 1.0, **more: Any) -> None:
    """As the daemon tells it once its processes have ended."""
    told = {name: getattr(hold, name) for name in ("owner", "login", "what", "used", "budget", "until_s")}
    world.daemon.change(id, alive=False, parked=ParkedPart(**told, since_s=since_s), **more)


def held_up(world: World, reserve: str = "40%") -> tuple[str, Hold]:
    """An agent in the background at the reserve, with what the daemon heard of it; its client is gone by then."""
    id, key = world.agent(background=True)
    set_rule(world, reserve=reserve)
    used(world, 0.9)
    assert ask(world, key)[0] == 200
    client = begun(world, key)
    hold = held(world, id)
    client.close()
    released(world, id)
    return id, hold


def rooms(world: World, id: str, since_s: float = 1.0) -> list[Room]:
    return [room for room in world.daemon.events(Room) if (room.id, room.since_s) == (id, since_s)]


def room(world: World, id: str, since_s: float = 1.0) -> Room:
    return world.daemon.event(Room, lambda told: (told.id, told.since_s) == (id, since_s))


def test_who_is_parked_is_judged_as_a_request_is_and_told_when_there_is_room(there: World) -> None:
    """Nothing of it asks any more: somebody else has to find out, and to say which parking is meant."""
    id, hold = held_up(there)
    assert hold.login, "which login's window it is, nobody could tell later"
    parked(there, id, hold)
    (part,) = listed(there)
    assert (part.parked, part.held) == ([id], [])
    set_rule(there, reserve="20%")
    assert not rooms(there, id)
    set_rule(there, reserve="5%")
    room(there, id)
    parked(there, id, hold, 2.0)
    room(there, id, 2.0)


def test_a_person_in_front_and_the_end_of_a_rule_are_room(there: World) -> None:
    id, hold = held_up(there)
    parked(there, id, hold)
    assert listed(there)[0].parked == [id]
    assert not rooms(there, id)
    there.daemon.change(id, background=False)
    room(there, id)
    parked(there, id, hold, 3.0, held=True)
    assert listed(there)[0].parked == [id]
    assert listed(there)[0].parked == [id]
    assert not rooms(there, id, 3.0), "it is paused: it was told for as long as that lasts"
    there.daemon.change(id, held=False)
    room(there, id, 3.0)
    parked(there, id, hold, 2.0, background=True)
    assert there.daemon.ask(WindowUnset(target="claude")) == Done()
    room(there, id, 2.0)


def test_a_gateway_that_is_killed_tells_again_and_judges_by_what_it_knew(there: World) -> None:
    id, hold = held_up(there)
    parked(there, id, hold)
    assert listed(there)[0].parked == [id]
    there.gateway.kill()
    there.gateway.start()
    assert listed(there)[0].parked == [id]
    assert not rooms(there, id), "it woke it since it knew nothing"
    assert there.daemon.ask(WindowUnset(target="claude")) == Done()
    room(there, id)


@pytest.mark.slow
def test_a_window_that_begins_anew_is_room(there: World) -> None:
    id, key = there.agent(background=True)
    set_rule(there, reserve="40%")
    used(there, 0.9, 4.0)
    assert ask(there, key)[0] == 200
    client = begun(there, key)
    hold = held(there, id)
    client.close()
    parked(there, id, hold)
    assert hold.until_s is not None
    room(there, id)
    assert time.time() >= hold.until_s


def test_a_hold_that_becomes_longer_is_told_again(there: World) -> None:
    """Else who would have been parked for days waits in memory, as for a minute."""
    id, key = there.agent(background=True)
    _, front_key = there.agent()
    set_rule(there, reserve="40%")
    used(there, 0.9, 100.0)
    assert ask(there, key)[0] == 200
    client = begun(there, key)
    first = held(there, id)
    used(there, 0.9, 3600.0)
    assert ask(there, front_key)[0] == 200
    again = there.daemon.event(Hold, lambda hold: hold.id == id and hold.number > first.number)
    assert first.until_s is not None
    assert again.until_s is not None
    assert again.until_s > first.until_s + 3000
    client.close()


@pytest.fixture
def helper(there: World) -> Iterator[Upstream]:
    """A model `helper` beside `claude`, that nobody has reserved."""
    with_it = Upstream("127.0.0.1:0").start()
    try:
        there.daemon.model("p3", "helper", with_it.route)
        there.daemon.ready("p3")
        yield with_it
    finally:
        with_it.stop()


def test_whose_file_names_another_model_is_answered_by_that_while_the_window_is_reserved(
    there: World, helper: Upstream
) -> None:
    id, key = there.agent(background=True, when_reserved="model:helper")
    _, front_key = there.agent(when_reserved="model:helper")
    used(there, 0.9)
    assert ask(there, key)[0] == 200
    set_rule(there, reserve="40%")
    for _ in range(2):
        status, body, headers = ask(there, key, "say 3")
        assert (status, body["content"][0]["text"].split()) == (200, ["w"] * 3)
        assert headers["x-aish-model"] == "helper"
    assert "x-aish-model" not in ask(there, front_key)[2]
    moved = there.daemon.event(FellBack, lambda event: event.id == id)
    assert (moved.to, "claude/5h: what is left is reserved" in moved.text) == ("helper", True)
    there.daemon.settled(id, 3)
    assert [row["model"] for row in there.gateway.rows(f"process = '{id}'")] == ["claude-x", "helper", "helper"]
    assert not there.daemon.events(Hold)
    there.daemon.ask(WindowUnset(target="claude"))
    assert "x-aish-model" not in ask(there, key)[2]
    there.daemon.event(FellBack, lambda event: event.id == id and event.to is None)
    assert [event.to for event in there.daemon.events(FellBack) if event.id == id] == ["helper", None]


@pytest.mark.parametrize(
    ("way_out", "headers"), [("nobody", {}), ("claude", {}), ("helper", {"x-aish-no-fallback": "1"})]
)
def test_who_can_be_answered_by_nobody_else_waits(
    there: World, helper: Upstream, way_out: str, headers: dict[str, str]
) -> None:
    id, key = there.agent(background=True, when_reserved=f"model:{way_out}")
    used(there, 0.9)
    assert ask(there, key)[0] == 200
    set_rule(there, reserve="40%")
    answers: list[int] = []
    asking = partial(ask, there, key, headers=headers)
    thread = threading.Thread(target=lambda: answers.append(asking()[0]), daemon=True)
    thread.start()
    held(there, id)
    assert there.daemon.ask(WindowUnset(target="claude")).changed
    thread.join(20)
    assert answers == [200]
    assert "say 2" not in str(helper.requests)


def test_a_failure_of_who_answers_instead_is_the_answer(there: World, helper: Upstream) -> None:
    """Not a wait of hours after it."""
    _, key = there.agent(background=True, when_reserved="model:helper")
    used(there, 0.9)
    assert ask(there, key)[0] == 200
    set_rule(there, reserve="40%")
    assert ask(there, key, "status 400")[0] == 400


def test_a_fall_back_that_is_reserved_is_not_asked(there: World) -> None:
    """Nor waited for: the failure of the model that was asked for is told at once."""
    failing = FailoverPart(fallback=["claude-x"])
    route = {"dialect": "anthropic", "login": "client", "upstream_name": "opus"}
    there.daemon.model("p4", "opus", server(there).route, failing, **route)
    there.daemon.ready("p4")
    id, key = there.agent(background=True)
    used(there, 0.9)
    assert ask(there, key)[0] == 200
    set_rule(there, reserve="40%")
    assert ask(there, key, "status 503", model="opus")[0] == 503
    asked = [body["model"] for body in server(there).requests if "status 503" in str(body)]
    assert set(asked) == {"opus"}
    assert not [event for event in there.daemon.events(Hold) if event.id == id]
    there.daemon.ask(WindowUnset(target="claude"))
    ask(there, key, "status 503", model="opus")
    asked = [body["model"] for body in server(there).requests if "status 503" in str(body)]
    assert set(asked) == {"opus", "claude-x"}
