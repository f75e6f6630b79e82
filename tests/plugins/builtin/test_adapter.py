"""The adapter without its library: light to look at, and plain about what is missing."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from importlib import util
from pathlib import Path

import pytest

from aish.agents import adapters
from aish.errors import NotFoundError, UsageError
from aish.plugins.builtin.adapter import Adapter
from aish.spi.agent_adapter import Gateway, Task

from .conftest import Desk

GATEWAY = Gateway(base_url="http://127.0.0.1:1/v1", key="key")


def test_it_is_found_by_its_name() -> None:
    assert adapters.load("builtin").name == "builtin"


def test_looking_at_it_loads_nothing_heavy() -> None:
    """Every `@name` loads adapters to see whether one is meant."""
    code = "import sys; from aish.agents import adapters; adapters.load('builtin').missing(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"pydantic", "pydantic_ai", "openai", "aiohttp", "fastmcp"} & set(loaded)


def test_without_its_library_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(util, "find_spec", lambda name: None)
    with pytest.raises(NotFoundError) as caught:
        asyncio.run(Adapter().run(Task(prompt="x"), Desk(GATEWAY, tmp_path, [])))
    assert "pip install 'aish-shell[agents]'" in (caught.value.hint or "")


def test_it_has_no_terminal(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        Adapter().attached(Task(prompt="x"), GATEWAY, str(tmp_path))
