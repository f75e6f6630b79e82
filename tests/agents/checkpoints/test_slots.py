"""What a checkpoint says of the KV slot of its conversation, whatever became of turn, file and host."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from msgspec import structs

from aish.agents import adapters
from aish.agents.checkpoints import checkpoint as c
from aish.agents.checkpoints import slots as agents_slots
from aish.agents.checkpoints.checkpoint import Position
from aish.agents.checkpoints.shelf import Shelf
from aish.agents.host.points import Points
from aish.config import slots
from aish.errors import UpstreamError
from aish.wire.reply import SlotKept

from .test_rewinding import slot

if TYPE_CHECKING:
    from conftest import Home

    from aish.agents.checkpoints.checkpoint import Checkpoint


class Host:
    """Of an agent p4, without a supervisor: what the gateway would keep is `gives`."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, begin: str | None = None) -> None:
        self.told: list[str] = []
        self.gives = SlotKept(why="its model's server is busy")
        self.asked: list[bool] = []
        self.used: list[Position] = []
        monkeypatch.setattr(agents_slots, "kept", self._kept)
        monkeypatch.setattr(agents_slots, "use", self._use)
        self.shelf = Shelf(str(folder))
        self.points = Points(str(folder), adapters.load("builtin"), begin, self.told.append)

    def _kept(self, *, alone: bool) -> SlotKept:
        self.asked.append(alone)
        return self.gives

    def _use(self, position: Position) -> str:
        self.used.append(position)
        return ""

    def turn(self, said: str | None = None, status: str = "done") -> Checkpoint:
        """`said` None: nothing comes of it."""
        with self.points.turn() as kept:
            if said is not None:
                kept.keep(said.encode())
            kept.status = status
        return self.newest

    @property
    def newest(self) -> Checkpoint:
        return list(self.shelf.all().values())[-1]


@pytest.fixture
def host(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path / "agents" / "1-p4", monkeypatch)


def test_it_is_in_it_after_a_turn_or_the_reason_is(host: Host) -> None:
    assert c.CACHE not in host.newest.missing, "before the first turn there is nothing to have"
    assert host.turn("one").missing[c.CACHE] == "its model's server is busy"
    host.gives = SlotKept(slot=slot(host.shelf.folder, "two"), told="the one before was damaged")
    taken = host.turn("two")
    assert (taken.cache, taken.missing.get(c.CACHE)) == (host.gives.slot, None)
    assert host.told[-1] == "the one before was damaged"
    assert host.asked == [False, False], "what aish keeps itself is the conversation, whatever was asked beside it"
    host.turn("three")
    assert host.used[-1].cache == taken.cache


def test_a_turn_that_came_to_nothing_leaves_it(host: Host) -> None:
    """The conversation is that of the one before; so is what the server has of it."""
    host.gives = SlotKept(slot=slot(host.shelf.folder, "one"))
    host.turn("one")
    with pytest.raises(UpstreamError), host.points.turn():
        raise UpstreamError("it broke off")
    assert host.newest.turn == 2
    assert host.newest.cache == host.gives.slot
    assert len(host.asked) == 1, "nobody asked for what the server has of the turn that failed"


def test_a_host_that_dies_with_a_new_conversation_has_not_the_slot_of_the_old(host: Host) -> None:
    """A checkpoint that is asked for then would be called exact."""
    host.gives = SlotKept(slot=slot(host.shelf.folder, "one"))
    host.turn("one")
    pid = os.fork()
    if not pid:
        with host.points.turn() as kept:
            kept.keep(b"two")
            os._exit(0)
    os.waitpid(pid, 0)
    position = host.shelf.position
    assert position.kept == host.shelf.keep(b"two")
    assert position.cache is None


def test_a_file_that_has_gone_is_not_captured_any_more(host: Host) -> None:
    part = slot(host.shelf.folder, "one")
    host.gives = SlotKept(slot=part)
    taken = host.turn("one")
    Path(slots.path(host.shelf.folder, part.sha256)).unlink()
    found = host.shelf.get(taken.number, "p4")
    assert (found.cache, found.missing[c.CACHE]) == (None, c.CACHE_GONE)
    assert host.turn().missing[c.CACHE] == c.CACHE_GONE


def test_who_goes_on_from_there_has_it_too(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    part = slot(host.shelf.folder, "one")
    host.gives = SlotKept(slot=part)
    taken = host.turn("one")
    folder = Path(host.shelf.folder).parent / "1-p5"
    fork = Host(folder, monkeypatch, begin=f"1-p4/{taken.number}")
    assert fork.newest.cache == part
    assert Path(slots.path(str(folder), part.sha256)).samefile(slots.path(host.shelf.folder, part.sha256))
    host.shelf.stand(Position())
    host.shelf.drop(list(host.shelf.all()))
    assert not os.listdir(slots.kept(host.shelf.folder))
    assert fork.shelf.has(part)

    late = Host(folder.with_name("1-p6"), monkeypatch, begin=f"1-p5/{fork.newest.number}")
    assert late.newest.cache == part
    Path(slots.path(late.shelf.folder, part.sha256)).unlink()
    last = Host(folder.with_name("1-p7"), monkeypatch, begin=f"1-p6/{late.newest.number}")
    assert (last.newest.cache, last.newest.missing[c.CACHE]) == (None, c.CACHE_GONE)


def test_without_a_supervisor_a_turn_is_a_turn(home: Home, tmp_path: Path) -> None:
    told: list[str] = []
    shelf = Shelf(str(tmp_path / "agents" / "1-p4"))
    points = Points(shelf.folder, adapters.load("builtin"), None, told.append)
    with points.turn() as kept:
        kept.keep(b"one")
        kept.status = "done"
    shelf.stand(structs.replace(shelf.position, cache=slot(shelf.folder, "one")))
    with points.turn() as kept:
        assert kept.conversation == b"one"
    assert told[-1].endswith(": the conversation is read once more")
