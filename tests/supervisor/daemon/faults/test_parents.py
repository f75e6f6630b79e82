"""Keeper, holder and daemon killed, alone and in pairs, at moments when something is half done."""

from __future__ import annotations

import json
import os
import platform
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from aish.supervisor.holder.wire import HolderError
from aish.wire.message import Cont, Pause, Stop, Wait
from aish.wire.reply import Done, Waited
from aish.wire.spec import NeedPart

if TYPE_CHECKING:
    from conftest import Supervised

TELLS_EXITS = tuple(map(int, platform.release().split(".")[:2])) >= (6, 15)


def running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.usefixtures("home")
def test_both_killed_the_code_of_a_long_run_is_known(up: Supervised) -> None:
    """What was watched for longer than half a second was 'unknown': init had not reaped it yet at the only look."""
    read_end, write_end = os.pipe()
    up.spawn("sh", "-c", "read x; exit 7", name="job", fds={0: read_end})
    os.close(read_end)
    before = up.daemon_pid
    up.kill_parents()
    another(
        up, "daemon", before
    )  # from its start on it watches; before that nobody can (docs/reference/supervision.md)
    up.next_daemon()
    assert up.row("job").state == "running"
    waiter: list[Waited] = []
    wait = threading.Thread(target=lambda: waiter.append(up.client.ask(Waited, Wait(target="job", timeout_s=60))))
    wait.start()
    wait.join(1.0)  # long after the watch began
    os.close(write_end)
    wait.join(20)
    end = waiter[0].exit
    assert end is not None
    if not TELLS_EXITS:
        assert (end.code, end.signal) in ((None, None), (7, None)), "unknown is a value"
        pytest.skip(
            f"Linux {platform.release()} does not tell the exit of another's child: it was unknown, as it must"
        )
    assert end.code == 7


@pytest.mark.skipif(
    not TELLS_EXITS, reason="before Linux 6.15 a child that init has reaped tells nobody how it ended"
)
@pytest.mark.usefixtures("home")
def test_both_killed_what_ends_before_the_next_daemon_looks_is_known(up: Supervised) -> None:
    """It was 'lost': the daemon that noticed left, and the next one found nobody. Its pidfds go on to that one."""
    read_end, write_end = os.pipe()
    names = [f"job{number}" for number in range(20)]
    for number, name in enumerate(names):
        up.spawn("sh", "-c", f"read x; exit {number}", name=name, fds={0: read_end})
    os.close(read_end)
    stays = up.spawn("sleep", "300", name="stays")
    before = up.daemon_pid
    up.kill_parents()
    os.close(write_end)
    another(up, "daemon", before)
    up.next_daemon()
    assert [up.code(name) for name in names] == list(range(20))
    row = up.row("stays")
    assert (row.state, row.pid) == ("running", stays.pid)
    ends = [event.process for event in up.events() if event.kind == "exited"]
    assert len(ends) == len(set(ends)) == 20, "each end is told once"


@pytest.mark.skipif(
    not TELLS_EXITS, reason="before Linux 6.15 a child that init has reaped tells nobody how it ended"
)
@pytest.mark.usefixtures("home")
def test_both_killed_twice_the_pidfds_go_on_to_the_third_daemon(up: Supervised) -> None:
    """A new daemon opens its own, soon after it has taken over."""
    read_end, write_end = os.pipe()
    up.spawn("sh", "-c", "read x; exit 7", name="job", fds={0: read_end})
    os.close(read_end)
    for _ in range(2):
        before = up.daemon_pid
        up.kill_parents()
        another(up, "daemon", before)
        up.next_daemon()
    os.close(write_end)
    assert up.code("job") == 7


@pytest.mark.usefixtures("home")
def test_both_killed_during_a_stop_the_stop_goes_on(up: Supervised) -> None:
    """The next daemon watched it for ever: no signal was sent, no grace was running."""
    code = "import signal, os; signal.signal(15, signal.SIG_IGN); os.write(1, b'up'); signal.pause(); signal.pause()"
    started = up.python(code, grace_s=1.0)
    up.until("the handler is set", lambda: up.log(started.id)[0] == "up")
    up.client.ask(Done, Stop(target=started.id))
    up.kill_parents()
    waited = up.wait(started.id)
    assert waited.exit is not None
    assert started.pid is not None
    assert not running(started.pid)


