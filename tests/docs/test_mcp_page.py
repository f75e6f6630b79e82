"""The page about MCP: each client's configuration can be read by it and starts the server; every tool is told."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

from aish.tools import arguments
from aish.tools.tool import TOOLS

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "mcp.md").read_text()
BLOCKS: list[tuple[str, str]] = re.findall(r"^```(json|toml)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_each_configuration_is_well_formed_and_starts_the_server() -> None:
    read = {"json": json.loads, "toml": tomllib.loads}
    claude, codex, opencode = (read[kind](text) for kind, text in BLOCKS)
    words: Any = claude["mcpServers"]["aish"]
    assert [words["command"], *words["args"]] == ["aish", "mcp"]
    words = codex["mcp_servers"]["aish"]
    assert [words["command"], *words["args"]] == ["aish", "mcp"]
    assert (opencode["mcp"]["aish"]["type"], opencode["mcp"]["aish"]["command"]) == ("local", ["aish", "mcp"])


def test_every_tool_has_its_row() -> None:
    table = PAGE.split("## Tools")[1].split("\n\n")[1]
    rows = [line.split("|")[1] for line in table.splitlines()[2:]]
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == {tool.name for tool in TOOLS}


def test_the_bounds_are_as_told() -> None:
    assert f"Waits end after {arguments.MOST_WAIT_S:.0f} s" in PAGE
    assert f"at most {arguments.MOST_LINES} lines" in PAGE
