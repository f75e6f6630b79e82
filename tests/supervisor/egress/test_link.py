"""The connection to a daemon that does not read."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from aish.supervisor.egress.link import UNREAD_MOST_BYTES, Link
from aish.wire import codec, frame
from aish.wire.egress import MayReach, Passed
from aish.wire.message import VERSION
from aish.wire.reply import Welcome

if TYPE_CHECKING:
    from pathlib import Path

DEADLINE_S = 60.0
PASSED = Passed(process="p1", host="h" * 4096, port=443)


def test_one_that_is_stuck_does_not_fill_the_proxy(tmp_path: Path) -> None:
    """All that passed waited in memory for as long as the daemon was stuck."""

    async def body() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(tmp_path / "daemon.sock"))
            listener.listen()
            listener.setblocking(False)
            link = Link(listener.getsockname(), lambda line: None)
            running = loop.create_task(link.run())
            daemon, _ = await loop.sock_accept(listener)
            with daemon:
                welcome = Welcome(version=VERSION, pid=1, epoch=1)
                await loop.sock_sendall(daemon, frame.pack(codec.encode(welcome)))
                while not link.send(PASSED):
                    await asyncio.sleep(0)
                told = 0
                while link.send(PASSED):
                    told += 1
                    assert told < 2000, "it keeps all"
                assert told * len(PASSED.host or "") > UNREAD_MOST_BYTES // 2
                assert link.send(MayReach(number=1, process="p1", host="h", port=443)), "asked once, and not lost"
                while not link.send(PASSED):  # it reads again
                    await loop.sock_recv(daemon, 1 << 16)
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

    asyncio.run(asyncio.wait_for(body(), DEADLINE_S))
