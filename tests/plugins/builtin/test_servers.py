"""MCP servers: their tools are called, their processes are the agent's, and gone with it."""

from __future__ import annotations

import asyncio
import http.server
import json
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

import pytest
from mcp.shared.message import SessionMessage

from aish.agents.host.splitting import LINE_BYTES
from aish.errors import InputError, LimitError, RefusedError, UnavailableError
from aish.plugins.builtin import servers
from tests.supervisor.gateway.authority import signed, strict

if TYPE_CHECKING:
    from aish.spi.agent_adapter import Host

    from .conftest import Bench

# By the protocol's own words: a server that needs no library.
SERVER = """
import json, os, sys
open(os.environ["PID_FILE"], "w").write(str(os.getpid()))
for line in sys.stdin:
    asked = json.loads(line)
    method, params = asked.get("method"), asked.get("params") or {}
    if method == "initialize":
        result = {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}},
                  "serverInfo": {"name": "sums", "version": "1"}}
    elif method == "tools/list":
        schema = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}
        result = {"tools": [{"name": "add", "description": "Adds.", "inputSchema": schema}]}
    elif method == "tools/call":
        a, b = params["arguments"].get("a"), params["arguments"].get("b")
        if a == 13:
            os._exit(1)
        told = os.environ.get("OPENAI_API_KEY", "no key")
        text = "a was no number" if a is None else f"{a + b}, {told}, {os.environ.get('GIVEN')}"
        result = {"content": [{"type": "text", "text": text}], "isError": a is None}
    elif "id" in asked:
        error = {"code": -32601, "message": "no"}
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "error": error}), flush=True)
        continue
    else:
        continue
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)
"""


@pytest.fixture
def sums(tmp_path: Path) -> dict[str, object]:
    path = tmp_path / "server.py"
    path.write_text(SERVER)
    env = {"PID_FILE": str(tmp_path / "pid"), "GIVEN": "${GIVEN_BY_TEST:-nothing}"}
    return {"command": sys.executable, "args": [str(path)], "env": env}


class Far(http.server.BaseHTTPRequestHandler):
    """By its URL: it knows nothing."""

    asked: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        self.asked.append(self.path)
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_one_by_its_url_whose_authority_python_finds_too_plain_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From Python 3.13 on it was not, though models of the same company were."""
    root, tls = signed(tmp_path)
    strict(monkeypatch, root)

    async def enter(port: int) -> None:
        (one,) = servers.toolsets({"far": {"url": f"https://127.0.0.1:{port}/mcp"}}, cast("Host", None))
        async with one:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Far) as far:
        far.socket = tls.wrap_socket(far.socket, server_side=True)
        thread = threading.Thread(target=far.serve_forever)
        thread.start()
        try:
            with pytest.raises(UnavailableError, match="far did not start"):
                asyncio.run(enter(far.server_address[1]))
        finally:
            far.shutdown()
            thread.join()
    assert "/mcp" in Far.asked


def call(**arguments: object) -> str:
    return f"call sums_add {json.dumps(arguments)}"


def test_a_tool_of_a_server_is_asked_about_and_called(
    bench: Bench, sums: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.setenv("GIVEN_BY_TEST", "given")
    steps = f"{call(a=2, b=3)} then {call(b=1)} then say 1"
    done = bench.run(steps, rule="ask", answers=("always",), mcp_servers={"sums": sums})
    assert done.answer == "w0"
    assert [each["title"] for each in done.asked] == ["use sums_add"], "always is for the tool"
    assert "5, no key, given" in done.results()[0], "it sees what its entry names, not the key of the agent"
    assert "a was no number" in bench.bodies()[-1]["messages"][-1]["content"]
    pid = int((tmp_path / "pid").read_text())
    assert not Path(f"/proc/{pid}").exists(), "it goes on without its agent"


def test_a_server_that_is_denied_is_not_called(bench: Bench, sums: dict[str, object]) -> None:
    with pytest.raises(RefusedError):
        bench.run(f"{call(a=2, b=3)} then say 1", permissions={"sums_add": "deny"}, mcp_servers={"sums": sums})
    assert bench.desk.asked == []
    assert "denied" in bench.bodies()[-1]["messages"][-1]["content"]


def test_a_server_that_does_not_start(bench: Bench) -> None:
    with pytest.raises(UnavailableError, match="MCP server"):
        bench.run("say 1", mcp_servers={"gone": {"command": "/no/such/server"}})
    with pytest.raises(UnavailableError, match="MCP server") as ended:
        bench.run("say 1", mcp_servers={"gone": {"command": "false"}})
    assert "`aish logs`" in (ended.value.hint or "")
    with pytest.raises(UnavailableError, match="MCP server") as elsewhere:
        bench.run("say 1", mcp_servers={"gone": {"url": "http://127.0.0.1:9/mcp"}})
    assert "aish ps" not in (elsewhere.value.hint or ""), "it is no process of aish"


def test_what_the_supervisor_refuses_is_not_the_fault_of_a_server(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise LimitError("it has 3 processes already", hint="aish limit fix children=4")

    monkeypatch.setattr(type(bench.desk), "helper", refuse)
    with pytest.raises(LimitError, match="it has 3 processes already") as refused:
        bench.run("say 1", mcp_servers={"sums": {"command": "cat"}})
    assert refused.value.hint == "aish limit fix children=4"


def test_a_variable_that_there_is_not(bench: Bench, sums: dict[str, object]) -> None:
    with pytest.raises(InputError, match="NO_SUCH_VARIABLE"):
        bench.run("say 1", mcp_servers={"sums": {**sums, "env": {"A": "${NO_SUCH_VARIABLE}"}}})


def test_a_server_that_dies_in_a_call(bench: Bench, sums: dict[str, object]) -> None:
    """The model is told, and may go on without it."""
    done = bench.run(f"{call(a=13, b=1)} then say 1", mcp_servers={"sums": sums})
    assert done.answer == "w0"
    assert "closed" in bench.bodies()[-1]["messages"][-1]["content"]


BROKEN = """
import json, sys, time
for line in sys.stdin:
    asked = json.loads(line)
    result = {}
    if asked.get("method") == "initialize":
        result = {"protocolVersion": asked["params"]["protocolVersion"], "capabilities": {"tools": {}},
                  "serverInfo": {"name": "broken", "version": "1"}}
        if sys.argv[1] == "words":
            print("\\x1b[31mListening!\\n{\\n[]", flush=True)
    elif asked.get("method") == "tools/list":
        if sys.argv[1] == "silent":
            time.sleep(600)
        schema = {"type": "no such"} if sys.argv[1] == "schema" else {"type": "object", "properties": {}}
        result = {"tools": [{"name": "add", "description": "Adds.", "inputSchema": schema}]}
    elif asked.get("method") == "tools/call":
        if sys.argv[1] == "silent-call":
            time.sleep(600)
        text = "y" * (17 << 20) if sys.argv[1] == "endless" and asked["params"]["arguments"] else "fine"
        result = {"content": [{"type": "text", "text": text}]}
    if "id" in asked:
        print(json.dumps({"result": result, "jsonrpc": "2.0", "id": asked["id"]}), flush=True)
