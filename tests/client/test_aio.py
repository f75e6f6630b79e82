"""What only an asyncio client meets: many tasks at once, cancellation, a loop that must not be held up."""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from aish.client import AsyncAish
from aish.client.aio_line import AioLine
from aish.client.aio_wait import readable
from aish.errors import UnavailableError
from aish.wire import frame

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from conftest import Home


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(main, debug=True)


def test_tasks_wait_at_once_and_no_thread_does_it(home: Home) -> None:
    async def main() -> None:
        async with AsyncAish() as aish:
            processes = await asyncio.gather(*(aish.spawn(["sh", "-c", f"exit {code}"]) for code in range(20)))
            ends = await asyncio.gather(*(process.wait(timeout_s=60) for process in processes))
            assert [end.code for end in ends] == list(range(20))
            assert threading.active_count() == 1

    run(main())


def test_a_cancelled_wait_leaves_nothing_behind(home: Home) -> None:
    """Its answer must not come to another question, its connection must not stay."""

    async def main() -> None:
        async with AsyncAish() as aish:
            process = await aish.spawn(["sleep", "600"])
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await process.wait()
            lines = [aish.logs(process, follow=True), aish.events(follow=True, since=10**6)]
            tasks = [asyncio.ensure_future(anext(stream)) for stream in lines]  # type: ignore[arg-type]
            await process.state()
            for task in tasks:
                task.cancel()
            assert [type(end) for end in await asyncio.gather(*tasks, return_exceptions=True)] == [
                asyncio.CancelledError
            ] * 2
            assert (await process.stop()).signal == 15
            assert await process.state() == "exited"

    before = len(os.listdir("/proc/self/fd"))
    run(main())
    assert len(os.listdir("/proc/self/fd")) == before


def test_others_run_while_a_long_log_is_read(home: Home) -> None:
    async def main() -> None:
        async with AsyncAish() as aish:
            process = await aish.spawn(["sh", "-c", "yes 0123456789 | head -n 200000"])
            await process.wait()
            turns = 0

            async def others() -> None:
                nonlocal turns
                while True:
                    turns += 1
                    await asyncio.sleep(0)

            task = asyncio.ensure_future(others())
            count = 0
            async for _ in process.logs():
                count += 1
            task.cancel()
            assert count == 200_000
            assert turns > 10

    run(main())


def test_a_large_request_waits_for_a_daemon_that_reads_slowly() -> None:
    """The socket's buffer is full in the middle of a frame: the rest goes when there is room."""

    async def main() -> None:
        ours, daemons = socket.socketpair()
        ours.setblocking(False)
        line = AioLine(starts=False, program="test")
        line._sock = ours
        body = os.urandom(4 << 20)
        read, write = os.pipe()
        sending = asyncio.ensure_future(line._send(body, [read]))
        decoder = frame.Decoder()
        frames: list[tuple[bytes, list[int]]] = []
        daemons.setblocking(False)
        while not frames:
            await readable([daemons.fileno()])
            frames += decoder.feed(*frame.receive(daemons))
        await sending
        assert frames[0][0] == body
        assert len(frames[0][1]) == 1
        for fd in (read, write, *frames[0][1]):
            os.close(fd)
        line.close()
        daemons.close()

    run(main())


def test_why_it_cannot_be_started_is_told(home: Home) -> None:
    """Another program does it, so that the loop is not held up: its error is ours."""

    async def look() -> None:
        async with AsyncAish():
            pass

    home.state.mkdir(mode=0o700)
    with open(home.state / "daemon.lock", "w") as lock:
        lock.write("elsewhere")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UnavailableError, match="the supervisor of elsewhere uses") as told:
            run(look())
    assert told.value.hint
    assert not (home.runtime / "daemon.sock").exists()
