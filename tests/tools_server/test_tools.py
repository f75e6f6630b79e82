"""Every tool once, against a real supervisor."""

from __future__ import annotations

import asyncio
import stat
import sys
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from mcp.shared.exceptions import MCPError

from aish.tools.tool import TOOLS

if TYPE_CHECKING:
    from conftest import Home

    from aish.plugins.simprovider.thread import Running

ECHO = """
import sys
from aish.client import Aish
with Aish(start=False) as aish:
    while (mail := aish.receive()) is not None:
        aish.respond(mail.number, mail.text.upper(), status=3 if mail.text == "fail" else 0)
"""


def test_what_is_listed_is_for_models(open_tools: Any, go: Any) -> None:
    """A tool without bounds, hints or a schema of its answer would be called wrongly, or without asking."""

    async def work() -> None:
        async with open_tools() as tools:
            listed = {tool.name: tool for tool in (await tools.client.list_tools()).tools}
            assert list(listed) == [tool.name for tool in TOOLS]
            for tool in listed.values():
                for schema in (tool.input_schema, tool.output_schema):
                    jsonschema.Draft202012Validator.check_schema(schema)
                    assert schema["type"] == "object"
                    assert "$ref" not in str(schema)
                assert tool.input_schema["additionalProperties"] is False
                for name, said in tool.input_schema["properties"].items():
                    assert said.get("description"), f"{tool.name}: {name} is not explained"
                    assert _bounded(said), f"{tool.name}: {name} has no bound"
            hints = {name: tool.annotations for name, tool in listed.items()}
            assert {name for name, hint in hints.items() if hint.destructive_hint} == {"cancel", "stop", "signal"}
            assert {name for name, hint in hints.items() if not hint.read_only_hint} == {
                *("spawn", "send", "ask", "cancel", "stop", "signal")
            }
            assert "Only the person can" in (tools.client.instructions or "")

    go(work)


def _bounded(said: dict[str, Any]) -> bool:
    if said["type"] == "boolean" or "enum" in said:
        return True
    bounds = {"string": ("maxLength", "pattern"), "array": ("maxItems",), "object": ("maxProperties",)}
    return any(word in said for word in bounds.get(said["type"], ("maximum", "minimum")))


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_a_process_from_its_start_to_its_end(open_tools: Any, go: Any, mode: str) -> None:
    """Both eras of the protocol: with the handshake, and without."""

    async def work() -> None:
        async with open_tools(mode=mode) as tools:
            started = await tools.call("spawn", command=["sh", "-c", "echo up; exec sleep 600"], labels={"a": "b"})
            id = started["id"]
            assert started["state"] in ("running", "starting")
            (row,) = (await tools.call("ps", mine=True, labels={"a": "b"}))["processes"]
            assert (row["id"], row["mine"], row["kind"]) == (id, True, "command")
            about = await tools.call("inspect", process=id)
            assert about["command"] == ["sh", "-c", "echo up; exec sleep 600"]
            assert (await tools.call("why", process=id))["state"] == "running"
            waited = await tools.call("wait", processes=[id], until="ready")
            assert waited["over"] is True
            waited = await tools.call("wait", processes=[id], timeout_s=0)
            assert (waited["over"], waited["processes"][0]["state"]) == (False, "running")
            await tools.call("signal", process=id, signal="WINCH")
            ended = (await tools.call("stop", process=id, grace_s=0))["process"]
            assert (ended["ended"], ended["exit"]) == (True, "signal 9 (cancelled)")
            waited = await tools.call("wait", processes=[id])
            assert waited["over"] is True
            assert [row["id"] for row in (await tools.call("ps", all=True, mine=True))["processes"]].count(id) == 1

    go(work)


def test_what_is_asked_for_is_what_runs(open_tools: Any, go: Any, shared_home: Home) -> None:
    """Folder, name, limits and time-out must reach the process, and be shown as they are."""

    async def work() -> None:
        (shared_home.root / "sub").mkdir()
        async with open_tools() as tools:
            started = await tools.call(
                "spawn",
                command=["sh", "-c", "pwd; exec sleep 600"],
                name="here",
                cwd="sub",
                budget="tokens=5k,usd=2",
                memory="1G",
                timeout="10m",
            )
            about = await tools.call("inspect", process="here")
            assert started["name"] == "here"
            assert about["folder"] == str(shared_home.root / "sub")
            assert about["limits"] | {"memory": "1.0G", "timeout": "600 s"} == about["limits"]
            assert f"of {started['id']}: usd 2, 0 used" in about["budgets"]
            second = await tools.call("spawn", command=["sleep", "600"], timeout="1s")
            waited = await tools.call("wait", processes=[second["id"]])
            assert "timeout" in waited["processes"][0]["exit"]

    go(work)


