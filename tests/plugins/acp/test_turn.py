"""The adapter in this process: programs that never say a word, and older ones."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from aish.agents.host import program as programs
from aish.errors import UnavailableError
from aish.model.client_environ import ANTHROPIC_LOGIN, AZURE, VENDORS, variables
from aish.plugins.acp import conversation
from aish.plugins.acp.adapter import Adapter, own_environ
from aish.spi.agent_adapter import Gateway, ProgramError, Task

if TYPE_CHECKING:
    from aish.spi.agent_adapter import Command

AGENT = str(Path(__file__).with_name("agent.py"))
GATEWAY = Gateway(base_url="http://127.0.0.1:1/v1", key="aish-key")


class Host:
    """Keeps what it is told."""

    gateway = GATEWAY
    conversation = None

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)
        self.said: list[str] = []
        self.started: list[programs.Child] = []
        self.argvs: list[tuple[str, ...]] = []

    async def start(self, command: Command) -> programs.Child:
        self.argvs.append(command.argv)
        self.started.append(await programs.start(command, self.folder, None))
        return self.started[-1]

    def text(self, piece: str) -> None:
        self.said.append(piece)

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


async def turn(adapter: Adapter, host: Host, *arguments: str) -> None:
    task = Task(prompt="say=hello", program=sys.executable, arguments=arguments, cwd=host.folder)
    try:
        async with asyncio.timeout(60):
            await adapter.run(task, host)  # type: ignore[arg-type]
    finally:
        for child in host.started:
            await child.stop()


def test_one_that_never_answers_is_not_waited_for_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "READY_S", 0.3)
    with pytest.raises(UnavailableError, match=r"was not ready within 0.3 s"):
        asyncio.run(turn(Adapter(), Host(tmp_path), AGENT, "--mute"))


@pytest.mark.slow
def test_words_of_an_older_version_are_tried_when_the_new_ones_are_not_known(tmp_path: Path) -> None:
    class Renamed(Adapter):
        words: ClassVar[tuple[tuple[str, ...], ...]] = ((AGENT, "--die"), (AGENT,))

    host = Host(tmp_path)
    asyncio.run(turn(Renamed(), host))
    assert "".join(host.said).strip() == "hello"
    assert [argv[1:] for argv in host.argvs] == [(AGENT, "--die"), (AGENT,)]

    class Wrong(Adapter):
        words: ClassVar[tuple[tuple[str, ...], ...]] = ((AGENT, "--die"),)

    with pytest.raises(ProgramError) as caught:
        asyncio.run(turn(Wrong(), Host(tmp_path)))
    assert caught.value.ended == 9


def test_our_key_does_not_go_to_a_vendor_and_theirs_stays() -> None:
    environ = {
        "OPENAI_API_KEY": "aish-key",
        "OPENAI_BASE_URL": GATEWAY.base_url,
        "GEMINI_API_KEY": "theirs",
        "X": "y",
    }
    assert own_environ(GATEWAY, environ) == {"OPENAI_API_KEY": None, "OPENAI_BASE_URL": None}


@pytest.mark.parametrize("clients", [*VENDORS, AZURE, ANTHROPIC_LOGIN, "all"])
def test_of_what_aish_env_told_its_shell_no_key_and_no_address_is_left(clients: str) -> None:
    """Headers of ours went to Anthropic from programs with their own login."""
    told = {**variables(GATEWAY.base_url, GATEWAY.key, clients), "ANTHROPIC_AUTH_TOKEN": GATEWAY.key}
    headers = f"x-mine: 1\nX-Aish-Key: {GATEWAY.key}\nauthorization: Bearer {GATEWAY.key}"
    told["ANTHROPIC_CUSTOM_HEADERS"] = headers
    left = {name: value for name, value in {**told, **own_environ(GATEWAY, told)}.items() if value is not None}
    assert left.pop("ANTHROPIC_CUSTOM_HEADERS") == "x-mine: 1"
    assert left.keys() <= {"OPENAI_API_VERSION"}
