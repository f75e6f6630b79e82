"""Every exit code arrives, once it is persisted it is forgotten, and nobody who does not read can stop it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aish.supervisor.holder import link, wire

if TYPE_CHECKING:
    from .conftest import World


@pytest.mark.parametrize("code", [0, 1, 77, 255])
def test_exit_codes(held: World, code: int) -> None:
    """The raw wait status, with what is known beside it."""
    before = time.time()
    reply = held.spawn("p1", ["sh", "-c", f"exit {code}"])
    event = held.exit("p1")
    assert os.waitstatus_to_exitcode(event["status"]) == code
    assert (event["pid"], event["start_time"]) == (reply["pid"], reply["start_time"])
    assert event["maxrss_bytes"] > 100_000
    assert event["utime_s"] + event["stime_s"] < 5
    assert before <= event["ended_at"] <= time.time()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV])
def test_deaths_by_signal(held: World, number: signal.Signals) -> None:
    """The signal that ended it, whether or not it dumped core."""
    held.spawn("p1", ["sleep", "1000"])
    held.call("signal", id="p1", sig=number)
    assert os.WTERMSIG(held.exit("p1")["status"]) == number


def test_usage_is_measured(held: World) -> None:
    """CPU seconds and peak memory of the child, its waited-for children included."""
    held.spawn("p1", ["sh", "-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"])
    event = held.exit("p1")
    assert event["utime_s"] > 0.01


def test_kept_until_acknowledged_across_controllers(held: World) -> None:
    """A controller that goes away without acknowledging loses nothing; one that acknowledged gets it no more."""
    held.spawn("p1", ["sh", "-c", "exit 5"])
    held.spawn("p2", ["sh", "-c", "exit 6"])
    held.exit("p1")
    held.exit("p2")
    held.link.close()
    held.links.clear()
    held.connect()
    exits = held.everything()["exits"]
    assert [(row["id"], row["status"] >> 8) for row in exits] == [("p1", 5), ("p2", 6)]
    assert held.call("ack", ids=["p1", "p1", "nobody"])["acked"] == 1
    assert held.call("ack", ids=["p1"])["acked"] == 0
    held.connect()
    assert [row["id"] for row in held.everything()["exits"]] == ["p2"]


def test_living_children_cannot_be_acknowledged_away(held: World) -> None:
    """An early ack changes nothing."""
    held.spawn("p1", ["sleep", "1000"])
    assert held.call("ack", ids=["p1"])["acked"] == 0
    assert [row["id"] for row in held.everything()["children"]] == ["p1"]


def test_signals(held: World) -> None:
    """To the process or its whole group; nobody else's pid is ever signalled."""
    ours, theirs = os.pipe()
    held.spawn("p1", ["sh", "-c", "sleep 1000 & echo $!; wait"], [held.null, theirs, held.null])
    os.close(theirs)
    with open(ours) as pipe:
        grandchild = int(pipe.readline())
    held.note(grandchild)
    held.call("signal", id="p1", sig=0)
    with pytest.raises(wire.Refusal) as refused:
        held.call("signal", id="p2", sig=9)
    assert refused.value.code == "unknown-id"
    for sig in (-1, 65, "9", None):
        with pytest.raises(wire.Refusal) as refused:
            held.call("signal", id="p1", sig=sig)
        assert refused.value.code == "bad-request"
    assert held.alive(grandchild)
    held.call("signal", id="p1", sig=signal.SIGTERM, group=True)
    assert held.gone(grandchild)
    held.exit("p1")
    with pytest.raises(wire.Refusal) as refused:
        held.call("signal", id="p1", sig=9)
    assert refused.value.code == "reaped"


def test_orphans_are_reaped_and_never_mistaken_for_children(held: World) -> None:
    """A grandchild that outlives its parent ends as the holder's child: no event, no zombie."""
    ours, theirs = os.pipe()
    held.spawn("p1", ["sh", "-c", "(sleep 0.2; exit 9) & echo $!"], [held.null, theirs, held.null])
    os.close(theirs)
    with open(ours) as pipe:
        grandchild = int(pipe.readline())
    held.exit("p1")
    held.eventually(lambda: not os.path.exists(f"/proc/{grandchild}"), "the orphan is reaped")
    assert len([event for event in held.seen if event["event"] == "exit"]) == 1


def spawn_many(world: World, ids: list[str], argv: list[str], fds: list[int] | None = None) -> None:
    """Spawn without waiting for each reply; all of them have succeeded in the end."""
    text = world.payload(argv)
    for at in range(0, len(ids), 50):
        seqs = {world.link.spawn(id, text, fds or [world.null] * 3) for id in ids[at : at + 50]}

        def answered(seqs: set[int] = seqs) -> bool:
            world.link.call("list", after=1 << 52)  # answered in its turn: replies and events pile up meanwhile
            for message in world.link.on_readable():
                if "event" in message.body:
                    world.seen.append(message.body)
                    continue
                assert message.body.get("ok"), message.body
                world.note(message.body["pid"])
                seqs.discard(message.body["seq"])
            return not seqs

        world.eventually(answered, "every spawn is answered")


@pytest.mark.parametrize("count", [500, pytest.param(2000, marks=pytest.mark.slow)])
def test_list_pages_many_children(held: World, count: int) -> None:
    """No page is bigger than a datagram, none is missing and none twice, however many there are."""
    ids = [f"child-with-a-rather-long-name-{number}" for number in range(count)]
    spawn_many(held, ids, ["sleep", "1000"])
    for id in ids[::2]:
        held.link.send("signal", id=id, sig=signal.SIGKILL)
    held.events(lambda seen: len(seen) == count // 2)
    held.connect()
    listed = held.everything()
    assert [row["id"] for row in listed["children"]] == ids[1::2]
    assert sorted(row["id"] for row in listed["exits"]) == sorted(ids[::2])
    assert held.call("list")["next"] is not None
    held.call("quit", force=True)  # its answer comes after all their exits, however slowly we read


@pytest.mark.parametrize("count", [600, pytest.param(1500, marks=pytest.mark.slow)])
def test_controller_that_does_not_read_blocks_nobody(held: World, count: int) -> None:
    """It sleeps while many children end: others are answered, the holder's memory stays, nothing is lost."""
    ids = [f"{'long-name-' * 10}{number}" for number in range(count)]
    ours, theirs = os.pipe()
    spawn_many(held, ids, ["cat"], [ours, held.null, held.null])
    os.close(ours)
    before = resident_bytes(held.hello["pid"])
    os.close(theirs)  # all of them end; their exits are more than the socket holds
    client = link.HolderLink.connect(held.runtime_dir)
    held.links.append(client)
    children = Path(f"/proc/{held.hello['pid']}/task/{held.hello['pid']}/children")
    held.eventually(lambda: not children.read_text(), "everyone is reaped")
    client.call("hello", version=wire.VERSION, role=wire.CLIENT)
    assert resident_bytes(held.hello["pid"]) < before + 8_000_000
    held.events(lambda seen: len({event["id"] for event in seen}) == count)
    assert all(event["status"] == 0 for event in held.seen)
    assert len(held.seen) == count
    assert {row["id"] for row in held.everything()["exits"]} == set(ids)


def resident_bytes(pid: int) -> int:
    """Of /proc/PID/statm."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