@pytest.mark.usefixtures("home")
def test_both_killed_a_paused_process_stays_paused_and_can_go_on(up: Supervised) -> None:
    started = up.spawn("sleep", "300", name="job")
    up.client.ask(Done, Pause(target="job"))
    up.kill_parents()
    assert up.row("job").state == "paused"
    up.client.ask(Done, Cont(target="job"))
    assert started.pid is not None
    up.until("it goes on", lambda: state(started.pid) == "S")
    up.client.ask(Done, Stop(target="job", grace_s=0))


def state(pid: int | None) -> str:
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return file.read().rpartition(")")[2].split()[0]


@pytest.mark.parametrize("run", range(10))
def test_holder_killed_while_a_process_is_let_go_on(up: Supervised, run: int) -> None:
    """The SIGCONT died with the holder: 'running' in every view, and stopped for ever."""
    started = up.spawn("sleep", "300", name="job")
    up.client.ask(Done, Pause(target="job"))
    _, holder = up.holder_pids()
    os.kill(holder, signal.SIGSTOP)
    waiter = threading.Thread(target=lambda: up.client.ask(Done, Cont(target="job")))
    waiter.start()
    waiter.join(0.02 * (run % 3))  # so that the signal lies in the socket of a stopped holder, or does not yet
    os.kill(holder, signal.SIGKILL)
    waiter.join(20)
    up.until("it goes on", lambda: state(started.pid) == "S")


@pytest.mark.parametrize("size", [20_000, 200_000])
def test_the_last_words_of_a_terminal_are_in_its_log(up: Supervised, size: int) -> None:
    """A quarter of the output was cut where a program wrote and ended: its terminal was closed unread."""
    code = "import sys; sys.stdout.write('x' * int(sys.argv[1]) + 'END'); sys.stdout.flush()"
    for _ in range(15):
        started = up.python(code, str(size), pty=True)
        up.wait(started.id)
        text = up.log(started.id)[0]
        assert (len(text), text[-3:]) == (size + 3, "END")


def another(up: Supervised, name: str, before: int) -> None:
    def there() -> bool:
        try:
            return up.programs()[name] not in (before, None)
        except (HolderError, OSError, TypeError):  # one of them is just being replaced
            return False

    up.until(f"there is another {name}", there)


@pytest.mark.usefixtures("home")
def test_keeper_and_holder_killed_one_after_the_other(up: Supervised) -> None:
    """The first death makes the other its heir; the second must find everything, too."""
    jobs = [up.python("import sys; sys.stdin.read(); raise SystemExit(int(sys.argv[1]))", "5") for _ in range(3)]
    assert all(up.code(job.id) == 5 for job in jobs)
    read_end, write_end = os.pipe()
    up.spawn("sh", "-c", "read x; exit 9", name="job", fds={0: read_end})
    os.close(read_end)
    for _ in range(3):
        for name in ("holder", "keeper"):
            victim = up.programs()[name]
            os.kill(victim, signal.SIGKILL)
            another(up, name, victim)
    os.close(write_end)
    end = up.wait("job").exit
    assert end is not None
    assert end.code == 9 if TELLS_EXITS else end.code in (9, None)


@pytest.mark.usefixtures("home")
def test_keeper_and_holder_die_together_what_waits_goes_on_waiting(up: Supervised) -> None:
    """It was `lost: did it run?`, and had never been asked of anybody."""
    up.spawn("sleep", "100", name="first")
    up.spawn("true", name="second", needs=[NeedPart(name="first", until="completed")])
    before = up.holder_pids()
    up.kill_parents()
    up.until("the next ones are there", lambda: up.holder_pids() != before)
    assert up.row("second").state == "queued"
    up.client.ask(Done, Stop(target="first"))
    up.wait("second")


@pytest.mark.usefixtures("home")
def test_all_three_die_and_a_look_brings_the_daemon_back(up: Supervised) -> None:
    """`ps` said that nothing was supervised, `shutdown` that it was done, while everything lived."""
    pid = up.spawn("sleep", "100", name="first").pid
    programs = up.programs()
    for name in ("keeper", "holder", "daemon"):
        os.kill(programs[name], signal.SIGKILL)
    up.until("they are gone", lambda: not any(map(running, programs.values())))
    shown = up.home.aish("ps", "--json")
    assert [row["pid"] for row in json.loads(shown.stdout)] == [pid], shown.stderr
    assert up.home.aish("shutdown").returncode == 0
    assert not running(pid or 0)
    assert "nothing is supervised" in up.home.aish("ps").stdout
