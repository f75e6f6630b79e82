"""An agent program for the tests of adapters: its lines, its end, and a host that writes down what it is told."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from aish.errors import UpstreamError
from aish.spi.agent_adapter import Gateway
from aish.wire.question import AnswerPart

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

Line = dict[str, Any] | str | None
"""What it writes: an object, text as it is, or its end."""


class Program:
    """Says what `answers` makes of each line that it is sent; a text beforehand where `first` is given."""

    def __init__(self, answers: Callable[[dict[str, Any]], list[Line]], status: int = 0) -> None:
        self.answers, self.status = answers, status
        self.sent: list[dict[str, Any]] = []
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self.over = False

    def say(self, *lines: Line) -> None:
        for line in lines:
            self.over = self.over or line is None
            self._lines.put_nowait(json.dumps(line) if isinstance(line, dict) else line)

    async def send(self, line: str) -> None:
        if self.over:
            raise UpstreamError("it does not read any more")
        self.sent.append(json.loads(line))
        self.say(*self.answers(self.sent[-1]))

    async def lines(self) -> AsyncIterator[str]:
        while (line := await self._lines.get()) is not None:
            yield line

    async def close(self) -> None:
        self.say(None)

    async def ended(self) -> int:
        return self.status

    def signal(self, number: int) -> None:
        raise AssertionError


class Host:
    """`answers` are those to what it is asked, in their order; None waits for ever."""

    confinement = None
    midway, keeps_midway = None, False

    def __init__(self, *answers: str | None) -> None:
        self.gateway = Gateway(base_url="http://127.0.0.1:1/v1", key="aish-key")
        self.folder = "/nowhere"
        self.conversation: bytes | None = None
        self.answers = list(answers)
        self.output, self.notes, self.activities = "", [], []
        self.questions: list[dict[str, Any]] = []
        self.records: list[tuple[str, dict[str, Any]]] = []
        self.withdrawn = 0
        self.asked = asyncio.Event()

    async def start(self, command: Any) -> Any:
        raise AssertionError

    def text(self, piece: str) -> None:
        self.output += piece

    def progress(self, line: str) -> None:
        self.notes.append(line)

    def activity(self, word: str | None, doing: str | None = None) -> None:
        self.activities.append((word, doing))

    async def ask(self, title: str, **more: Any) -> AnswerPart:
        self.questions.append({"title": title, **more})
        self.asked.set()
        answer = self.answers.pop(0)
        if answer is None:
            try:
                await asyncio.Event().wait()
            finally:
                self.withdrawn += 1
        known = [option.id for option in more.get("options", ())]
        told = {"option": answer} if answer in known else {"words": answer}
        return AnswerPart(time_s=time.time(), **told)

    def session(self, id: str) -> None:
        self.record("session", id=id)

    def keep(self, conversation: bytes) -> None:
        self.conversation = conversation

    def keep_midway(self, conversation: bytes) -> None:
        self.midway = conversation

    def record(self, kind: str, **detail: Any) -> None:
        self.records.append((kind, detail))


@pytest.fixture
def program() -> type[Program]:
    return Program


@pytest.fixture
def host() -> type[Host]:
    return Host
