"""Single requests, as the gateway tells them."""

from __future__ import annotations

import http.client
from pathlib import Path

import msgspec
import pytest

from aish.errors import StorageError, UsageError
from aish.supervisor.gateway import requests
from aish.supervisor.gateway.records import Records
from aish.supervisor.gateway.row import Row
from aish.wire.message import RequestsQuery
from aish.wire.reply import RequestList

from .conftest import World

UNDER_WAY = Row(4, 40.0, 1, "p2", "review-2", "agent", ("p2",), "small", "anthropic", "/v1/messages", agent="review")


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Requests of two processes and one named key; one failed, one hung up."""
    path = str(tmp_path / "gateway.db")
    records = Records(path)
    rows = [
        Row(1, 10.0, 1, "p1", "review", "agent", ("p1",), "small", "openai", "/v1/chat/completions", status=200),
        Row(2, 20.0, 1, "p1", "review", "agent", ("p1",), "large", "openai", "/v1/chat/completions", status=529),
        Row(
            3, 30.0, 1, "key:editor", "editor", None, ("key:editor",), "small", "openai", "/v1/embeddings", status=499
        ),
        Row(5, 50.0, 1, "p3", "tool", "command", ("p3",), "small", "openai", "/v1/completions", status=0),
    ]
    with records.transaction():
        records.put_ended(rows)
    records.close()
    return path


def numbers(path: str, wanted: RequestsQuery) -> list[int]:
    return [part.number for part in requests.query(path, wanted, [UNDER_WAY]).requests]


def test_the_newest_are_told_oldest_first(path: str) -> None:
    found = requests.query(path, RequestsQuery(last=2), [UNDER_WAY])
    assert ([part.number for part in found.requests], found.more) == ([4, 5], True)
    assert requests.query(path, RequestsQuery(last=5), [UNDER_WAY]).more is False


def test_by_process_agent_key_and_model(path: str) -> None:
    """An agent's runs are found by the agent's name, whatever number their own names have."""
    assert numbers(path, RequestsQuery(who=["@review"])) == [1, 2, 4]
    assert numbers(path, RequestsQuery(who=["p3", "key:editor"])) == [3, 5]
    assert numbers(path, RequestsQuery(model="large")) == [2]
    assert numbers(path, RequestsQuery(since_s=25.0, who=["review"])) == [4]
    assert numbers(path, RequestsQuery(who=["' OR 1=1 --"])) == []


def test_a_client_that_hung_up_is_no_failure(path: str) -> None:
    assert numbers(path, RequestsQuery(failed=True)) == [2, 5]


def test_one_under_way_is_told_again_when_it_has_ended(path: str) -> None:
    """Who follows would never see the end of a request that took longer than those after it."""
    found = requests.query(path, RequestsQuery(after=3, last=10), [UNDER_WAY])
    assert [(part.number, part.status) for part in found.requests] == [(4, None), (5, 0)]
    records = Records(path)
    with records.transaction():
        records.put_ended([msgspec.structs.replace(UNDER_WAY, status=200)])
    records.close()
    again = requests.query(path, RequestsQuery(after=5, numbers=[4]), [UNDER_WAY])
    assert [(part.number, part.status) for part in again.requests] == [(4, 200)]


def test_a_page_from_a_number_on_begins_with_the_oldest(path: str) -> None:
    found = requests.query(path, RequestsQuery(after=1, last=2), [UNDER_WAY])
    assert ([part.number for part in found.requests], found.more) == ([2, 3], True)


@pytest.mark.parametrize(
    "wanted",
    [RequestsQuery(last=-1), RequestsQuery(last=10**9), RequestsQuery(who=["x"] * 101)],
)
def test_too_much_at_once_is_refused(path: str, wanted: RequestsQuery) -> None:
    with pytest.raises(UsageError):
        requests.query(path, wanted)


def test_a_number_beyond_64_bits_and_half_a_character(path: str) -> None:
    with pytest.raises(UsageError):
        requests.query(path, RequestsQuery(after=1 << 70))
    with pytest.raises(UsageError):
        requests.query(path, RequestsQuery(who=["\ud800"]))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot read"):
        requests.query(str(tmp_path / "none.db"), RequestsQuery())


def test_each_request_is_told_with_the_servers_figures(shared: World) -> None:
    id, key = shared.agent()
    shared.gateway.chat(key, "say 5")
    status, _, _ = shared.gateway.chat(key, "status 529")
    shared.daemon.settled(id, 2)
    told = shared.daemon.ask(RequestsQuery(who=[id]))
    assert isinstance(told, RequestList)
    first, second = told.requests
    assert (first.status, first.input, first.output, first.estimated) == (200, 3, 5, False)
    assert (first.name, first.model, first.server, first.dialect) == (f"agent-{id}", "small", "p1", "openai")
    assert first.seconds is not None
    assert second.status == status
    assert second.status is not None
    assert second.status >= 500
    assert (second.input, second.output) == (0, 0)


def test_one_that_waits_for_its_server_is_told_as_under_way(shared: World) -> None:
    id, key = shared.agent()
    connection = http.client.HTTPConnection("127.0.0.1", shared.gateway.port, timeout=60)
    body = '{"model": "small", "stream": true, "messages": [{"role": "user", "content": "say 30 pace 1"}]}'
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    connection.request("POST", "/v1/chat/completions", body, headers)
    reply = connection.getresponse()  # its head is here: it is under way
    told = shared.daemon.ask(RequestsQuery(who=[id]))
    assert isinstance(told, RequestList)
    assert [part.status for part in told.requests] == [None]
    reply.close()
    connection.close()
