"""The daemon is killed again and again while a program uses aish: nothing is started twice, no event and no line of a
log is lost or told twice, and no call fails but those that may not be repeated."""

from __future__ import annotations

import asyncio
import os
import random
import select
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aish.cli import shutdown
from aish.client import Aish, AsyncAish, connect
from aish.errors import NotRunningError, UnavailableError
from tests.deadline import DEADLINE_S, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Home

    from aish.wire.part import EventPart

SEED = 7
MARK = "import os,sys; os.write(os.open(sys.argv[1], os.O_APPEND|os.O_WRONLY|os.O_CREAT), b'.')"
CHATTER = """import os, sys, time
number = 0
while not os.path.exists(sys.argv[1]):
    print(number, flush=True)
    number += 1
    time.sleep(0.001)
print("end", number, flush=True)"""


class Killer(threading.Thread):
    """Kills each daemon at a random moment of its life, until it has killed `kills`."""

    def __init__(self, kills: int) -> None:
        super().__init__()
        self.kills, self.pids = kills, set[int]()
        self.failed: BaseException | None = None
        self.over = threading.Event()

    def run(self) -> None:
        chance = random.Random(SEED)
        try:
            for _ in range(self.kills):
                with connect(program="killer") as client:
                    pid = client.welcome.pid
                    assert pid not in self.pids
                    self.pids.add(pid)
                    pidfd = os.pidfd_open(pid)
                self.over.wait(chance.random() * 0.3)
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                assert select.select([pidfd], [], [], 20)[0]
                os.close(pidfd)
        except BaseException as error:  # noqa: BLE001 -- the test tells it
            self.failed = error
        finally:
            self.over.set()


class Told:
    """What a program saw."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.events: list[EventPart] = []
        self.lines: list[str] = []
        self.names: list[str] = []
        self.unsure = 0
        self.chatter: Any = None

    def mark(self, name: str) -> Path:
        return self.root / f"{name}.ran"

    def check(self, rows: list[Any], events: list[EventPart]) -> None:
        for name in self.names:
            assert self.mark(name).read_text() == ".", f"{name} was started more than once"
            assert [row.exit.code for row in rows if row.name == name] == [0]
        numbers = [event.number for event in self.events]
        assert numbers == [event.number for event in events if event.number <= numbers[-1]]
        assert [event.name for event in self.events if event.kind == "created"][-1] == "last"
        *lines, end = self.lines
        assert lines == [str(number) for number in range(len(lines))]
        assert end == f"end {len(lines)}"


def blocking(killer: Killer, told: Told) -> None:
    with Aish() as aish:
        told.chatter = aish.spawn([sys.executable, "-c", CHATTER, str(told.root / "enough")], name="chatter")

        def follow_events() -> None:
            for event in aish.events(follow=True):
                told.events.append(event)
                if event.kind == "exited" and event.name == "last":
                    return

        def follow_log() -> None:
            told.lines += [line.text for line in told.chatter.logs(follow=True)]

        followers = [threading.Thread(target=follow_events), threading.Thread(target=follow_log)]
        for thread in (killer, *followers):
            thread.start()
        while not killer.over.is_set() or len(told.names) < 10:
            name = f"job{len(told.names)}"
            told.names.append(name)
            process = aish.spawn([sys.executable, "-I", "-S", "-c", MARK, str(told.mark(name))], name=name)
            assert process.wait(timeout_s=60).ok
            assert process.state() == "exited"
            assert list(process.logs()) == []
            told.chatter.pause()
            told.chatter.cont()
            try:
                told.chatter.signal(signal.SIGCONT)
            except UnavailableError:
                told.unsure += 1
        (told.root / "enough").touch()
        told.chatter.wait(timeout_s=60)
        aish.spawn(["true"], name="last").wait(timeout_s=60)
        for thread in followers:
            thread.join(60)
        told.check(aish.processes(all=True), list(aish.events()))


async def unblocking(killer: Killer, told: Told) -> None:
    async with AsyncAish() as aish:
        told.chatter = await aish.spawn([sys.executable, "-c", CHATTER, str(told.root / "enough")], name="chatter")

        async def follow_events() -> None:
            async for event in aish.events(follow=True):
                told.events.append(event)
                if event.kind == "exited" and event.name == "last":
                    return

        async def follow_log() -> None:
            told.lines += [line.text async for line in told.chatter.logs(follow=True)]

        async def work() -> None:
            while not killer.over.is_set() or len(told.names) < 10:
                name = f"job{len(told.names)}"
                told.names.append(name)
                process = await aish.spawn([sys.executable, "-I", "-S", "-c", MARK, str(told.mark(name))], name=name)
                assert (await process.wait(timeout_s=60)).ok
                assert await process.state() == "exited"
                assert [line async for line in process.logs()] == []
                await told.chatter.pause()
                await told.chatter.cont()
                try:
                    await told.chatter.signal(signal.SIGCONT)
                except UnavailableError:
                    told.unsure += 1

        killer.start()
        async with asyncio.timeout(100), asyncio.TaskGroup() as group:
            group.create_task(follow_events())
            group.create_task(follow_log())
            for worker in [group.create_task(work()) for _ in range(3)]:
                await worker
            (told.root / "enough").touch()
            await told.chatter.wait(timeout_s=60)
            await (await aish.spawn(["true"], name="last")).wait(timeout_s=60)
        told.check(await aish.processes(all=True), [event async for event in aish.events()])


@pytest.mark.parametrize("kind", ["blocking", "asyncio"])
@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
@pytest.mark.timeout(240)
def test_a_program_goes_on_over_killed_daemons(home: Home, kind: str, kills: int) -> None:
    killer, told = Killer(kills), Told(home.root)
    if kind == "blocking":
        blocking(killer, told)
    else:
        asyncio.run(unblocking(killer, told))
    killer.join()
    assert killer.failed is None, killer.failed
    assert len(killer.pids) == kills


RELUCTANT = """trap 'touch $0.told; until test -e $0.go; do sleep 0.02; done; exit 0' TERM
touch $0.up; while :; do sleep 0.02; done"""


async def shut_down() -> None:
    async with AsyncAish(program="test") as aish:
        await aish.shutdown(force=True)


@pytest.mark.parametrize(
    "end",
    [lambda: shutdown.main([]), lambda: Aish(program="test").shutdown(force=True), lambda: asyncio.run(shut_down())],
    ids=["verb", "blocking", "asyncio"],
)
def test_a_shutdown_goes_on_with_the_next_daemon(home: Home, end: Callable[[], object]) -> None:
    """It failed with "it may have taken effect", and everything was still there."""
    place = home.root / "job"
    with Aish(program="test") as aish:
        aish.spawn(["sh", "-c", RELUCTANT, str(place)], name="job", grace_s=DEADLINE_S)
    until("it runs", place.with_suffix(".up").exists)
    with connect(program="test") as client, ThreadPoolExecutor() as pool:
        pid = client.welcome.pid
        ending = pool.submit(end)
        until("it is told to end", place.with_suffix(".told").exists)
        os.kill(pid, signal.SIGKILL)
        place.with_suffix(".go").touch()
        assert not ending.result(DEADLINE_S)
    with pytest.raises(NotRunningError):
        connect(start=False, program="test")
