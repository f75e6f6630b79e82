"""The gateway learns what is stored, in order, and whoever asked for it to be told waits until it was."""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from aish.config import folders
from aish.config.settings import Settings
from aish.supervisor.daemon.gateway_link import STORE_INDEX, GatewayLink
from aish.supervisor.daemon.table import Table
from aish.wire import link

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path


class Scene:
    """A store that is listed when `go` allows, and a connection that keeps what is sent."""

    def __init__(self) -> None:
        self.path = f"{folders.data()}/{STORE_INDEX}"
        self.names: list[str] = []
        self.go = threading.Semaphore(1)
        self.listing = 0
        self.fails = False
        self.told: list[list[str]] = []
        self.first = asyncio.Event()
        settings = Settings()
        doors: Any = SimpleNamespace(serve=lambda *_: None, unserve=lambda *_: None)
        none: Any = None
        self.link = GatewayLink(Table(1), none, settings, epoch=1, stored_models=self.stored, need=none, doors=doors)

    def stored(self) -> list[str]:
        self.listing += 1
        names, fails = list(self.names), self.fails
        assert self.go.acquire(timeout=20)
        if fails:
            raise OSError(24, "Too many open files")
        return names

    def send(self, message: link.Sync) -> None:
        self.told.append(list(message.stored_models))
        self.first.set()

    async def next(self) -> None:
        await asyncio.Event().wait()

    def pulled(self, name: str) -> None:
        self.names.append(name)
        with open(f"{self.path}.new", "w", encoding="ascii") as file:
            file.write(name)
        os.replace(f"{self.path}.new", self.path)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not holds():
                await asyncio.sleep(0.001)


def play(scene_of: Callable[[Scene], Awaitable[None]]) -> None:
    async def whole() -> None:
        scene = Scene()
        connection: Any = scene
        conversation = asyncio.ensure_future(scene.link.converse(connection))
        await asyncio.wait(
            [conversation, first := asyncio.ensure_future(scene.first.wait())], return_when="FIRST_COMPLETED"
        )
        assert first.done(), conversation
        await scene_of(scene)
        conversation.cancel()
        with suppress(asyncio.CancelledError):
            await conversation

    asyncio.run(whole())


@pytest.fixture(autouse=True)
def private_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr("aish.supervisor.daemon.gateway_link.LOOK_S", 20.0)
    (tmp_path / "aish" / "models").mkdir(parents=True)


def test_who_comes_while_another_ones_look_is_under_way_waits_for_it() -> None:
    """Fault: it returned at once, and a request for what had just been pulled was not found."""

    async def scene_of(scene: Scene) -> None:
        scene.pulled("new")
        other = asyncio.ensure_future(scene.link.look_for_models())
        await scene.until(lambda: scene.listing == 2)
        ours = asyncio.ensure_future(scene.link.look_for_models())
        await asyncio.sleep(0)
        assert not ours.done()
        scene.pulled("newer")  # after it was listed
        last = asyncio.ensure_future(scene.link.look_for_models())
        scene.go.release(2)
        await asyncio.gather(other, ours, last)
        assert scene.told == [[], ["new"], ["new", "newer"]]
        await scene.link.look_for_models()
        assert scene.listing == 3, "nothing has changed"

    play(scene_of)


def test_what_cannot_be_listed_now_is_looked_at_again() -> None:
    """Fault: it counted as seen, and the gateway was never told."""

    async def scene_of(scene: Scene) -> None:
        scene.go.release(2)
        scene.pulled("new")
        scene.fails = True
        await scene.link.look_for_models()
        assert scene.told[-1] == []
        scene.fails = False
        await scene.link.look_for_models()
        assert scene.told[-1] == ["new"]

    play(scene_of)
