"""kill -9 of the daemon, the holder, the keeper, at any moment: nothing that runs notices, nothing runs twice."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import signal
import sys
import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from aish.client import connect, launch
from aish.supervisor.daemon.journal import open_journal
from aish.supervisor.daemon.recorder import Recorder
from aish.supervisor.daemon.row import Row
from aish.supervisor.daemon.table import Table
from aish.supervisor.daemon.takeover import Takeover
from aish.supervisor.daemon.told import Told
from aish.supervisor.holder.wire import HolderError
from aish.wire.message import KeyList, Snapshot, Spawn, Stop, Wait
from aish.wire.reply import Done, Started, View, Waited
from aish.wire.spec import SpecPart

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Supervised


def test_the_proxy_of_an_older_journal_is_written_at_its_own_place(tmp_path: Path) -> None:
    """Fault: it had its new number in memory alone; the gateway was written over it, and a kill -9 lost it."""
    path = str(tmp_path / "processes.db")

    def own(id_: str) -> Row:
        return Row(id=id_, number=0, name=id_, spec=SpecPart(argv=[b"x"]), lifecycle="running", created_s=1.0)

    async def scene() -> None:
        older = open_journal(path)
        older.begin(1)
        older.save([own("egress")], [])
        journal = open_journal(path)
        told, loop = Told(lambda: str(tmp_path)), asyncio.get_running_loop()
        recorder = Recorder(journal, loop, told=told, reopen=lambda: open_journal(path), rows=list)
        daemon: Any = SimpleNamespace(table=Table(1), recorder=recorder)
        Takeover(daemon).load(journal.rows())
        recorder.change(own("gateway"))
        assert recorder.flush()

    asyncio.run(scene())
    assert {row.id: row.number for row in open_journal(path).rows()} == {"egress": -1, "gateway": 0}


@pytest.mark.usefixtures("home")
def test_what_runs_goes_on_and_is_known(up: Supervised) -> None:
    started = up.spawn("sh", "-c", "read x; echo $x; exit 5", name="job", fds={0: (ends := os.pipe())[0]})
    os.close(ends[0])
    before = up.row("job")
    up.kill_daemon()
    up.next_daemon()
    after = up.row("job")
    assert (after.id, after.pid, after.state, after.started_s) == (
        started.id,
        started.pid,
        "running",
        before.started_s,
    )
    os.write(ends[1], b"hello\n")
    os.close(ends[1])
    assert up.code("job") == 5
    assert up.log("job")[0] == "hello\n"


@pytest.mark.usefixtures("home")
def test_an_exit_while_no_daemon_runs_is_learned(up: Supervised) -> None:
    """The holder keeps it until the journal has it."""
    keeper, holder = up.holder_pids()
    started = up.python("import time; time.sleep(0.3); raise SystemExit(7)")
    os.kill(holder, signal.SIGSTOP)  # no new daemon meanwhile
    try:
        up.kill_daemon()
        up.until("it has ended", lambda: zombie(started.pid))
    finally:
        os.kill(holder, signal.SIGCONT)
    assert keeper
    assert up.code(started.id) == 7
    assert [event.kind for event in up.events() if event.process == started.id].count("exited") == 1


def zombie(pid: int | None) -> bool:
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return file.read().rpartition(")")[2].split()[0] == "Z"


@pytest.mark.usefixtures("home")
def test_a_stop_is_carried_through_by_the_next_daemon(up: Supervised) -> None:
    """Stopping, then killed before the grace was over: the stubborn process must not live for ever."""
    code = "import signal, os; signal.signal(15, signal.SIG_IGN); os.write(1, b'up'); signal.pause()"
    started = up.python(code, grace_s=0.5)
    up.until("the handler is set", lambda: up.log(started.id)[0] == "up")
    up.client.ask(Done, Stop(target=started.id))
    up.kill_daemon()
    end = up.wait(started.id).exit
    assert end is not None
    assert (end.signal, end.reason) == (9, "cancelled")


@pytest.mark.parametrize("victim", ["daemon", "holder"])
@pytest.mark.usefixtures("home")
def test_an_end_that_is_known_is_not_forgotten_while_the_rest_ends(up: Supervised, victim: str) -> None:
    """Its leader has ended and that is acknowledged, what it started still uses the grace: that was told as lost."""
    stubborn = "import signal, os, time; signal.signal(15, signal.SIG_IGN); os.write(1, b'up'); time.sleep(60)"
    started = up.spawn("sh", "-c", '"$0" -I -S -c "$1" & exec sleep 60', sys.executable, stubborn, grace_s=2.0)
    up.until("the handler is set", lambda: up.log(started.id)[0] == "up")
    up.client.ask(Done, Stop(target=started.id))
    up.until("the leader's end is written down", lambda: up.row(started.id).state == "stopping" and gone(started.pid))
    if victim == "daemon":
        up.kill_daemon()
    else:
        os.kill(up.holder_pids()[1], signal.SIGKILL)
    ended = up.wait(started.id)
    assert ended.exit is not None
    assert (ended.state, ended.exit.signal, ended.exit.reason) == ("exited", 15, "cancelled")


def gone(pid: int | None) -> bool:
    return not os.path.exists(f"/proc/{pid}")


def test_the_holder_dies(up: Supervised) -> None:
    """The keeper forks another: children run, exits are learned, spawning goes on, by the same daemon."""
    _, holder = up.holder_pids()
    started = up.python("import time; time.sleep(0.5); raise SystemExit(7)")
    daemon = up.daemon_pid
    os.kill(holder, signal.SIGKILL)
    assert up.code(started.id) == 7
    assert up.code(up.spawn("sh", "-c", "exit 3").id) == 3
    assert up.daemon_pid == daemon


def test_a_spawn_under_way_when_the_holder_dies(up: Supervised) -> None:
    """The request may have died with it: it is repeated, with its client's descriptors, and runs once."""
    _, holder = up.holder_pids()
    read_end, write_end = os.pipe()
    started: list[Started] = []
    os.kill(holder, signal.SIGSTOP)
    spawner = threading.Thread(
        target=lambda: started.append(up.spawn("sh", "-c", "echo once; exit 3", fds={1: write_end}, name="job"))
    )
    spawner.start()
    with connect() as other:
        up.until("it is promised", lambda: bool(other.ask(View, Snapshot()).processes))
    os.kill(holder, signal.SIGKILL)
    spawner.join(20)
    os.close(write_end)
    assert up.code(started[0].id) == 3
    with open(read_end, "rb") as pipe:
        assert pipe.read() == b"once\n"


