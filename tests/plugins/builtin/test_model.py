"""The embedded model and the gateway's grammars: it is small, but what it calls is a tool of the agent."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aish.errors import LimitError
from aish.plugins.builtin import turn
from aish.plugins.builtin.adapter import Adapter
from aish.spi.acting import Acting
from aish.spi.agent_adapter import Gateway, Task

from .conftest import Desk

if TYPE_CHECKING:
    from conftest import Home


@pytest.mark.model
@pytest.mark.slow
def test_the_embedded_model_calls_a_tool(
    home: Home, embedded_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would rather talk about tools than use one, so a call is required of each answer; the turn ends by its
    most requests, or by an answer that is cut."""
    (tmp_path / "notes.txt").write_text("The cat is called Minka.\n")
    monkeypatch.setattr(turn, "REQUESTS_MOST", 2)
    environ = json.loads(home.aish("env", "--json").stdout)
    desk = Desk(Gateway(base_url=environ["OPENAI_BASE_URL"], key=environ["OPENAI_API_KEY"]), tmp_path, ["once"])
    settings = {"temperature": 0, "max_tokens": 80, "extra_body": {"tool_choice": "required"}}
    task = Task(
        prompt="Read notes.txt.",
        model=embedded_model,
        permissions="allow",
        cwd=str(tmp_path),
        acting=Acting(tools=("read",), settings=settings),
    )
    with pytest.raises(LimitError):
        asyncio.run(Adapter().run(task, desk))
    calls = [entry["name"] for entry in desk.records if entry["kind"] == "tool"]
    assert calls
    assert set(calls) == {"read"}
