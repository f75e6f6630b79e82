"""A disk that is really full, a small tmpfs: what is told of that time, and how to get out of it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aish.cli import shutdown
from aish.client import connect
from aish.client.answers import EventAnswers
from aish.errors import DisconnectedError, StorageError
from aish.wire.message import Events, Forget
from aish.wire.reply import Done, EventList

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Supervised

    from aish.wire.part import EventPart


@pytest.fixture
def small(home: Any) -> Iterator[Path]:
    """The state folder on a disk of 6 MB."""
    state = home.root / "state"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6M,mode=700", "none", state], check=True)
    try:
        yield state
        shutdown.main([])
    finally:
        subprocess.run(["umount", "-l", state], check=True)


def _follow(up: Supervised) -> Iterator[EventPart]:
    """As `aish events -f` does, over the daemons' ends."""
    wanted = EventAnswers(Events(follow=True))
    with connect(program="test") as client:
        client.send(wanted.request())
        while True:
            try:
                yield from wanted.feed(client.receive())
            except DisconnectedError:
                client.reconnect()
                client.send(wanted.request())


@pytest.mark.root
def test_a_full_disk_and_the_daemons_death_lose_no_event_and_repeat_no_number(small: Path, up: Supervised) -> None:
    """The next daemon began with 1 again: its events were lost on who had seen these numbers, or told twice."""
    up.spawn("sleep", "60", name="long")
    trigger = up.spawn("sh", "-c", "read x; exit 9", fds={0: (ends := os.pipe())[0]}, name="trig")
    os.close(ends[0])
    up.spawn("sh", "-c", "head -c 10000000 /dev/zero | tr '\\0' y; exit 5", name="filler")
    assert up.code("filler") == 5
    up.until("it is told", lambda: any("is not written" in alert for alert in up.view().alerts))
    followed = _follow(up)
    seen = [next(followed)]
    while seen[-1].kind != "storage-failed":
        seen.append(next(followed))
    up.kill_daemon()
    up.next_daemon()
    os.close(ends[1])
    assert up.code("trig") == 9
    while (seen[-1].kind, seen[-1].process) != ("exited", trigger.id):
        seen.append(next(followed))
    os.truncate(Path(os.fsdecode(up.inspect("filler").log_out or b"")), 0)
    while seen[-1].kind != "storage-back":
        seen.append(next(followed))
    numbers = [event.number for event in seen]
    assert numbers == sorted(set(numbers)), "no number is told twice, none runs backwards"
    kept = up.client.ask(EventList, Events()).events
    told = [(event.kind, event.process) for event in seen]
    assert told.count(("exited", trigger.id)) == 1
    assert [(event.number, event.kind) for event in kept if event.number in numbers] == [
        (event.number, event.kind) for event in seen if event in kept
    ]


@pytest.mark.root
def test_forget_makes_room_on_a_full_disk(small: Path, up: Supervised) -> None:
    """It was refused, with the advice to free some space: which is what it does."""
    up.spawn("true", name="tiny")
    up.wait("tiny")
    up.spawn("sh", "-c", "head -c 10000000 /dev/zero | tr '\\0' y; exit 5", name="filler")
    up.wait("filler")
    with pytest.raises(StorageError, match=r"processes\.db"):
        up.spawn("true")
    for name in ("tiny", "filler"):
        assert up.client.ask(Done, Forget(target=name)).changed
    assert up.view().alerts == []
    assert up.spawn("true", name="after").id == "p3"
    up.kill_daemon()
    up.next_daemon()
    assert [row.name for row in up.view(all=True).processes if row.kind != "system"] == ["after"]
