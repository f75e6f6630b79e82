"""What a client may do: by its place in the tree, and by what it has started."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest
from mcp.shared.exceptions import MCPError
from mcp.types import Implementation

from aish.wire.spec import BudgetPart

if TYPE_CHECKING:
    from conftest import Home

AGENT = """
import asyncio, json, sys
from mcp import Client, StdioServerParameters, stdio_client
async def main():
    told = {}
    words = json.loads(sys.argv[1])
    words_of_it = ["-P", "-m", "aish", "mcp"]
    server = StdioServerParameters(command=sys.executable, args=words_of_it, env=json.loads(sys.argv[2]))
    async with Client(stdio_client(server)) as client:
        for key, name, arguments in words:
            found = await client.call_tool(name, arguments)
            told[key] = {"text": found.content[0].text, "error": found.is_error, "object": found.structured_content}
    print(json.dumps(told))
asyncio.run(main())
"""


def by_agent(home: Home, calls: list[tuple[str, str, dict[str, Any]]], **fields: Any) -> dict[str, Any]:
    """What the tools answer where a supervised agent has started their server."""
    environ = json.dumps(home.environ)
    command = [sys.executable, "-c", AGENT, json.dumps(calls), environ]
    agent = home.client.spawn(command, kind="agent", name="agent", env=home.environ, **fields)
    end = agent.wait(timeout_s=60)
    lines = [line.text for line in agent.logs()]
    assert end.ok, lines
    return {"id": agent.id} | dict(json.loads(lines[-1]))


def test_a_supervised_agent_sees_and_controls_what_is_below_it(shared_home: Home) -> None:
    other = shared_home.client.spawn(["sleep", "600"], name="sibling")
    told = by_agent(
        shared_home,
        [
            ("too much", "spawn", {"command": ["sleep", "600"], "budget": "200k"}),
            ("child", "spawn", {"command": ["sleep", "600"], "name": "child", "budget": "500"}),
            ("ps", "ps", {}),
            ("stop sibling", "stop", {"process": other.id}),
            ("cancel sibling", "cancel", {"agent": other.id}),
            ("signal sibling", "signal", {"process": "sibling", "signal": "KILL"}),
            ("logs sibling", "logs", {"process": other.id}),
            ("inspect", "inspect", {"process": "child"}),
            ("usage", "usage", {"by": "model"}),
            ("all usage", "usage", {"by": "day"}),
            ("stop itself", "stop", {"process": "agent"}),
            ("cancel itself", "cancel", {"agent": "agent"}),
            ("stop child", "stop", {"process": "child", "grace_s": 0}),
        ],
        budget_tokens=1000,
        budget=BudgetPart(usd=0.5),
    )
    assert "above that of agent itself" in told["too much"]["text"]
    assert not told["child"]["error"], told["child"]
    assert [row["name"] for row in told["ps"]["object"]["processes"]] == ["agent", "child"]
    for key in ("stop sibling", "cancel sibling", "signal sibling", "logs sibling"):
        assert told[key]["error"], told[key]
    assert other.state() == "running"
    id = told["id"]
    assert f"of {id}: tokens 1000, 0 used" in told["inspect"]["object"]["budgets"], (
        "its own budget is above the child's"
    )
    assert f"of {id}: usd 0.5, 0 used" in told["usage"]["object"]["budgets"]
    assert "for the person" in told["all usage"]["text"]
    for key in ("stop itself", "cancel itself"):
        assert "the process that you run in" in told[key]["text"]
    assert told["stop child"]["object"]["process"]["ended"] is True


def test_a_client_of_the_user_ends_only_what_it_has_started(open_tools: Any, go: Any, shared_home: Home) -> None:
    """A model in an editor that ends the training run since it has a name like a dev server's."""

    async def work() -> None:
        train = shared_home.client.spawn(["sleep", "600"], name="train")
        agent = shared_home.client.spawn(["sleep", "600"], name="coder", kind="agent")
        async with open_tools(client_info=Implementation(name="editor", version="1")) as tools:
            script = [sys.executable, "-P", "-m", "aish", "spawn", "--name", "grandchild", "sleep", "600"]
            started = await tools.call("spawn", command=script, name="mine")
            waited = await tools.call("wait", processes=[started["id"]], timeout_s=50)
            assert waited["over"] is True
            for name, arguments in (
                ("stop", {"process": "train"}),
                ("cancel", {"agent": "coder"}),
                ("signal", {"process": train.id, "signal": "TERM"}),
                ("send", {"agent": "coder", "text": "stop"}),
                ("ask", {"agent": agent.id, "text": "stop"}),
            ):
                told = await tools.refusal(name, **arguments)
                assert "this client has not started it" in told, told
            assert {row["name"]: row["mine"] for row in (await tools.call("ps"))["processes"] if row.get("mine")} == {
                "grandchild": True
            }
            assert (await tools.call("ps"))["processes"][0]["name"], "it looks at all"
            await tools.call("stop", process="grandchild", grace_s=0)
        assert train.state() == "running"
        assert agent.mail() == []
        # The same client is known after its restart; another one is another.
        async with open_tools(client_info=Implementation(name="editor", version="2")) as tools:
            found = (await tools.call("ps", all=True, mine=True))["processes"]
            assert {row["id"] for row in found} >= {started["id"]}
        async with open_tools(client_info=Implementation(name="other", version="1")) as tools:
            assert (await tools.call("ps", all=True, mine=True))["processes"] == []

    go(work)


def test_scope_all_is_all_that_the_caller_may(open_tools: Any, go: Any, shared_home: Home) -> None:
    async def work() -> None:
        train = shared_home.client.spawn(["sleep", "600"], name="train")
        async with open_tools("--scope", "all") as tools:
            await tools.call("stop", process="train", grace_s=0)
        assert train.state() == "exited"

    go(work)


def test_read_only_offers_only_looking(open_tools: Any, go: Any) -> None:
    async def work() -> None:
        async with open_tools("--read-only") as tools:
            listed = (await tools.client.list_tools()).tools
            assert [tool.name for tool in listed] == [
                *("ps", "inspect", "why", "wait", "logs", "mail", "usage", "models")
            ]
            assert all(tool.annotations.read_only_hint for tool in listed)
            for name in ("spawn", "cancel", "stop", "send", "ask", "signal"):
                with pytest.raises(MCPError, match="no such tool"):
                    await tools.client.call_tool(name, {"command": ["true"]})

    go(work)


def test_the_names_of_clients_are_labels(open_tools: Any, go: Any, shared_home: Home) -> None:
    """What a client calls itself may be anything, and a label may not."""

    async def work() -> None:
        about = Implementation(name="\n\x1b[31m" + "x" * 1000, version="1")
        async with open_tools(client_info=about) as tools:
            started = await tools.call("spawn", command=["sleep", "600"])
            (row,) = (await tools.call("ps", mine=True))["processes"]
            assert row["id"] == started["id"]
            assert row["labels"]["mcp"].isprintable()
            assert row["labels"]["mcp-folder"] == os.path.realpath(shared_home.root)
            await tools.call("stop", process=started["id"], grace_s=0)

    go(work)
