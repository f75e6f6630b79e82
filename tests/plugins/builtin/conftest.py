"""The built-in agent against the simulated provider, in this process: what it is asked, does, and says."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aish.agents.host import program
from aish.agents.host.program import Child
from aish.plugins.builtin.adapter import Adapter
from aish.plugins.simprovider.server import Provider
from aish.spi.acting import Acting
from aish.spi.agent_adapter import Command, Gateway, Task
from aish.wire.question import AnswerPart, OptionPart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from conftest import Home

    from aish.spi.agent_adapter import Confinement

DEADLINE_S = 60.0


class Desk:
    """What an adapter has of its host; implements aish.spi.agent_adapter.Host. `answers` are given in turn, the last
    one for ever: an option's id, or words in quotes."""

    def __init__(self, gateway: Gateway, folder: Path, answers: Sequence[str]) -> None:
        self.gateway, self.folder = gateway, str(folder)
        self.conversation: bytes | None = None
        self.midway: bytes | None = None
        self.keeps_midway = False
        self.midways: list[bytes] = []
        self.answers = list(answers)
        self.said: list[str] = []
        self.lines: list[str] = []
        self.doing: list[str | None] = []
        self.records: list[dict[str, Any]] = []
        self.asked: list[dict[str, Any]] = []
        self.on_record: Callable[[dict[str, Any]], None] = lambda entry: None
        self.confinement: Confinement | None = None
        self.helpers: list[tuple[str, Child]] = []

    async def helper(self, name: str, command: Command) -> Child:
        """Its child, in place of the supervisor's."""
        others = {key: None for key in os.environ if key not in command.environ}
        child = await program.start(replace(command, environ={**others, **command.environ}), command.cwd or ".", None)
        self.helpers.append((name, child))
        return child

    async def close(self) -> None:
        for _, child in self.helpers:
            await child.stop()

    async def start(self, command: Command) -> Child:
        raise AssertionError(f"it starts no program by its host: {command}")

    def text(self, piece: str) -> None:
        self.said.append(piece)

    def progress(self, line: str) -> None:
        self.lines.append(line)

    def activity(self, word: str | None, doing: str | None = None) -> None:
        self.doing.append(doing)

    async def ask(
        self,
        title: str,
        *,
        kind: str = "permission",
        body: str = "",
        form: str = "text",
        options: Sequence[OptionPart] = (),
        words: bool = False,
        token: str | None = None,
    ) -> AnswerPart:
        self.asked.append({"title": title, "body": body, "form": form, "options": options})
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer.startswith('"'):
            return AnswerPart(words=answer.strip('"'), time_s=time.time())
        return AnswerPart(option=answer, time_s=time.time())

    def session(self, id: str) -> None:
        raise AssertionError("it has no sessions")

    def keep(self, conversation: bytes) -> None:
        self.conversation = conversation

    def keep_midway(self, conversation: bytes) -> None:
        self.midways.append(conversation)

    def record(self, kind: str, **detail: str | float | bool | None) -> None:
        self.records.append({"kind": kind, **detail})
        self.on_record(self.records[-1])

    @property
    def answer(self) -> str:
        return "".join(self.said).strip()

    def results(self) -> list[str]:
        return [entry["text"] for entry in self.records if entry["kind"] == "result"]


class Bench:
    """`provider.requests` is what the model was asked."""

    def __init__(self, folder: Path) -> None:
        self.cwd = folder / "work"
        self.cwd.mkdir()
        self.private = folder / "private"
        self.private.mkdir()
        self.provider = Provider()
        self.desk = Desk(Gateway(base_url="", key=""), self.private, ["once"])

    def run(
        self,
        prompt: str,
        *,
        answers: Sequence[str] = ("once",),
        rule: Any = "allow",
        instructions: str = "",
        conversation: bytes | None = None,
        midway: bytes | None = None,
        keeps_midway: bool = False,
        during: Callable[[asyncio.Task[None], Desk], None] | None = None,
        confinement: Confinement | None = None,
        **acting: Any,
    ) -> Desk:
        """One turn. Raises what it raises; `bench.desk` is there all the same."""

        async def go() -> None:
            sock = socket.create_server(("127.0.0.1", 0))
            server = await self.provider.serve(sock)
            gateway = Gateway(base_url=f"http://127.0.0.1:{sock.getsockname()[1]}/v1", key="key")
            self.desk = Desk(gateway, self.private, answers)
            self.desk.conversation = conversation
            self.desk.midway, self.desk.keeps_midway = midway, keeps_midway
            self.desk.confinement = confinement
            task = Task(
                prompt=prompt,
                instructions=instructions,
                model="sim",
                permissions=rule,
                cwd=str(self.cwd),
                acting=Acting(**acting),
            )
            turn = asyncio.ensure_future(Adapter().run(task, self.desk))
            if during is not None:
                during(turn, self.desk)
            try:
                async with asyncio.timeout(DEADLINE_S):
                    await turn
            finally:
                await self.desk.close()
                server.close()
                others = asyncio.all_tasks() - {asyncio.current_task()}
                if others:  # connections that end
                    _, left = await asyncio.wait(others, timeout=5.0)
                    assert not left, f"left behind: {left}"

        asyncio.run(go())
        return self.desk

    def bodies(self) -> list[dict[str, Any]]:
        """The chat requests."""
        return [request.fields for request in self.provider.requests if request.path.endswith("/chat/completions")]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture(scope="module")
def sim(module_home: Home) -> Iterator[str]:
    """A simulated provider that the gateway has as the model `sim`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "aish.plugins.simprovider", "--llamacpp"],
        env=module_home.environ,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().split()[-1]
        url = address if address.startswith("http") else f"http://{address}/v1"
        done = module_home.aish("model", "serve", "sim", "--url", url)
        assert done.returncode == 0, done.stderr
        yield "sim"
    finally:
        process.terminate()
        process.wait()
        process.stdout and process.stdout.close()


@pytest.fixture
def up(sim: str, shared_home: Home) -> Home:
    shared_home.environ["AISH_MODEL"] = sim
    return shared_home
