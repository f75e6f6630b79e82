"""Lines are read while questions wait for their answer, and neither is lost for the other."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from aish.agents.host.exchange import Exchange
from aish.errors import LimitError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine
    from typing import Any


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 60))


class Lines:
    def __init__(self, *lines: str) -> None:
        self._queue: asyncio.Queue[str | None] = asyncio.Queue()
        self.say(*lines)

    def say(self, *lines: str | None) -> None:
        for line in lines:
            self._queue.put_nowait(line)

    async def __call__(self) -> AsyncIterator[str]:
        while (line := await self._queue.get()) is not None:
            yield line


def test_a_deadline_loses_no_line() -> None:
    async def go() -> None:
        lines = Lines("one")
        exchange = Exchange(lines())
        assert await exchange.line(1.0) == "one"
        with pytest.raises(TimeoutError):
            await exchange.line(0.01)
        lines.say("two", None)
        assert [await exchange.line(), await exchange.line()] == ["two", None]
        await exchange.close()

    run(go())


def test_lines_go_on_while_it_is_answered() -> None:
    async def go() -> None:
        lines, answer = Lines("asks", "goes on"), asyncio.Event()
        exchange = Exchange(lines())
        assert await exchange.line() == "asks"
        done: list[bool] = []

        async def answering() -> None:
            await answer.wait()
            done.append(True)

        exchange.answering("q", answering())
        assert await exchange.line() == "goes on"
        assert exchange.asking
        answer.set()
        while exchange.asking:
            await asyncio.sleep(0)
        assert done == [True]
        await exchange.close()

    run(go())


def test_what_fails_in_an_answering_ends_the_reading() -> None:
    async def go() -> None:
        exchange = Exchange(Lines()())

        async def answering() -> None:
            raise LimitError("too many")

        exchange.answering("q", answering())
        with pytest.raises(LimitError):
            await exchange.line()
        await exchange.close()

    run(go())


@pytest.mark.parametrize("how", ["withdraw", "again", "close"])
def test_what_nobody_wants_to_know_any_more_is_ended(how: str) -> None:
    async def go() -> None:
        exchange = Exchange(Lines()())
        ended: list[str] = []
        begun = asyncio.Event()

        async def answering() -> None:
            try:
                begun.set()
                await asyncio.Event().wait()
            finally:
                ended.append(how)

        exchange.answering("q", answering())
        await begun.wait()
        match how:
            case "withdraw":
                exchange.withdraw("q")
                exchange.withdraw("nothing of that name")
            case "again":
                exchange.answering("q", asyncio.sleep(0))
            case _:
                await exchange.close()
        while not ended:
            await asyncio.sleep(0)
        await exchange.close()

    run(go())