def test_the_keeper_dies(up: Supervised) -> None:
    keeper, _ = up.holder_pids()
    started = up.python("import time; time.sleep(0.3); raise SystemExit(7)")
    os.kill(keeper, signal.SIGKILL)
    assert up.code(started.id) == 7
    assert up.code(up.spawn("sh", "-c", "exit 3").id) == 3


@pytest.mark.usefixtures("home")
def test_keeper_and_holder_die_together(up: Supervised) -> None:
    """Children become init's: adopted by pid and start time, never started twice, and stopped by pidfd."""
    keeper, holder = up.holder_pids()
    url = up.client.welcome.gateway_url
    up.client.request(KeyList())  # has the gateway started
    lives = up.spawn("sleep", "60", name="lives")
    ends = up.python("import time; time.sleep(2); raise SystemExit(7)", name="ends")
    os.kill(holder, signal.SIGSTOP)  # neither must notice the other's death
    os.kill(keeper, signal.SIGSTOP)
    os.kill(keeper, signal.SIGKILL)
    os.kill(holder, signal.SIGKILL)
    up.until("both are gone", lambda: not os.path.exists(f"/proc/{holder}") or zombie(holder))
    waited = up.client.ask(Waited, Wait(target="ends", timeout_s=60))
    assert waited.exit is not None
    if waited.state == "lost":  # Linux before 6.15
        assert (waited.exit.code, waited.exit.signal) == (None, None)
    else:
        assert waited.exit.code == 7
    row = up.row("lives")
    assert (row.pid, row.state) == (lives.pid, "running")
    up.client.ask(Done, Stop(target="lives"))
    assert up.wait("lives").state in ("exited", "lost")
    assert ends.pid is not None
    assert up.client.welcome.gateway_url == url, "the gateway that lived on must give its port back"
    up.client.request(KeyList())
    assert up.code(up.spawn("sh", "-c", "exit 3").id) == 3


@pytest.mark.usefixtures("home")
def test_a_daemon_that_is_asked_to_end_is_replaced(up: Supervised) -> None:
    """SIGTERM (a person, a service manager) is no reason to lose anything, nor to stay away."""
    started = up.spawn("sleep", "60", name="job")
    first = up.daemon_pid
    os.kill(first, signal.SIGTERM)
    up.until("it has ended", lambda: not os.path.exists(f"/proc/{first}"))
    assert up.row("job").pid == started.pid
    assert up.daemon_pid != first


def test_a_second_daemon_leaves(up: Supervised) -> None:
    """Two writers of one table would lose both."""
    import subprocess

    second = subprocess.run([sys.executable, "-m", "aish.supervisor.daemon"], timeout=60, check=False)
    assert second.returncode == 0
    assert up.code(up.spawn("sh", "-c", "exit 3").id) == 3


SPAWN_S = 0.006
"""What one spawn takes, about: the kills are spread over all of them."""