"""


def broken(how: str) -> dict[str, dict[str, object]]:
    return {"sums": {"command": sys.executable, "args": ["-c", BROKEN, how]}}


@pytest.mark.parametrize("how", ["schema", "silent"])
def test_a_server_that_does_not_tell_its_tools(bench: Bench, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """Its fault, by its name, not one of aish."""
    monkeypatch.setattr(servers, "CALL_S", 1.0)
    with pytest.raises(UnavailableError, match="the MCP server sums does not tell its tools") as failed:
        bench.run("say 1", mcp_servers=broken(how))
    assert "\n" not in str(failed.value)


def test_an_answer_without_end_is_told_at_once(bench: Bench) -> None:
    """Which request it was for stands where it was cut off: its call would else wait for as long as one may take."""
    done = bench.run(f"{call(a=1)} then {call()} then say 1", mcp_servers=broken("endless"))
    assert done.answer == "w0"
    results = [each["content"] for each in bench.bodies()[-1]["messages"] if each["role"] == "tool"]
    assert "more than 16,777,216 bytes" in results[0]
    assert results[1] == "fine", "it goes on after that"


def test_what_is_asked_while_the_others_are_told_still_waits() -> None:
    waiting: list[servers.Id] = [1, 2]
    told = servers._messages("y" * LINE_BYTES, waiting)
    found = [next(told)]
    waiting.append(3)
    found += told
    assert [each.message.model_dump()["id"] for each in found if isinstance(each, SessionMessage)] == [1, 2]
    assert waiting == [3], "its answer is still to come"


def test_a_call_that_is_never_answered(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "CALL_S", 1.0)
    done = bench.run(f"{call()} then say 1", mcp_servers=broken("silent-call"))
    assert done.answer == "w0"
    assert "imed out" in bench.bodies()[-1]["messages"][-1]["content"]


def test_words_that_are_no_messages_are_passed_over(bench: Bench) -> None:
    done = bench.run(f"{call()} then say 1", mcp_servers=broken("words"))
    assert done.answer == "w0"
    assert "fine" in done.results()[0]
