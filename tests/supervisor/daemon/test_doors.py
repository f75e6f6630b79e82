"""Doors in the daemon: nothing that comes by a channel is lost, whoever dies; nothing else is taken for a door."""

from __future__ import annotations

import asyncio
import gc
import os
import select
import socket
from typing import TYPE_CHECKING, Any

import pytest

from aish.supervisor.daemon import doors as module
from aish.supervisor.daemon.doors import Doors

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aish.model.sandbox import Door

DEADLINE_S = 60.0
NAME = "00112233445566aa"


class Holder:
    """What is kept outlives the Doors that kept it."""

    def __init__(self) -> None:
        self.kept: dict[str, list[int]] = {}
        self.answers = True

    async def store(self, name: str, fds: list[int]) -> None:
        self.drop(name)
        self.kept[name] = [os.dup(fd) for fd in fds]
        if not self.answers and name.endswith("gateway"):
            await asyncio.Event().wait()

    async def fetch(self, name: str) -> list[int]:
        return [os.dup(fd) for fd in self.kept.get(name, [])]

    async def names(self) -> list[str]:
        return list(self.kept)

    def drop(self, name: str) -> None:
        for fd in self.kept.pop(name, []):
            os.close(fd)


class Child:
    """Nobody is started: what would start it is noted."""

    def __init__(self) -> None:
        self.watched: set[int] = set()
        self.knockable, self.unknockable = self.watched.add, self.watched.discard


def run(body: Callable[[Holder, Doors], Awaitable[Any]]) -> None:
    async def go() -> None:
        holder = Holder()
        made = new(holder)
        try:
            await body(holder, made)
        finally:
            made.close()
            for name in list(holder.kept):
                holder.drop(name)

    asyncio.run(go())


def new(holder: Holder) -> Doors:
    child = Child()

    def of(door: Door) -> Any:
        return child

    return Doors(holder, of)  # type: ignore[arg-type]


def tell(channel: int, text: str, *doors: socket.socket, name: str = NAME) -> int:
    """As the leader of a sandbox does; its end of the pipe."""
    life, held = os.pipe2(os.O_CLOEXEC)
    with socket.socket(fileno=os.dup(channel)) as sock:
        socket.send_fds(sock, [f"{name} {text}".encode()], [life, *(door.fileno() for door in doors)])
    os.close(life)
    return held


async def until(what: str, holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not holds():
            await asyncio.sleep(0.005)


def listening() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def test_what_comes_is_kept_and_goes_with_the_network() -> None:
    async def body(holder: Holder, doors: Doors) -> None:
        channel = await doors.channel("p1")
        with listening() as one, listening() as other:
            held = tell(channel, "gateway proxy", one, other)
        await until("it is there", lambda: len(list(doors.listeners("proxy"))) == 1)
        assert {name.rpartition(".")[2] for name in holder.kept if name.startswith("door.")} == {
            *("life", "gateway", "proxy")
        }
        os.close(held)
        await until("it is gone", lambda: not [name for name in holder.kept if name.startswith("door.")])
        assert not list(doors.listeners("gateway"))
        os.close(channel)
        await until("so is its channel", lambda: not holder.kept)

    run(body)


@pytest.mark.parametrize("stored", [False, True])
def test_what_waits_in_a_channel_is_the_next_daemon_s(stored: bool) -> None:
    """It was told while no daemon ran; or one had it stored, and died before it took it off."""

    async def body(holder: Holder, doors: Doors) -> None:
        channel = await doors.channel("p1")
        holder.answers = False
        if not stored:
            doors.close()
            await asyncio.sleep(0)
        with listening() as one:
            held = tell(channel, "gateway", one)
        if stored:
            await until("it is stored", lambda: any(name.endswith("gateway") for name in holder.kept))
            doors.close()
        holder.answers = True
        second = new(holder)
        await second.restore({"p1"})
        await until("it is there", lambda: len(list(second.listeners("gateway"))) == 1)
        os.close(channel)
        await until("all was taken off", lambda: not any(name.startswith("doorway") for name in holder.kept))
        assert len(list(second.listeners("gateway"))) == 1
        second.close()
        last = new(holder)
        await last.restore(set())  # it has ended meanwhile
        assert not list(last.listeners("gateway"))
        assert not holder.kept
        os.close(held)

    run(body)


def test_an_end_of_the_process_closes_all_of_its_own() -> None:
    async def body(holder: Holder, doors: Doors) -> None:
        channels = [await doors.channel(id_) for id_ in ("p1", "p2")]
        held = []
        for number, channel in enumerate(channels):
            with listening() as one:
                held.append(tell(channel, "gateway", one, name=f"{number:016x}"))
        await until("both are there", lambda: len(list(doors.listeners("gateway"))) == 2)
        doors.over("p1")
        assert len(list(doors.listeners("gateway"))) == 1
        assert all(name.split(".")[1] == "p2" for name in holder.kept)
        for fd in (*held, *channels):
            os.close(fd)

    run(body)


@pytest.mark.parametrize(
    "text", ["", "gateway gateway", "gateway proxy proxy", "proxy", "root", "gateway " * 20, "gateway\n", "\0"]
)
def test_what_is_no_message_is_no_door_and_costs_no_descriptor(text: str) -> None:
    async def body(holder: Holder, doors: Doors) -> None:
        channel = await doors.channel("p1")
        gc.collect()
        before = len(os.listdir("/proc/self/fd"))
        with listening() as one, listening() as other:
            held = tell(channel, text, one, other)
        watch = select.poll()
        watch.register(held, select.POLLERR)
        await until("nobody has its descriptors", lambda: bool(watch.poll(0)))
        os.close(held)
        assert not list(doors.listeners("gateway"))
        assert len(os.listdir("/proc/self/fd")) <= before
        os.close(channel)

    run(body)


def test_only_what_listens_is_a_door(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(holder: Holder, doors: Doors) -> None:
        channel = await doors.channel("p1")
        with socket.socket() as idle, socket.socket(socket.AF_UNIX) as path, listening() as right:
            held = [tell(channel, "gateway", sock, name=f"{n:016x}") for n, sock in enumerate((idle, path, right))]
        await until("the right one is there", lambda: len(list(doors.listeners("gateway"))) == 1)
        assert len(list(doors.listeners("gateway"))) == 1
        for fd in (*held, channel):
            os.close(fd)

    run(body)


def test_networks_of_one_process_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NETWORKS_MOST", 2)

    async def body(holder: Holder, doors: Doors) -> None:
        channel = await doors.channel("p1")
        held = []
        for number in range(3):
            with listening() as one:
                held.append(tell(channel, "gateway", one, name=f"{number:016x}"))
        watch = select.poll()
        watch.register(held[2], select.POLLERR)
        await until("the third is refused", lambda: bool(watch.poll(0)))
        assert len(list(doors.listeners("gateway"))) == 2
        for fd in (*held, channel):
            os.close(fd)

    run(body)
