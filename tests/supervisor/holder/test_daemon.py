"""The holder's daemon: started, started again, left alone after bye, and the only one that may be controller."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from aish.supervisor.holder import link, wire
from aish.supervisor.holder.keeper import ASKED_PAUSE_S
from aish.supervisor.holder.revival import BURST, BURST_DELAY_S, FIRST_DELAY_S, MOST_DELAY_S, STEADY_S, Revival

if TYPE_CHECKING:
    from .conftest import World

# Says hello, tells its environment, then does what it reads from its FIFO: "bye", "die", "quit", "spawn".
DAEMON = """
import json, os, sys
from aish.supervisor.holder import link, wire
folder = sys.argv[1]
connection = link.HolderLink.connect(os.environ["AISH_RUNTIME_DIR"])
hello = connection.call("hello", version=wire.VERSION, role=wire.CONTROLLER).body
with open(folder + "/starts", "a") as file:
    file.write(json.dumps({"pid": os.getpid(), "ppid": os.getppid(), "hello": hello, "env": dict(os.environ),
                           "fds": sorted(map(int, os.listdir("/proc/self/fd"))), "cwd": os.getcwd()}) + "\\n")
fifo = os.open(folder + "/fifo", os.O_RDONLY | os.O_NONBLOCK)  # without a test at its other end: the end, not a wait
os.set_blocking(fifo, True)
for line in open(fifo):
    word = line.strip()
    if word == "bye":
        connection.call("bye")
        sys.exit(0)
    if word == "die":
        sys.exit(3)
    if word == "spawn":
        null = os.open("/dev/null", os.O_RDWR)
        text = wire.encode_payload([b"sleep", b"1000"], [b"PATH=/bin:/usr/bin"], b"/", umask=18, nice=os.nice(0))
        memfd = wire.payload_fd(text)
        connection.call("spawn", [memfd, null, null, null], id="p1")
    if word.startswith("quit"):
        connection.call("quit", force=word == "quit!")
        sys.exit(0)
"""


class Kept:
    """A world with such a daemon."""

    def __init__(self, world: World) -> None:
        self.world = world
        os.mkfifo(world.folder / "fifo")
        self.fifo = os.open(world.folder / "fifo", os.O_RDWR)
        self.starts_file = world.folder / "starts"
        self.starts_file.touch()
        world.launch([sys.executable, "-c", DAEMON, str(world.folder)])

    def starts(self, count: int) -> list[dict]:
        """The first `count` starts, waited for."""

        def found() -> list[str]:
            lines = self.starts_file.read_text().split("\n")[:-1]  # whole lines
            return lines if len(lines) >= count else []

        starts = [json.loads(line) for line in self.world.eventually(found, f"start {count} of the daemon")]
        for start in starts:
            self.world.note(start["pid"])
        return starts

    def tell(self, word: str) -> None:
        os.write(self.fifo, f"{word}\n".encode())

    def ask(self) -> dict:
        """`daemon`, as any client may."""
        client = self.world.connect(wire.CLIENT)
        return client.call("daemon").body


@pytest.fixture
def kept(world: World):
    made = Kept(world)
    yield made
    os.close(made.fifo)


def test_started_with_the_launchers_environment_and_the_folder(kept: Kept) -> None:
    """At once, as the holder's child, with 0, 1, 2 and nothing else; it alone may be the controller."""
    (start,) = kept.starts(1)
    assert start["ppid"] == start["hello"]["pid"]
    assert start["hello"]["daemon_pid"] == start["pid"]
    environment = {**os.environ, "AISH_RUNTIME_DIR": kept.world.runtime_dir}
    for name in ("LC_CTYPE", "PYTEST_CURRENT_TEST"):  # an interpreter may add the one, pytest changes the other
        start["env"].pop(name, None)
        environment.pop(name, None)
    assert start["env"] == environment
    assert start["cwd"] == "/"
    assert set(start["fds"]) <= {0, 1, 2, 3, 4, 5}
    with pytest.raises(wire.Refusal) as refused:
        kept.world.connect(wire.CONTROLLER)
    assert refused.value.code == "not-allowed"
    assert kept.ask()["started"] is False


def test_started_again_whenever_it_dies(kept: Kept) -> None:
    """Killed, without delay; ended by itself soon after its start, after a moment."""
    for number in range(1, 6):
        pid = kept.starts(number)[-1]["pid"]
        if number % 2:
            os.kill(pid, signal.SIGKILL)
        else:
            kept.tell("die")
        assert kept.world.gone(pid)
    assert len({start["pid"] for start in kept.starts(6)}) == 6


def test_started_once_over_takeovers(kept: Kept) -> None:
    """A new holder finds the daemon that runs, and one that died with the holder is started again."""
    (start,) = kept.starts(1)
    world = kept.world
    world.connect(wire.CLIENT)
    for who in ("pid", "keeper_pid"):
        dead = world.hello[who]
        world.kill(who)
        world.eventually(lambda dead=dead: other_holder(world, dead), "another holder answers")
        assert world.hello["daemon_pid"] == start["pid"]
        assert kept.ask() == {"seq": 2, "ok": True, "pid": start["pid"], "started": False}
    os.kill(start["pid"], signal.SIGKILL)
    assert kept.starts(2)[1]["pid"] != start["pid"]


