"""Doors of sandboxes at the gateway: the socket says who comes, and no key of another is worth anything there."""

from __future__ import annotations

import http.client
import itertools
import json
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

from aish.wire.door import Door, Doors, Shut
from aish.wire.message import KeyNew

if TYPE_CHECKING:
    from .conftest import World

DEADLINE_S = 60.0
_numbers = itertools.count(1)


def opened(world: World, id_: str) -> tuple[str, int]:
    """A door for that process: its key at the link, and the port."""
    name = f"{id_}.{next(_numbers)}"
    with socket.create_server(("127.0.0.1", 0)) as sock:
        world.daemon.send(Door(key=name, process=id_), [sock.fileno()])
        return name, sock.getsockname()[1]


def ask(port: int, key: str = "", headers: dict[str, str] | None = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
    told = {"Authorization": f"Bearer {key}"} if key else {}
    connection.request("GET", "/v1/aish/usage", headers={**told, **(headers or {})})
    answer = connection.getresponse()
    found = answer.status, json.loads(answer.read())
    connection.close()
    return found


def test_without_a_key_it_is_the_one_whose_door_it_is(shared: World) -> None:
    id_, key = shared.agent()
    _, port = opened(shared, id_)
    for status, body in (ask(port), ask(port, key), ask(port, headers={"x-api-key": key})):
        assert (status, body["id"]) == (200, id_)


def test_what_it_uses_is_counted_for_it(shared: World) -> None:
    id_, _ = shared.agent()
    _, port = opened(shared, id_)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
    said = {"model": "small", "messages": [{"role": "user", "content": "say 3 "}], "max_tokens": 3}
    connection.request("POST", "/v1/chat/completions", json.dumps(said), {"Content-Type": "application/json"})
    assert connection.getresponse().status == 200
    connection.close()
    assert shared.daemon.settled(id_, 1).tokens.output == 3


@pytest.mark.parametrize("whose", ["sibling", "named", "nobody", "damaged"])
def test_the_key_of_another_is_refused_there(shared: World, whose: str) -> None:
    id_, own = shared.agent()
    _, sibling = shared.agent()
    _, port = opened(shared, id_)
    named = shared.daemon.ask(KeyNew(name=f"k{next(_numbers)}")).key
    assert ask(shared.gateway.port, sibling)[0] == ask(shared.gateway.port, named)[0] == 200  # elsewhere they hold
    key = {
        "sibling": sibling,
        "named": named,
        "nobody": "made-up-key",
        "damaged": own[:-1] + ("A" if own[-1] != "A" else "B"),
    }
    status, body = ask(port, key[whose])
    assert status == 401
    assert "not its own" in body["error"]["message"]
    assert key[whose] not in json.dumps(body)


def test_the_door_of_an_ended_process_is_nobody_s(shared: World) -> None:
    id_, _ = shared.agent()
    _, port = opened(shared, id_)
    assert ask(port)[0] == 200
    shared.daemon.change(id_, alive=False)
    assert ask(port)[0] == 401


def test_a_door_is_served_until_it_is_shut(shared: World) -> None:
    id_, _ = shared.agent()
    name, port = opened(shared, id_)
    other, kept = opened(shared, id_)
    assert ask(port)[0] == ask(kept)[0] == 200
    shared.daemon.send(Shut(key=name))
    until_refused(port)
    assert ask(kept)[0] == 200
    shared.daemon.send(Doors(keys=[other]))  # as a new daemon begins
    assert ask(kept)[0] == 200
    shared.daemon.send(Doors(keys=[]))
    until_refused(kept)


def test_a_door_that_is_told_again_is_the_same(shared: World) -> None:
    """By the next daemon: two who accept at one would each lose what the other has."""
    id_, _ = shared.agent()
    with socket.create_server(("127.0.0.1", 0)) as sock:
        for _ in range(3):
            shared.daemon.send(Door(key=f"{id_}.again", process=id_), [sock.fileno()])
        port = sock.getsockname()[1]
    assert ask(port)[0] == 200
    shared.daemon.send(Shut(key=f"{id_}.again"))
    until_refused(port)


def test_descriptors_that_are_no_door_do_no_harm(shared: World) -> None:
    id_, key = shared.agent()
    ours, theirs = socket.socketpair()
    with ours, theirs, open("/dev/null", "rb") as file:
        for fds in ([theirs.fileno()], [file.fileno()], [], [theirs.fileno(), file.fileno()]):
            shared.daemon.send(Door(key=f"{id_}.bad{len(fds)}", process=id_), fds)
        shared.daemon.send(Shut(key="unknown"), [file.fileno()])
    assert ask(shared.gateway.port, key)[0] == 200
    _, port = opened(shared, id_)
    assert ask(port)[0] == 200


def until_refused(port: int) -> None:
    until = time.monotonic() + DEADLINE_S
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), DEADLINE_S).close()
        except ConnectionRefusedError:
            return
        time.sleep(0.01)
    raise AssertionError("somebody listens there still")
