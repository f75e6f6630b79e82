"""The listening side: who is let in, what is too large, which keys are good, what our own paths tell."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aish.wire import key as derived
from aish.wire.message import KeyList, KeyNew, KeyRevoke, Limit, UsageQuery
from aish.wire.reply import Done, Failure, KeyMade, Keys, UsageTable

if TYPE_CHECKING:
    from .conftest import World


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "0.0.0.0"])
def test_a_foreign_host_is_refused_so_that_dns_rebinding_gets_nowhere(shared: World, host: str) -> None:
    status, body, _ = shared.gateway.call("/v1/models", key=shared.agent()[1], headers={"Host": host})
    assert status == 403
    assert body["error"]["code"] == "refused"


def test_two_hosts_are_none(shared: World) -> None:
    """The first of them decided alone."""
    with socket.create_connection(("127.0.0.1", shared.gateway.port), timeout=60) as raw:
        raw.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
        assert raw.makefile("rb").readline().split()[1] == b"403"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:9999", "LOCALHOST", "[::1]:80"])
def test_the_loopback_s_names_are_good(shared: World, host: str) -> None:
    assert shared.gateway.call("/v1/models", key=shared.agent()[1], headers={"Host": host})[0] == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1"])
def test_web_pages_are_refused(shared: World, origin: str) -> None:
    assert shared.gateway.call("/v1/models", key=shared.agent()[1], headers={"Origin": origin})[0] == 403


def test_health_needs_no_key(shared: World) -> None:
    assert shared.gateway.call("/health") == (200, {"status": "ok"}, shared.gateway.call("/health")[2])


def test_keys_that_are_not_good(shared: World) -> None:
    id, good = shared.agent()
    assert shared.gateway.call("/v1/models", key=good)[0] == 200
    other = derived.derive(b"x" * 32, id, 1)
    later = derived.derive(shared.secret, id, 2)
    for bad, told in (
        (None, "no API key"),
        ("sk-aish-nothing", "unknown API key"),
        (other, "unknown API key"),
        (good[:-1] + ("A" if good[-1] != "A" else "B"), "unknown API key"),
        (later, "earlier process table"),
        (derived.derive(shared.secret, "p999", 1), "no process p999"),
    ):
        status, body, headers = shared.gateway.call("/v1/models", key=bad)
        assert (status, body["error"]["code"]) == (401, "invalid_api_key"), bad
        assert told in body["error"]["message"]
        assert headers["WWW-Authenticate"] == "Bearer"


def test_the_key_of_an_ended_process_is_refused(shared: World) -> None:
    id, key = shared.agent()
    assert shared.gateway.call("/v1/models", key=key)[0] == 200
    shared.daemon.change(id, alive=False)
    shared.daemon.ask(KeyList())  # answered after the Delta before it
    status, body, _ = shared.gateway.call("/v1/models", key=key)
    assert status == 401
    assert "has ended" in body["error"]["message"]


def test_a_process_that_asks_before_the_daemon_told_of_it_waits_a_moment(shared: World) -> None:
    import threading

    key = derived.derive(shared.secret, "p77", 1)
    statuses: list[int] = []
    thread = threading.Thread(target=lambda: statuses.append(shared.gateway.call("/v1/models", key=key)[0]))
    thread.start()
    shared.daemon.agent("p77")
    thread.join(20)
    assert statuses == [200]


def test_azure_s_and_anthropic_s_headers_carry_keys_too(shared: World) -> None:
    key = shared.agent()[1]
    for name in ("api-key", "x-api-key"):
        assert shared.gateway.call("/v1/models", headers={name: key})[0] == 200


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", None),
        (b"[]", None),
        (b'{"model": "small"', None),
        (b'{"model": 7, "messages": []}', "model"),
        (b'{"model": "small"}', "messages"),
        (b'{"messages": [], "stream": "yes"}', "stream"),
        (b'{"messages": [], "n": 0}', "n"),
        (b'{"messages": [], "stream": true, "stream_options": 5}', "stream_options"),
        (b'{"messages": []}', "messages"),
        (b'{"messages": [{"role": "user", "content": "hi"}], "max_tokens": 100000000000000000000}', "max_tokens"),
        (b"[" * 100_000, None),
        (b'{"messages": "\xff"}', None),
    ],
)
def test_malformed_requests_name_the_field(shared: World, body: bytes, param: str | None) -> None:
    id, key = shared.agent()
    status, answer, _ = shared.gateway.call("/v1/chat/completions", body, key)
    assert (status, answer["error"]["type"], answer["error"]["param"]) == (400, "invalid_request_error", param)
    assert shared.daemon.settled(id, 1).tokens.input == 0


def test_a_body_above_the_bound_is_refused_before_it_is_read(shared: World) -> None:
    key = shared.agent()[1]
    connection = http.client.HTTPConnection("127.0.0.1", shared.gateway.port, timeout=60)
    connection.putrequest("POST", "/v1/chat/completions")
    connection.putheader("Authorization", f"Bearer {key}")
    connection.putheader("Content-Length", str(65 << 20))
    connection.endheaders()
    reply = connection.getresponse()
    assert reply.status == 413
    assert json.loads(reply.read())["error"]["code"] == "too_large"
    connection.close()


def test_a_body_that_is_not_encoded_as_its_header_says_is_the_client_s_fault(shared: World) -> None:
    """It was a 500: 'the gateway failed'."""
    key = shared.agent()[1]
    plain = json.dumps({"model": "small", "messages": [{"role": "user", "content": "say 1"}]}).encode()
    for encoding in ("gzip", "deflate"):
        status, body, _ = shared.gateway.call("/v1/chat/completions", plain, key, {"Content-Encoding": encoding})
        assert (status, body["error"]["type"]) == (400, "invalid_request_error"), body
        assert "cannot be read" in body["error"]["message"]
    encoded = {"Content-Encoding": "gzip"}
    assert shared.gateway.call("/v1/chat/completions", gzip.compress(plain), key, encoded)[0] == 200
    cut = gzip.compress(plain * 100)[:-20]
    assert shared.gateway.call("/v1/chat/completions", cut, key, encoded)[0] == 400
    assert "fault" not in shared.gateway.read_log()


def test_a_zip_bomb_is_refused_within_the_bound(shared: World) -> None:
    """2 GiB in two megabytes: no more of it is taken apart than the bound of a body."""
    key = shared.agent()[1]
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    head = packer.compress(b" ") + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(32 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)  # needs nothing of what is before it
    bomb = head + 64 * block + packer.flush()
    before = peak_bytes(shared.gateway.pid)
    assert shared.gateway.call("/v1/chat/completions", bomb, key, {"Content-Encoding": "gzip"})[0] == 413
    assert peak_bytes(shared.gateway.pid) - before < 300 << 20


def peak_bytes(pid: int) -> int:
    """The most memory that the process ever had."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) << 10


