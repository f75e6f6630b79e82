"""Usage windows on the whole way: a server's headers, the ledger, what is told and what outlives a crash."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aish.wire.link import Readiness
from aish.wire.message import WindowList
from aish.wire.reply import Windows

from .claude import KEY, LOGIN
from .conftest import World
from .subscription import OTHER, RENEWED, Subscription, joined, unified

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
    world: World, key: str, text: str = "say 2", login: str = LOGIN, **more: Any
) -> tuple[int, Any, dict[str, str]]:
    body = {"model": "claude-x", "max_tokens": 50, "messages": [{"role": "user", "content": text}], **more}
    headers = {"x-aish-key": key, "Authorization": login, "anthropic-version": "2023-06-01"}
    return world.gateway.call("/v1/messages", body, None, headers)


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
    with urllib.request.urlopen(request, timeout=30) as reply:
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
