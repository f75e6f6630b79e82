"""A part that ends by a fault is told, once; one that is ended is not."""

from __future__ import annotations

import asyncio

import pytest

from aish.supervisor.gateway.duties import Duties


def test_a_fault_is_logged_with_its_place_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    told: list[str] = []

    async def fails() -> None:
        raise ZeroDivisionError("a secret in the text")

    async def play() -> None:
        task = Duties(lambda: told.append("fault")).begin(fails(), "upkeep")
        await asyncio.wait([task])
        await asyncio.sleep(0)

    asyncio.run(play())
    assert told == ["fault"]
    said = capsys.readouterr().err
    assert "fault: upkeep ended: ZeroDivisionError in fails (" in said
    assert "secret" not in said


def test_what_is_cancelled_or_done_is_no_fault() -> None:
    told: list[str] = []

    async def done() -> None:
        pass

    async def play() -> None:
        duties = Duties(lambda: told.append("fault"))
        tasks = [duties.begin(done(), "done"), duties.begin(asyncio.sleep(60), "cancelled")]
        await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.wait(tasks)

    asyncio.run(play())
    assert told == []