def stream_of_spawns(up: Supervised, tmp_path: Path, count: int, kills: int) -> None:
    """Spawn `count` processes, each appending its number to one file; kill the daemon at random moments."""
    seen = tmp_path / "seen"
    ids: list[str] = []
    failures: list[BaseException] = []
    surroundings = launch.capture()

    def spawn_all() -> None:
        try:
            with connect() as client:
                for number in range(count):
                    spec = SpecPart(
                        argv=[b"sh", b"-c", b"echo $0 >> $1; exit $2"]
                        + [os.fsencode(str(word)) for word in (number, seen, number % 251)]
                    )
                    request = Spawn(token=secrets.token_hex(16), spec=spec, launch=surroundings)
                    ids.append(client.ask(Started, request).id)
        except BaseException as error:  # noqa: BLE001  shown by the test's own thread
            failures.append(error)

    spawner = threading.Thread(target=spawn_all)
    spawner.start()
    rng = random.Random(7)
    during = 0
    for _ in range(kills):
        time.sleep(rng.uniform(0.0, 2 * count * SPAWN_S / kills))  # at any moment: that is what is tested
        up.next_daemon()
        up.kill_daemon()
        during += spawner.is_alive()
    spawner.join(300)
    assert during > kills // 2, "most kills came too late to disturb anything"
    assert not failures, failures
    assert not spawner.is_alive()
    up.next_daemon()
    for number, id_ in enumerate(ids):
        assert up.code(id_) == number % 251, f"{id_}, the {number}th: {up.row(id_)}"
    assert sorted(map(int, seen.read_text().split())) == list(range(count)), "not each exactly once"
    assert len(set(ids)) == count
    assert len([event for event in up.events() if event.kind == "exited"]) == count


@pytest.mark.parametrize(
    ("kills", "count"),
    [
        (8, 80),
        pytest.param(20, 200, marks=pytest.mark.slow),
        pytest.param(20, 1000, marks=[pytest.mark.slow, pytest.mark.timeout(400)]),
    ],
)
@pytest.mark.usefixtures("home")
def test_kills_during_spawns(up: Supervised, tmp_path: Path, kills: int, count: int) -> None:
    stream_of_spawns(up, tmp_path, count, kills)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("seed", "victims"),
    [(1, ["daemon", "daemon", "holder", "keeper"]), (2, ["daemon", "holder", "keeper", "both"])],
)
@pytest.mark.usefixtures("home")
def test_chaos(up: Supervised, tmp_path: Path, seed: int, victims: list[str]) -> None:
    """Any of the three at any moment: each id once, all exit codes. Both parents at once: 'lost' at worst."""
    count, seen = 200, tmp_path / "seen"
    started: dict[int, str] = {}
    failures: list[BaseException] = []
    surroundings = launch.capture()

    def spawn_some(first: int) -> None:
        try:
            with connect() as client:
                for number in range(first, count, 3):
                    words = [b"sh", b"-c", b"echo $0 >> $1; exit $2"]
                    words += [os.fsencode(str(word)) for word in (number, seen, number % 251)]
                    null = os.open(os.devnull, os.O_RDWR)
                    passed = [null] if number % 2 else []
                    spec = SpecPart(argv=words)
                    request = Spawn(
                        token=secrets.token_hex(16), spec=spec, launch=surroundings, targets=[1][: len(passed)]
                    )
                    started[number] = client.ask(Started, request, passed).id
                    os.close(null)
        except BaseException as error:  # noqa: BLE001  shown by the test's own thread
            failures.append(error)

    spawners = [threading.Thread(target=spawn_some, args=(first,)) for first in range(3)]
    for spawner in spawners:
        spawner.start()
    rng = random.Random(seed)
    while any(spawner.is_alive() for spawner in spawners):
        # At any moment, also of a start. But on a busy machine a start takes longer than from one kill to the next:
        # then nobody would ever be served, and clients give up, as they should.
        if rng.random() < 0.7:
            connect(program="test", patience_s=120.0).close()
        time.sleep(rng.uniform(0.0, 0.4))
        victim = rng.choice(victims)
        try:
            pids = up.programs()
            for name in ("holder", "keeper") if victim == "both" else (victim,):
                os.kill(pids[name], signal.SIGSTOP if victim == "both" else signal.SIGKILL)
            for name in ("keeper", "holder") if victim == "both" else ():
                os.kill(pids[name], signal.SIGKILL)
        except (HolderError, OSError, TypeError):
            continue  # one of them is just being started
    assert not failures, failures
    up.next_daemon()
    lost = []
    for number, id_ in started.items():
        waited = up.wait(id_, timeout_s=60)
        if waited.state == "lost" and "both" in victims:
            lost.append(number)
        else:
            assert waited.exit is not None
            assert waited.exit.code == number % 251, f"{id_}: {up.row(id_)}"
    ran = sorted(map(int, seen.read_text().split()))
    assert len(ran) == len(set(ran)), "started twice"
    assert set(range(count)) - set(ran) <= set(lost)
    assert not [event for event in up.events() if event.kind == "fault"]
