"""The daemon's side of the holder's wire, against a holder that says what the test wants."""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

from aish.errors import UnavailableError
from aish.supervisor.daemon.holding import Holding
from aish.supervisor.holder import wire

if TYPE_CHECKING:
    from pathlib import Path

ENOUGH_S = 20.0


class Mute:
    """A holder that greets and then says nothing by itself. It has our pid: it is not stopped."""

    def __init__(self, path: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(os.fspath(path))
        self._listener.listen()
        self.told: list[str | None] = []
        self.changed = asyncio.Event()
        self.holding = Holding(os.fspath(path), died=print, regained=_nothing, lost=_nothing, home=print)
        self.holding.silence.told = self._told

    def _told(self, why: str | None) -> None:
        self.told.append(why)
        self.changed.set()

    async def greet(self, **fields: Any) -> None:
        connecting = asyncio.ensure_future(self.holding.connect())
        self._sock, _ = await asyncio.to_thread(self._listener.accept)
        told = {"pid": os.getpid(), "keeper_pid": 1, "boot_id": "b", "started": 1.0}
        self.answer((await self.heard("hello"))[0], **told, **fields)
        await connecting

    async def heard(self, op: str) -> tuple[dict[str, Any], list[int]]:
        """The next request of that kind."""
        while True:
            packet = await asyncio.to_thread(wire.receive, self._sock)
            message = wire.decode(packet.data)
            if message["op"] == op:
                return message, packet.fds
            packet.close()

    def answer(self, request: dict[str, Any], **fields: Any) -> None:
        wire.send(self._sock, wire.encode({"seq": request["seq"], "ok": True, **fields}))

    def close(self) -> None:
        self.holding.close()
        self._sock.close()
        self._listener.close()


async def _nothing() -> None:
    return


@pytest.mark.parametrize("revocable", [True, False])
def test_a_spawn_under_way_is_taken_back_once_and_for_all(tmp_path: Path, revocable: bool) -> None:
    """A start that was given up ran when the holder went on, beside the one that took its place."""

    async def go() -> None:
        holder = Mute(tmp_path / "holder.sock")
        await holder.greet(revocable=revocable)
        for taken in (False, True):
            spawn = asyncio.ensure_future(holder.holding.spawn("p1", b"{}", []))
            request, fds = await holder.heard("spawn")
            if taken:
                fcntl.fcntl(fds[0], fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
            assert holder.holding.take_back("p1") is (revocable and not taken)
            assert os.fstat(fds[0]).st_size == (0 if revocable and not taken else 2)
            os.close(fds[0])
            holder.answer(request, pid=1)
            await spawn
        assert holder.holding.take_back("p1"), "it is not under way any more"
        holder.close()

    asyncio.run(asyncio.wait_for(go(), ENOUGH_S))


def test_a_holder_that_says_nothing_is_noticed(tmp_path: Path) -> None:
    """Whoever asked it waited without a word."""

    async def go() -> None:
        holder = Mute(tmp_path / "holder.sock")
        await holder.greet()
        asked = asyncio.ensure_future(holder.holding.silence.bounded(holder.holding.signal("p1", 1)))
        request, _ = await holder.heard("signal")
        await holder.changed.wait()
        assert holder.told == [holder.holding.silence.why()]
        assert "does not answer" in (holder.told[0] or "")
        with pytest.raises(UnavailableError, match="does not answer"):
            await asked
        holder.changed.clear()
        holder.answer(request)
        await holder.changed.wait()
        assert (holder.told[1], holder.holding.silence.why()) == (None, None)
        holder.close()

    asyncio.run(asyncio.wait_for(go(), ENOUGH_S))


def test_an_exec_that_takes_its_time_is_no_silence(tmp_path: Path) -> None:
    """The holder answers others meanwhile: on a slow disk every start would be given up."""

    async def go() -> None:
        holder = Mute(tmp_path / "holder.sock")
        await holder.greet()
        spawn = asyncio.ensure_future(holder.holding.spawn("p1", b"{}", []))
        request, _ = await holder.heard("spawn")
        for _ in range(6):
            holder.answer((await holder.heard("ack"))[0], acked=0)
        assert not holder.told
        holder.answer(request, pid=1)
        assert (await spawn).pid == 1
        holder.close()

    asyncio.run(asyncio.wait_for(go(), ENOUGH_S))
