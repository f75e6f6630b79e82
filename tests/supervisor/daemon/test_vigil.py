"""The clock that goes only while the daemon can hear and see."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from aish.supervisor.daemon.turns import Turns
from aish.supervisor.daemon.vigil import Vigil

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def run(work: Callable[[Vigil], Awaitable[None]]) -> None:
    async def begin() -> None:
        await work(Vigil(asyncio.get_running_loop()))

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(Turns())) as runner:
        runner.run(begin())


def stand_still(for_s: float) -> None:
    """As a slow disk or SIGSTOP does: the loop has no turn meanwhile."""
    time.sleep(for_s)


def test_a_standstill_does_not_count_and_is_told() -> None:
    async def work(vigil: Vigil) -> None:
        vigil.need("it", 0.8)
        begun_s, before = vigil.now_s(), vigil.standstills()
        stand_still(1.0)
        assert vigil.now_s() - begun_s == pytest.approx(0.1, abs=0.02), "as much as one tick"
        assert vigil.standstills() == before + 1

    run(work)


def test_without_a_standstill_it_goes_like_any_clock() -> None:
    async def work(vigil: Vigil) -> None:
        vigil.need("it", 4.0)
        begun_s, real_s = vigil.now_s(), time.monotonic()
        await asyncio.sleep(0.6)
        awake_s, real_s = vigil.now_s() - begun_s, time.monotonic() - real_s
        assert awake_s == pytest.approx(real_s, abs=0.01) or vigil.standstills(), "a machine may be busy"

    run(work)


def test_nobody_needs_it_it_has_no_ticks_and_time_is_no_standstill() -> None:
    async def work(vigil: Vigil) -> None:
        vigil.need("it", 0.4)
        vigil.let_go("it")
        stand_still(0.3)
        before = vigil.standstills()
        vigil.need("it", 0.4)
        assert vigil.standstills() == before == 0

    run(work)


def test_a_reminder_comes_when_its_time_was_awake() -> None:
    """A grace that passed while everything stood still ended who had no time to save its work."""

    async def work(vigil: Vigil) -> None:
        told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        reminder = vigil.call_later(0.4, lambda: told.set_result(None))
        stand_still(0.6)
        await asyncio.sleep(0)
        assert not told.done()
        assert 0.2 < reminder.left_s() < 0.4
        begun_s = time.monotonic()
        await asyncio.wait_for(told, 60)
        assert time.monotonic() - begun_s > 0.2

    run(work)


def test_a_reminder_that_is_cancelled_never_comes() -> None:
    async def work(vigil: Vigil) -> None:
        told: list[str] = []
        vigil.call_later(0.05, lambda: told.append("cancelled")).cancel()
        done = asyncio.Event()
        vigil.call_later(0.2, done.set)
        await asyncio.wait_for(done.wait(), 60)
        assert told == []

    run(work)


def test_what_is_waited_for_may_take_so_long_awake() -> None:
    async def work(vigil: Vigil) -> None:
        loop = asyncio.get_running_loop()
        late: asyncio.Future[int] = loop.create_future()
        loop.call_later(0.1, lambda: loop.call_later(0.05, late.set_result, 7))
        loop.call_later(0.05, stand_still, 0.8)
        assert await vigil.within(late, 0.4) == 7
        with pytest.raises(TimeoutError):
            await vigil.within(loop.create_future(), 0.1)

    run(work)
