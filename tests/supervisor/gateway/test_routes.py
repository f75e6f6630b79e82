"""Names to servers, pure."""

from __future__ import annotations

import pytest

from aish.supervisor.gateway.routes import (
    MOST_FOUND,
    Directory,
    Running,
    Server,
    Stored,
    Unknown,
    choose,
    is_local,
    slots,
)
from aish.wire.link import Member, Sync
from aish.wire.spec import RoutePart


def member(id: str, name: str, url: str = "unix:/x", *, alive: bool = True, **route: str) -> Member:
    return Member(id=id, name=name, kind="model", alive=alive, route=RoutePart(url=url, **route))


def directory(*members: Member, stored: tuple[str, ...] = (), default: str = "a") -> Directory:
    made = Directory()
    made.sync(Sync(epoch=1, number=1, members=list(members), default_model=default, embedding_model="b",
                   stored_models=list(stored)))  # fmt: skip
    return made


@pytest.mark.parametrize(
    ("asked", "name"),
    [("a", "a"), ("@a", "a"), ("a:latest", "a"), ("", "a"), ("default", "a"), ("@p1", "a"), ("up", "a"),
     ("b:7", "b:7"), ("org/c", "org/c"), ("org/c:latest", "org/c")],
)  # fmt: skip
def test_names(asked: str, name: str) -> None:
    made = directory(
        member("p1", "a", upstream_name="up"), member("p2", "b:7"), member("p3", "org/c:latest"), member("p4", "b")
    )
    found = made.find(asked)
    assert isinstance(found, Running)
    assert found.name.removesuffix(":latest") == name


def test_what_was_found_is_looked_for_anew_when_the_table_changes() -> None:
    made = directory(member("p1", "a"), stored=("c",))
    assert [server.id for server in made.find("").servers] == ["p1"]
    made.put(member("p2", "a"))
    assert [server.id for server in made.find("").servers] == ["p1", "p2"]
    assert made.find("c") == Stored("c")
    made.put(member("p3", "c"))
    assert isinstance(made.find("c"), Running)
    made.put(member("p1", "a", alive=False))
    assert [server.id for server in made.find("").servers] == ["p2"]
    made.sync(Sync(epoch=1, number=2, members=[member("p3", "c")], default_model="c", embedding_model=""))
    assert isinstance(made.find("a"), Unknown)
    assert made.find("").name == "c"


def test_what_was_found_is_remembered_within_bounds() -> None:
    """Behind a name with a star there is a model for each name that anybody makes up."""
    made = directory(member("p1", "a", upstream_name="x-*"))
    for number in range(MOST_FOUND + 10):
        assert isinstance(made.find(f"x-{number}"), Running)
    assert len(made._running) <= MOST_FOUND


def test_embeddings_have_a_default_of_their_own() -> None:
    made = directory(member("p1", "a"), member("p2", "b"))
    found = made.find("", embedding=True)
    assert isinstance(found, Running)
    assert found.name == "b"
    assert made.find("a", embedding=True).name == "a"


def test_stored_and_unknown() -> None:
    made = directory(member("p1", "smollm2"), stored=("bigger:7b",))
    assert made.find("bigger:7b") == Stored("bigger:7b")
    assert made.find("smollm") == Unknown("smollm", "smollm2", ("smollm2", "bigger:7b"))
    assert made.find("bigger") == Unknown("bigger", "bigger:7b", ("smollm2", "bigger:7b"))
    assert isinstance(Directory().find(""), Unknown)


def test_a_running_model_goes_before_a_stored_one_of_the_same_name() -> None:
    made = directory(member("p1", "a"), stored=("a",))
    assert isinstance(made.find("a"), Running)
    assert made.names() == ("a",)


def test_only_living_models_with_a_route_are_servers() -> None:
    made = directory(
        member("p1", "a", alive=False),
        Member(id="p2", name="b", kind="model"),
        Member(id="p3", name="c", kind="agent", route=RoutePart(url="unix:/x")),
    )
    assert made.servers == {}


def test_what_was_learned_stays_until_the_route_changes() -> None:
    made = directory(member("p1", "a", "http://127.0.0.1:1/v1"))
    server = made.servers["p1"]
    server.ready = "yes"
    assert made.put(member("p1", "a", "http://127.0.0.1:1/v1")).appeared == ()
    assert made.servers["p1"] is server
    changed = made.put(member("p1", "a", "http://127.0.0.1:2/v1"))
    assert changed.vanished == (server,)
    assert changed.appeared[0].ready == "no"
    assert made.put(member("p1", "a", alive=False)).ended == ("p1",)
    assert made.put(member("p1", "a", alive=False)).ended == ()


def test_a_sync_removes_who_is_gone_and_a_new_epoch_everybody() -> None:
    made = directory(member("p1", "a"), member("p2", "b"))
    first = made.servers["p1"]
    again = Sync(epoch=1, number=2, members=[member("p1", "a")], default_model="a", embedding_model="a")
    assert made.sync(again).ended == ("p2",)
    assert made.servers["p1"] is first
    fresh = Sync(epoch=2, number=1, members=[member("p1", "a")], default_model="a", embedding_model="a")
    changed = made.sync(fresh)
    assert changed.ended == ("p1",)
    assert changed.vanished == (first,)
    assert made.servers["p1"] is not first


def test_the_least_busy_ready_server_is_chosen() -> None:
    servers = [Server(f"p{n}", "a", "unix:/x", slots=2) for n in range(3)]
    assert choose(servers) is None
    for server, busy in zip(servers, (2, 1, 0), strict=True):
        server.in_flight = busy
    servers[0].ready = servers[1].ready = "yes"
    assert choose(servers) is servers[1]
    servers[0].slots = None
    servers[1].in_flight = 2
    assert choose(servers) is servers[0], "a full one only when all are"
    assert slots(servers) == {"p0": None, "p1": 2}


@pytest.mark.parametrize(
    ("url", "local"),
    [("unix:/x", True), ("http://127.0.0.1:1/v1", True), ("http://localhost/v1", True), ("http://[::1]:5/v1", True),
     ("https://api.example/v1", False), ("http://127.0.0.1.example/v1", False), ("http://localhost@evil/v1", False)],
)  # fmt: skip
def test_local_addresses(url: str, local: bool) -> None:
    assert is_local(url) is local