def test_a_log_is_bounded_and_goes_on_where_the_last_answer_ended(
    open_tools: Any, go: Any, shared_home: Home
) -> None:
    script = r"""
import os, sys, time
os.write(1, b"x" * 300_000 + b"\n" + b"\xff\x1b[31mred\x1b[0m\n")
os.write(2, b"bad\n")
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
os.write(1, b"".join(b"line %d\n" % number for number in range(20_000)))
"""
    gate = shared_home.root / "gate"

    async def work() -> None:
        async with open_tools() as tools:
            started = await tools.call("spawn", command=[sys.executable, "-c", script, str(gate)])
            id = started["id"]
            first = await tools.call("logs", process=id, stream="stderr")
            while not first["lines"]:
                first = await tools.call("logs", process=id, stream="stderr")
            assert first["lines"] == ["bad"]
            first = await tools.call("logs", process=id, stream="stdout")
            assert [line[:4] for line in first["lines"]] == ["xxxx", "�red"]
            assert len(first["lines"][0]) < 2100
            gate.touch()
            await tools.call("wait", processes=[id])
            found, more, after = [], True, first["after"]
            while more:
                page = await tools.call("logs", process=id, last=2000, after=after)
                assert sum(map(len, page["lines"])) < 70_000
                found += page["lines"]
                more, after = page.get("more", False), page["after"]
            assert [line for line in found if line != "bad"] == [f"line {number}" for number in range(20_000)]
            last = await tools.call("logs", process=id, last=2, grep="7$")
            assert last["lines"] == ["line 19987", "line 19997"]
            assert "not a position" in await tools.refusal("logs", process=id, after="here")

    go(work)


def test_an_agent_that_runs_is_written_to_and_asked(open_tools: Any, go: Any, shared_home: Home) -> None:
    async def work() -> None:
        agent = shared_home.client.spawn([sys.executable, "-c", ECHO], kind="agent", name="upper")
        async with open_tools("--scope", "all") as tools:
            sent = await tools.call("send", agent="@upper", text="first")
            (message,) = (await tools.call("mail", number=sent["number"], timeout_s=20))["messages"]
            assert (message["state"], message["answer"]) == ("answered", "FIRST")
            answer = await tools.call("ask", agent="upper", text="fail")
            assert (answer["over"], answer["answer"], answer["status"]) == (True, "FAIL", 3)
            assert [each["body"] for each in (await tools.call("mail", agent="upper"))["messages"]] == [
                "first",
                "fail",
            ]
            agent.signal("STOP")
            answer = await tools.call("ask", agent="upper", text="late", timeout_s=0.1)
            assert answer["over"] is False
            agent.signal("CONT")
            (message,) = (await tools.call("mail", number=answer["number"], timeout_s=20))["messages"]
            assert message["answer"] == "LATE"
        agent.stop(grace_s=0)

    go(work)


