"""The keys of an agent that acts: what they say, and every way to say them wrong, with its line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aish.agents import acting
from aish.agents.definition import parse
from aish.errors import SourceError


def page(*head: str) -> str:
    return "\n".join(["---", *head, "---", "Do it."])


def test_tools_make_it_the_built_in_agent() -> None:
    agent = parse(page("tools: [shell, read, read]"), "/x/a.md")
    assert (agent.adapter, agent.permissions) == ("builtin", "ask")
    assert agent.acting is not None
    assert agent.acting.tools == ("shell", "read")
    assert parse(page("tools: []"), "/x/a.md").adapter == "builtin"
    assert parse(page("schema: {type: object}"), "/x/a.md").adapter == "builtin"
    assert parse(page("model: x"), "/x/a.md").acting is None


def test_all_of_it_is_read() -> None:
    agent = parse(
        page(
            "tools: [fetch, write]",
            "temperature: 0",
            "hosts: [Example.org, '*.python.org']",
            "paths: [~/notes, lib, /srv]",
            "permissions: {default: deny, write: allow}",
            "mcp_servers:",
            "  files: {command: server, args: [--root, .], env: {A: b}}",
            "  web: {type: http, url: 'https://example.org/mcp'}",
            "schema: {properties: {n: {type: integer, minimum: 3}}, required: [n]}",
            "environment: {LEVEL: 3, NAME: two words}",
            "secrets: [GH_TOKEN]",
            "limits: {usd: 0.5, requests: 20, context: 8k}",
        ),
        "/home/me/p/.aish/agents/a.md",
    )
    found = agent.acting
    assert found is not None
    assert found.hosts == ("example.org", "*.python.org")
    assert found.paths == (str(Path("~/notes").expanduser()), "/home/me/p/lib", "/srv")
    assert found.permissions == {"default": "deny", "write": "allow"}
    assert found.mcp_servers["files"] == {"command": "server", "args": ["--root", "."], "env": {"A": "b"}}
    assert found.schema == {"properties": {"n": {"type": "integer", "minimum": 3}}, "required": ["n"]}
    assert (agent.environment, agent.secrets) == ({"LEVEL": "3", "NAME": "two words"}, ("GH_TOKEN",))
    assert agent.limits.budget == {"usd": 0.5, "requests": 20, "context": 8000}


def test_paths_are_those_of_the_project(tmp_path: Path) -> None:
    """An agent is found from any folder below: `.mcp.json` must be the same file from all of them."""
    agents = tmp_path / ".aish" / "agents"
    agents.mkdir(parents=True)
    servers = {"mcpServers": {"one": {"command": "x"}}}
    (tmp_path / ".mcp.json").write_text(json.dumps(servers))
    (tmp_path / "answer.json").write_text('{"type": "object"}')
    agent = parse(page("mcp_servers: .mcp.json", "schema: answer.json"), str(agents / "a.md"))
    assert agent.acting is not None
    assert agent.acting.mcp_servers == servers["mcpServers"]
    assert agent.acting.schema == {"type": "object"}
    assert acting.base_folder(str(tmp_path / "a.md")) == str(tmp_path)


WRONG = {
    "a tool that is none": (["tools: [shel]"], "no tool is called shel", "did you mean shell?"),
    "a text for a list": (["tools: shell"], "expected a list", "[shell, read]"),
    "fetch without hosts": (["tools: [fetch]"], "fetch needs hosts", "hosts: ["),
    "a host that is none": (["tools: []", "hosts: ['https://x.org']"], "is no host", "example.org"),
    "a rule for no tool": (["tools: []", "permissions: {shel: ask}"], "no such tool", "did you mean shell?"),
    "a rule that is none": (["tools: []", "permissions: {shell: maybe}"], "expected ask or allow or deny", None),
    "an adapter with tools of its own": (["adapter: program", "tools: [shell]"], "tools: does nothing", "of its own"),
    "a program": (["tools: []", "program: x"], "program: does nothing here", "others wrote"),
    "a key of texts": (["tools: []", "whole_sentences: true"], "does nothing here", "without tools"),
    "a server that is none": (["mcp_servers: {a: {args: [x]}}"], "needs a command, or a url", ".mcp.json"),
    "a server's unknown key": (["mcp_servers: {a: {command: x, arg: [x]}}"], "unknown key arg", "did you mean args?"),
    "no file of servers": (["mcp_servers: nowhere.json"], "cannot be read", None),
    "an answer that is a list": (["schema: {type: array}"], "has to be an object", None),
    "a variable of aish": (["environment: {AISH_ID: p1}"], "AISH_ID is aish's own", None),
    "where models are": (["environment: {OPENAI_BASE_URL: x}"], "aish's own", None),
    "no variable": (["environment: {a-b: x}"], "cannot be a variable", None),
    "a table as a value": (["environment: {A: {b: c}}"], "expected a text", None),
    "a secret that is none": (["secrets: ['A=b']"], "cannot be a variable", None),
}


@pytest.mark.parametrize(("head", "message", "hint"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_told_with_its_line(head: list[str], message: str, hint: str | None) -> None:
    with pytest.raises(SourceError) as caught:
        parse(page(*head), "/x/a.md")
    assert message in caught.value.message
    assert caught.value.line in (2, 3)
    assert hint is None or hint in (caught.value.hint or "")