@pytest.mark.parametrize("kind", ["web_search\r\nSet-Cookie: a=b", "web_search é\x00"])
def test_words_of_a_client_come_back_in_a_header_as_a_header_may_have_them(shared: World, kind: str) -> None:
    """They were a fault of ours, after the model had answered."""
    function = {"type": "function", "name": "f", "parameters": {"type": "object"}}
    body = json.dumps({"model": "small", "input": "say 1", "tools": [function, {"type": kind}]})
    status, _, headers = shared.gateway.call("/v1/responses", body.encode("utf-8"), shared.agent()[1])
    assert (status, headers["x-aish-left-out"][:10]) == (200, "web_search")
    assert "Set-Cookie" not in headers
    assert "fault" not in shared.gateway.read_log()


def test_headers_without_end_are_refused(shared: World) -> None:
    with socket.create_connection(("127.0.0.1", shared.gateway.port), timeout=60) as raw:
        raw.sendall(b"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * (64 << 10))
        assert b" 400 Bad Request" in raw.recv(4096)
    assert "xxx" not in shared.gateway.read_log(), "what clients send does not belong into the log"


def test_the_head_of_a_list_is_that_of_the_list(shared: World) -> None:
    """It was refused with 405; some look by it whether an address is there."""
    key = shared.agent()[1]
    connection = http.client.HTTPConnection("127.0.0.1", shared.gateway.port, timeout=60)
    lengths = []
    for method in ("HEAD", "GET"):
        connection.request(method, "/v1/models", headers={"Authorization": f"Bearer {key}"})
        reply = connection.getresponse()
        lengths.append((reply.status, reply.headers["Content-Length"], len(reply.read()) > 0))
    connection.close()
    assert lengths == [(200, lengths[1][1], False), (200, lengths[1][1], True)]


def test_unknown_paths_and_methods_are_told_in_openai_s_shape(shared: World) -> None:
    key = shared.agent()[1]
    for path, body in (("/v1/nothing", None), ("/v1/images/generations", {}), ("/nothing", None)):
        status, answer, _ = shared.gateway.call(path, body, key)
        assert (status, answer["error"]["code"]) == (404, "not_found")
    status, answer, headers = shared.gateway.call("/v1/chat/completions", None, key)
    assert (status, headers["Allow"]) == (405, "POST")
    assert "takes POST, not GET" in answer["error"]["message"]
    status, answer, _ = shared.gateway.call("/v1/models/smal", key=key)
    assert (status, answer["error"]["code"]) == (404, "model_not_found")


# --- our own paths and the daemon's questions -----------------------------------------------------------------------


HEAD = "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"


@pytest.mark.parametrize(
    "request_bytes",
    [
        "nonsense\r\n\r\n",
        "GET /v1/models HTTP/9\r\n\r\n",
        "GET /v1/models HTTP/1.1\r\nHost 127.0.0.1\r\n\r\n",
        HEAD + "Content-Length: many\r\n\r\n{{}}",
        HEAD + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n{{}}\r\n0\r\n\r\n",
        HEAD + "Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}too long\r\n0\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
    ids=["no request line", "version", "header", "length", "chunk size", "chunk end", "TLS"],
)
def test_what_is_no_http_is_answered_in_the_shape_of_every_other_error(shared: World, request_bytes: str) -> None:
    """A client library shows the message of a JSON error; plain text it reports as a broken server."""
    key = shared.agent()[1]
    with socket.create_connection(("127.0.0.1", shared.gateway.port), timeout=60) as raw:
        raw.sendall(request_bytes.format(key=key).encode("latin-1"))
        reply = http.client.HTTPResponse(raw)
        reply.begin()
        error = json.loads(reply.read())["error"]
    assert (reply.status, reply.headers["Content-Type"]) == (400, "application/json")
    assert error["type"] == "invalid_request_error"
    assert error["message"]
    assert key not in shared.gateway.read_log()


def test_tokens_of_a_text_are_exact_where_the_server_can_count(shared: World) -> None:
    key = shared.agent()[1]
    status, body, _ = shared.gateway.call("/v1/aish/tokens", {"model": "small", "text": "one two three"}, key)
    assert (status, body) == (200, {"tokens": 3, "exact": True, "context_tokens": 4096})
    status, body, _ = shared.gateway.call("/v1/aish/tokens", {"model": "nobody", "text": ""}, key)
    assert status == 404
    status, body, _ = shared.gateway.call("/v1/aish/tokens", {"model": "small"}, key)
    assert status == 400


def test_a_body_that_is_too_deep_is_the_client_s_fault(shared: World) -> None:
    key = shared.agent()[1]
    deep = b'{"text":"","x":' + b"[" * 200_000
    for path in ("/v1/aish/tokens", "/v1/chat/completions", "/v1/embeddings"):
        status, body, _ = shared.gateway.call(path, deep, key)
        assert (status, body["error"]["type"]) == (400, "invalid_request_error"), path


def test_the_most_that_can_be_asked_for_fits_the_records(shared: World) -> None:
    """More prompts than any client sends were more tokens than a row can hold: a 500."""
    id, key = shared.agent()
    most = {"model": "small", "n": 128, "max_tokens": 1 << 40}
    status, body, _ = shared.gateway.call("/v1/completions", {**most, "prompt": [""] * (1 << 20)}, key)
    assert (status, body["error"]["param"]) == (400, "prompt")
    assert shared.gateway.call("/v1/completions", {**most, "prompt": ["a"] * 2048}, key)[0] == 200
    shared.daemon.settled(id, 2)


def test_a_name_of_a_model_that_is_too_long_is_not_recorded(shared: World) -> None:
    id, key = shared.agent()
    name = "m" * (1 << 20)
    for path, body in (
        ("/v1/chat/completions", {"model": name, "messages": []}),
        ("/v1/aish/tokens", {"model": name, "text": ""}),
    ):
        status, reply, _ = shared.gateway.call(path, body, key)
        assert (status, reply["error"]["param"]) == (400, "model")
        assert len(reply["error"]["message"]) < 200
    shared.daemon.settled(id, 1)
    assert [row["model"] for row in shared.gateway.rows(f"process = '{id}'")] == [""]


def test_a_key_sees_its_own_usage(shared: World) -> None:
    id, key = shared.agent(budget=1000)
    shared.gateway.chat(key, "say 5")
    status, body, _ = shared.gateway.call("/v1/aish/usage", key=key)
    assert status == 200
    assert body == {
        "id": id,
        "name": f"agent-{id}",
        "input_tokens": 3,
        "output_tokens": 5,
        "estimated_tokens": 0,
        "requests": 1,
        "cached_tokens": 0,
        "reasoning_tokens": 0,
        "cost_usd": 0.0,
        "budget_tokens": 1000,
        "budget": {},
        "left_tokens": 992,
    }


def test_named_keys_are_made_listed_limited_and_revoked(shared: World) -> None:
    made = shared.daemon.ask(KeyNew(name="editor", budget_tokens=1000))
    assert isinstance(made, KeyMade)
    assert made.base_url == f"{shared.gateway.url}/v1"
    assert shared.gateway.chat(made.key, "say 5")[0] == 200
    listed = shared.daemon.ask(KeyList())
    assert isinstance(listed, Keys)
    (part,) = [part for part in listed.keys if part.name == "editor"]
    assert (part.tokens.input, part.tokens.output, part.budget_tokens, part.revoked) == (3, 5, 1000, False)
    assert isinstance(shared.daemon.ask(Limit(target="key:editor", tokens="+500")), Done)
    assert shared.gateway.call("/v1/aish/usage", key=made.key)[1]["budget_tokens"] == 1500
    assert made.key not in (shared.gateway.state / "gateway.db").read_bytes().decode("latin-1")
    assert made.key not in shared.gateway.read_log()

    again = shared.daemon.ask(KeyNew(name="editor"))
    assert isinstance(again, Failure)
    assert again.code == "conflict"
    assert shared.daemon.ask(KeyNew(name="no spaces")).code == "usage"
    assert shared.daemon.ask(KeyRevoke(name="edit")).hint == "did you mean editor?"
    assert shared.daemon.ask(KeyRevoke(name="editor")).changed is True
    assert shared.daemon.ask(KeyRevoke(name="editor")).changed is False
    status, body, _ = shared.gateway.chat(made.key, "say 5")
    assert status == 401
    assert "revoked" in body["error"]["message"]


def test_usage_is_summed_by_process_model_and_agent(shared: World) -> None:
    id, key = shared.agent()
    for _ in range(3):
        shared.gateway.chat(key, "say 5")
    shared.gateway.chat(key, "status 500")
    shared.daemon.settled(id, 4)
    for by, row_key in (("process", id), ("agent", f"agent-{id}"), ("model", "small")):
        table = shared.daemon.ask(UsageQuery(by=by))
        assert isinstance(table, UsageTable)
        (row,) = [row for row in table.rows if row.key == row_key]
        assert row.tokens.requests >= 4
        if by != "model":
            assert (row.tokens.input, row.tokens.output, row.failures, row.model) == (9, 15, 1, "small")
            assert row.seconds > 0
    assert shared.daemon.ask(UsageQuery(by="colour")).code == "usage"
    assert shared.daemon.ask(UsageQuery(by="process", since_s=4e9)).rows == []


def test_usage_by_agent_has_everybody_once(shared: World) -> None:
    """Stages that run the same agent at once are one agent; a named key or a command is there by its own name."""
    numbered = []
    for name in ("twice", "twice-2"):
        id, key = shared.agent()
        shared.daemon.change(id, name=name, agent="twice")
        shared.gateway.chat(key, "say 5")
        numbered.append(id)
    command, command_key = shared.agent()
    shared.daemon.change(command, name="embeds", kind="command", agent=None)
    shared.gateway.chat(command_key, "say 5")
    made = shared.daemon.ask(KeyNew(name="env"))
    assert isinstance(made, KeyMade)
    shared.gateway.chat(made.key, "say 5")
    for id in (*numbered, command):
        shared.daemon.settled(id, 1)
    tables = {by: shared.daemon.ask(UsageQuery(by=by)).rows for by in ("agent", "process")}
    rows = {row.key: (row.name, row.tokens.requests) for row in tables["agent"]}
    assert rows["twice"] == ("twice", 2)
    assert rows["embeds"] == ("embeds", 1)
    assert rows["key:env"] == ("env", 1)
    assert "twice-2" not in rows
    requests = [sum(row.tokens.requests for row in table) for table in tables.values()]
    assert requests[0] == requests[1]