@pytest.mark.slow
def test_an_agent_that_does_not_run_is_run_for_the_question(open_tools: Any, go: Any, shared_home: Home) -> None:
    folder = shared_home.root / ".aish" / "agents"
    folder.mkdir(parents=True)
    (folder / "shout.md").write_text("---\nadapter: program\nprogram: ./shout\n---\n")
    program = shared_home.root / "shout"
    program.write_text("#!/bin/sh\ntr a-z A-Z\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)

    async def work() -> None:
        async with open_tools() as tools:
            assert {"name": "shout", "kind": "agent"} in (await tools.call("models"))["askable"]
            answer = await tools.call("ask", agent="shout", text="hello you")
            assert (answer["over"], answer["answer"], answer["status"]) == (True, "HELLO YOU", 0)
            started = await tools.call("spawn", command=["@shout", "again"])
            await tools.call("wait", processes=[started["id"]])
            assert (await tools.call("logs", process=started["id"], stream="stdout"))["lines"] == ["AGAIN"]
            assert "no agent or model is called" in await tools.refusal("spawn", command=["@shuot", "again"])
            assert "nobody" in await tools.refusal("ask", agent="nobody", text="hello")

    go(work)


def test_usage_and_resources(open_tools: Any, go: Any) -> None:
    async def work() -> None:
        async with open_tools() as tools:
            assert (await tools.call("usage", by="model", since="2h"))["sums"] == []
            started = await tools.call("spawn", command=["echo", "hello"], name="said")
            await tools.call("wait", processes=["said"])
            (log,) = (await tools.client.read_resource(f"aish://process/{started['id']}/log")).contents
            assert log.text.startswith("hello\n")
            (tree,) = (await tools.client.read_resource("aish://ps")).contents
            assert tree.text
            with pytest.raises(MCPError, match="no process is called nobody"):
                await tools.client.read_resource("aish://process/nobody/log")
            with pytest.raises(MCPError, match="no such resource"):
                await tools.client.read_resource("aish://keys")

    go(work)


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("spawn", {"command": "ls -l"}, '["sh", "-c", '),
    ("spawn", {"command": []}, "length >= 1"),
    ("spawn", {"comand": ["ls"]}, "did you mean command?"),
    ("spawn", {"command": ["ls"], "memory": "lots"}, "lots"),
    ("spawn", {"command": ["ls"], "budget": "euro=5"}, "no such limit: euro"),
    ("spawn", {"command": ["ls"], "model": "x"}, "model is for @NAME"),
    ("spawn", {"command": ["ls"], "labels": {"mcp": "x"}}, "set by these tools"),
    ("spawn", {"command": ["no-such-program-here"]}, "no-such-program-here"),
    ("spawn", {"command": ["ls", "a\0b"]}, "NUL"),
    ("wait", {"processes": ["x"], "timeout_s": 500}, "<= 50"),
    ("wait", {"processes": ["x"], "until": "ready", "any": True}, "any is not for until=ready"),
    ("logs", {"process": "x", "last": 10**9}, "<= 2000"),
    ("inspect", {"process": "nobody"}, "no process is called nobody"),
    ("inspect", {}, "missing required field `process`"),
    ("send", {"agent": "x", "text": None}, "missing required field `text`"),
    ("usage", {"since": "yesterday"}, "not a duration"),
    ("signal", {"process": "x", "signal": "rm -rf"}, "INT, HUP, USR1"),
]


def test_what_is_wrong_is_told_so_that_a_model_can_mend_it(open_tools: Any, go: Any) -> None:
    async def work() -> None:
        async with open_tools() as tools:
            for name, arguments, told in WRONG:
                refused = await tools.refusal(name, **arguments)
                assert told in refused, (name, arguments, refused)

    go(work)


def test_a_tool_that_there_is_not(open_tools: Any, go: Any) -> None:
    async def work() -> None:
        async with open_tools() as tools:
            with pytest.raises(MCPError, match="did you mean stop"):
                await tools.client.call_tool("stopp", {})
            with pytest.raises(MCPError, match="no such tool: answer"):
                await tools.client.call_tool("answer", {"number": 1, "option": "allow"})

    go(work)


def test_a_turn_ends_and_its_agent_goes_on(open_tools: Any, go: Any, shared_home: Home, sim: Running) -> None:
    """Who could only send INT had to know what an agent makes of it."""
    folder = shared_home.root / ".aish" / "agents"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "talks.md").write_text("---\nmodel: sim\ntools: []\n---\nAnswer.")

    async def work() -> None:
        async with open_tools() as tools:
            await tools.call("spawn", command=["@talks"], name="coder")
            answer = await tools.call("ask", agent="coder", text="say 2", timeout_s=45)
            assert answer["answer"] == "w0 w1"
            assert (await tools.call("cancel", agent="coder"))["cancelled"] is False, "between its turns"
            sent = await tools.call("send", agent="coder", text="say 900 pace 0.2")
            await asyncio.to_thread(_busy, sim)
            found = await tools.call("cancel", agent="@coder")
            assert (found["cancelled"], found["process"]["name"]) == (True, "coder")
            (message,) = (await tools.call("mail", number=sent["number"], timeout_s=45))["messages"]
            assert (message["state"], message["status"]) == ("answered", 130)
            answer = await tools.call("ask", agent="coder", text="say 3", timeout_s=45)
            assert answer["answer"] == "w0 w1 w2"
            await tools.call("stop", process="coder", grace_s=0)

    go(work)


def _busy(sim: Running) -> None:
    with sim.provider.changed:
        assert sim.provider.changed.wait_for(lambda: sim.provider.busy > 0, 30)