def other_holder(world: World, dead: int) -> bool:
    try:
        world.connect(wire.CLIENT)
    except link.GoneError:
        return False
    return dead not in (world.hello["pid"], world.hello["keeper_pid"])


def test_left_alone_after_bye_until_somebody_asks(kept: Kept) -> None:
    """Also by a holder that takes over meanwhile; `launch` asks."""
    (start,) = kept.starts(1)
    kept.tell("bye")
    assert kept.world.gone(start["pid"])
    kept.world.connect(wire.CLIENT)
    dead = kept.world.hello["pid"]
    kept.world.kill("pid")
    kept.world.eventually(lambda: other_holder(kept.world, dead), "another holder answers")
    assert kept.world.hello["daemon_pid"] is None
    answer = kept.ask()
    assert answer["started"] is True
    assert kept.starts(2)[1]["pid"] == answer["pid"]
    kept.tell("bye")
    assert kept.world.gone(answer["pid"])
    kept.world.launch(["/not/used"])
    assert len(kept.starts(3)) == 3


def test_that_cannot_start_is_told_and_does_not_spin(world: World) -> None:
    """The client that asks hears why; the holder waits longer each time, and serves meanwhile."""
    world.launch(["/no/such/daemon"])
    client = world.connect(wire.CLIENT)
    with pytest.raises(wire.Refusal) as refused:
        client.call("daemon")
    assert refused.value.code == "spawn"
    assert refused.value.details["stage"] == "exec"
    select.select([], [], [], 1.0)  # what is counted here is attempts per time
    assert 2 <= world.log.read_text().count("did not start") <= 8


def test_quit_by_the_daemon(kept: Kept) -> None:
    """The normal end: the daemon asks, ends itself, and nothing is left."""
    kept.starts(1)
    kept.world.connect(wire.CLIENT)
    kept.tell("quit")
    for pid in (kept.world.hello["pid"], kept.world.hello["keeper_pid"], kept.starts(1)[0]["pid"]):
        assert kept.world.gone(pid)
    assert os.listdir(kept.world.runtime_dir) == []


def test_forced_quit_by_the_daemon(kept: Kept) -> None:
    """With a child alive."""
    kept.starts(1)
    kept.world.connect(wire.CLIENT)
    kept.tell("spawn")
    kept.tell("quit!")
    for pid in (kept.world.hello["pid"], kept.world.hello["keeper_pid"]):
        assert kept.world.gone(pid)


def failing(revival: Revival, now: float, *, greeted: bool) -> list[float]:
    """The delays before twelve starts that each fail at once."""
    delays = []
    for _ in range(12):
        revival.started(now)
        assert revival.due is None
        if greeted:
            revival.greeted()
        revival.ended(now)
        assert revival.due is not None
        delays.append(revival.due - now)
        now = revival.due
    return delays


@pytest.mark.parametrize("greeted", [False, True])
def test_revival_backs_off_and_recovers(greeted: bool) -> None:
    """Delays double up to a bound, also where it ends just after its hello: one whose socket could not be made was
    started once a second for ever."""
    revival = Revival()
    delays = failing(revival, 0.0, greeted=greeted)
    assert delays[:4] == pytest.approx([FIRST_DELAY_S * 2**power for power in range(4)])
    assert delays[-1] == MOST_DELAY_S
    revival.started(1000.0)
    revival.greeted()
    revival.ended(1000.0 + STEADY_S)
    assert revival.due == 1000.0 + STEADY_S, "one that was at work is started again at once"
    assert failing(revival, 2000.0, greeted=greeted) == pytest.approx(delays), "and has it begin anew"
    revival.started(3000.0)
    revival.ended(3000.0, said_bye=True)
    assert revival.due is None


def test_revival_of_a_daemon_that_an_earlier_holder_started() -> None:
    revival = Revival()
    revival.greeted()
    revival.ended(5.0)
    assert revival.due == 5.0


def test_revival_bounds_the_rate_of_a_daemon_that_dies_after_hello() -> None:
    """Killed again and again: a burst at once, then one a second."""
    revival = Revival()
    for _ in range(BURST - 1):
        revival.started(0.0)
        revival.greeted()
        revival.ended(0.0, killed=True)
        assert revival.due == 0.0
    revival.started(0.0)
    revival.greeted()
    revival.ended(0.0, killed=True)
    assert revival.due == BURST_DELAY_S
    revival.started(1000.0)
    revival.greeted()
    revival.ended(1000.0, killed=True)
    assert revival.due == 1000.0


WATCH = """
import socket, sys, time, types
from aish.supervisor.holder import keeper
listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listener.bind("")
listener.listen()
comer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
if sys.argv[1] == "asked":
    comer.connect(listener.getsockname())
begun = time.monotonic()
keeper.Inheritance(types.SimpleNamespace(listener=listener)).watch_for(float(sys.argv[2]))
print(time.monotonic() - begun)
"""


@pytest.mark.parametrize(("comes", "pause_s", "least_s"), [("asked", 30.0, ASKED_PAUSE_S), ("nobody", 1.2, 1.2)])
def test_the_keeper_pauses_less_while_somebody_waits(comes: str, pause_s: float, least_s: float) -> None:
    """Between holders that die at once: a client does not wait for half a minute."""
    done = subprocess.run(
        [sys.executable, "-c", WATCH, comes, str(pause_s)], capture_output=True, text=True, check=True, timeout=25
    )
    assert least_s - 0.01 <= float(done.stdout) < 20, done.stdout
