"""What `aish off` handed back and a person starts again is supervised like anything else, whoever dies meanwhile."""

from __future__ import annotations

import os
import secrets
import select
import signal
import sqlite3
import sys
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aish.client import connect, launch
from aish.errors import ConflictError, StorageError
from aish.supervisor.holder import kernel
from aish.supervisor.holder.wire import HolderError
from aish.wire.message import Adopt, Forget, KeyList, Off, Restart, Start, Stop, Why
from aish.wire.reply import Done, Explained, HandedBack, Started
from aish.wire.spec import RestartPart

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Supervised


pytestmark = pytest.mark.usefixtures("home")
DEADLINE_MS = 20_000
STUBBORN = "import signal, os; signal.signal(15, signal.SIG_IGN); os.write(1, b'up'); signal.pause()"
VICTIMS = ("daemon", "holder", "keeper", "parents", "all")


class Given:
    """A supervisor, what it handed back, and the next supervisor."""

    def __init__(self, up: Supervised) -> None:
        self.up = up
        self.pids: set[int] = set()

    def off(self) -> None:
        """Nothing of the supervisor is left; the next word starts another one."""
        programs = [os.pidfd_open(pid) for pid in self.up.programs().values()]
        told = self.up.client.ask(HandedBack, Off())
        self.pids |= {part.pid for part in told.living if part.pid is not None}
        await_ends(programs)
        self.up.next_daemon()

    def end(self, *started: Started) -> None:
        for each in started:
            assert each.pid is not None
            children = Path(f"/proc/{each.pid}/task/{each.pid}/children").read_text().split()
            fds = [os.pidfd_open(pid) for pid in (each.pid, *map(int, children))]
            os.killpg(each.pid, signal.SIGKILL)
            await_ends(fds)

    def start(self, name: str) -> int:
        """Once more; its new pid."""
        self.up.client.ask(Done, Start(target=name, launch=launch.capture()))
        row = self.up.row(name)
        assert row.state == "running"
        assert row.pid is not None
        return row.pid

    def close(self) -> None:
        for pid in self.pids:
            try:
                os.killpg(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


def await_ends(pidfds: list[int]) -> None:
    for fd in pidfds:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        assert poll.poll(DEADLINE_MS), "it does not end"
        os.close(fd)


@pytest.fixture
def given(up: Supervised) -> Iterator[Given]:
    made = Given(up)
    yield made
    made.close()


def kill(up: Supervised, victim: str) -> None:
    """SIGKILL for one of the three, for both parents or for all; until the next ones answer."""
    before = up.programs()
    names = {"parents": ("keeper", "holder"), "all": ("keeper", "holder", "daemon")}.get(victim, (victim,))
    fds = [os.pidfd_open(before[name]) for name in names]
    for number in (signal.SIGSTOP, signal.SIGKILL):  # none of them is to notice the death of another
        for fd in fds:
            signal.pidfd_send_signal(fd, number)
    await_ends(fds)
    if victim == "all":
        up.next_daemon()

    def others() -> bool:
        try:
            now = up.programs()
        except (HolderError, OSError, TypeError):  # one of them is just being replaced
            return False
        return all(now[name] != before[name] for name in names)

    up.until("the next ones are there", others)
    up.next_daemon()


def running(up: Supervised, *, everything: bool = False) -> dict[str, int | None]:
    rows = up.view(figures=False, all=everything).processes
    return {row.name: row.pid for row in rows if row.lifecycle == "running"}


@pytest.mark.parametrize("victim", VICTIMS)
def test_started_again_it_is_supervised_whoever_is_killed(given: Given, victim: str) -> None:
    """Its mark stayed: the next daemon took it for an `off` that was interrupted and sent the holder away without a
    word; what ran was in no list any more, and the exit codes of all others were lost, too."""
    up = given.up
    first = up.spawn("sleep", "600", name="job")
    given.off()
    given.end(first)
    gate, go = os.pipe()
    other = up.spawn("sh", "-c", "read x; exit 44", name="other", fds={0: gate})
    os.close(gate)
    pid = given.start("job")
    kill(up, victim)
    assert running(up) == {"job": pid, "other": other.pid}
    os.close(go)
    code = up.code("other")
    assert code == 44 or (code is None and victim in ("parents", "all")), "before Linux 6.15 nobody tells"
    assert up.client.ask(Done, Stop(target="job")).changed
    end = up.wait("job").exit
    assert end is not None
    assert end.reason == "cancelled"


@pytest.mark.parametrize("victim", VICTIMS)
@pytest.mark.slow
def test_started_again_and_killed_at_any_point(given: Given, victim: str, tmp_path: Path) -> None:
    """While its hook before the start is at work, between two runs, while it is being stopped."""
    up, gate = given.up, tmp_path / "gate"
    hook = [b"sh", b"-c", b'test ! -e "$0" || read x <"$0"', os.fsencode(gate)]
    fails = f"test ! -e {gate} || exit 3; exec sleep 600"
    soon = RestartPart(delay_s=1.0, longest_s=1.0, most=None)
    started = [
        up.spawn("sleep", "600", name="starts", before=hook),
        up.spawn("sh", "-c", fails, name="again", restart="on-failure", restarts=soon),
        up.python(STUBBORN, name="stops", grace_s=0.5),
    ]
    up.until("its handler is set", lambda: up.log("stops")[0] == "up")
    given.off()
    given.end(*started)
    os.mkfifo(gate)
    given.start("stops")
    up.until("its handler is set again", lambda: up.log("stops")[0] == "upup")
    with connect() as asker:
        asker.send(Start(target="starts", launch=launch.capture()))
        up.client.ask(Done, Start(target="again", launch=launch.capture()))
        up.until("its hook is at work", lambda: up.row("starts").state == "starting")
        up.until("it waits for its next run", lambda: up.row("again").state == "backoff")
        up.client.ask(Done, Stop(target="stops"))
        kill(up, victim)
    go = os.open(gate, os.O_RDWR)
    os.write(go, b"go\n" * 9)  # for whoever runs the hook once more
    os.unlink(gate)
    up.until("both run", lambda: {"starts", "again"} <= running(up).keys())
    ended = up.wait("stops")
    assert ended.exit is not None
    assert (ended.exit.signal, ended.exit.reason) in ((9, "cancelled"), (None, "cancelled"))
    os.close(go)


def test_started_again_it_can_be_stopped_and_restarted(given: Given) -> None:
    """It "was handed back by `aish off` and still runs": that was said of its new run."""
    up = given.up
    first = up.spawn("sleep", "600", name="job")
    given.off()
    for request in (Start(target="job", launch=launch.capture()), Restart(target="job"), Stop(target="job")):
        with pytest.raises(ConflictError, match=f"handed back .* still runs .pid {first.pid}"):
            up.client.request(request)
    given.end(first)
    pid = given.start("job")
    up.client.ask(Done, Restart(target="job"))
    assert up.row("job").pid not in (pid, first.pid)
    assert up.client.ask(Done, Stop(target="job")).changed
    up.wait("job")
    given.start("job")


def test_started_again_its_restart_policy_holds(given: Given) -> None:
    up = given.up
    first = up.spawn("sleep", "600", name="job", restart="always")
    given.off()
    given.end(first)
    pid = given.start("job")
    up.kill_daemon()
    up.next_daemon()
    os.kill(pid, signal.SIGKILL)
    up.until("it runs once more", lambda: running(up).get("job", pid) != pid)


def test_started_again_the_daemon_is_replaced(given: Given) -> None:
    """As for an upgrade."""
    up = given.up
    first = up.spawn("sleep", "600", name="job")
    given.off()
    given.end(first)
    pid = given.start("job")
    programs = up.programs()
    fd = os.pidfd_open(up.daemon_pid)
    os.kill(up.daemon_pid, signal.SIGTERM)
    await_ends([fd])
    up.next_daemon()
    now = up.programs()
    assert running(up) == {"job": pid}
    assert (now["keeper"], now["holder"]) == (programs["keeper"], programs["holder"])


def test_started_again_and_handed_back_again(given: Given) -> None:
    """The third supervisor neither ends nor adopts it, also when its own daemon is killed."""
    up = given.up
    first = up.spawn("sh", "-c", "sleep 600 & wait", name="job")
    given.off()
    given.end(first)
    pid = given.start("job")
    given.off()
    up.spawn("sleep", "600", name="other")
    up.kill_daemon()
    up.next_daemon()
    assert list(running(up)) == ["other"]
    with pytest.raises(ConflictError, match=f"still runs .pid {pid}"):
        up.client.request(Stop(target="job"))
    os.kill(pid, 0)


@pytest.mark.parametrize(
    ("victim", "runs"),
    [
        *((victim, True) for victim in ("daemon", "holder", "keeper", "parents")),
        ("daemon", False),
        *(pytest.param(victim, False, marks=pytest.mark.slow) for victim in ("holder", "keeper", "parents")),
    ],
)
def test_killed_during_off_the_rest_is_done(given: Given, victim: str, runs: bool) -> None:
    """The death of the holder was told as an error, and the daemon stayed for ever, "shutting down". With nothing to
    hand back a daemon's death left the supervisor where it was."""
    up = given.up
    up.client.request(KeyList())  # has the gateway started, so that there is something to end
    up.until("the gateway runs", lambda: "gateway" in running(up, everything=True))
    gateway = os.pidfd_open(running(up, everything=True)["gateway"] or 0)
    started = up.spawn("sleep", "600", name="job") if runs else None
    programs = up.programs()
    fds = {name: os.pidfd_open(pid) for name, pid in programs.items()}
    given.pids |= {started.pid or 0} if started is not None else set()
    os.kill(programs["holder"], signal.SIGSTOP)
    with connect() as asker:
        asker.send(Off())
        log = up.home.state / "processes.db-wal"
        up.until("it is noted", lambda: b"were handed back" in log.read_bytes())
        names = ("keeper", "holder") if victim == "parents" else (victim,)
        for name in names:
            os.kill(programs[name], signal.SIGKILL)
        os.kill(programs["holder"], signal.SIGCONT)
        await_ends([gateway])
        up.until("nothing of it is left", lambda: not left(up, but=started))
    await_ends([*fds.values()])
    up.next_daemon()
    assert not running(up)
    if started is not None:
        os.kill(started.pid or 0, 0)


def left(up: Supervised, but: Started | None) -> list[int]:
    """Programs of this home, beside what was handed back."""
    marker = f"XDG_RUNTIME_DIR={up.home.root}/run".encode()
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with suppress(OSError):
            if marker in Path(f"/proc/{name}/environ").read_bytes().split(b"\0"):
                found.append(int(name))
    return [pid for pid in found if but is None or pid != but.pid]


@pytest.mark.parametrize("forgotten", [False, True])
def test_forgotten_while_it_lives_on_its_control_group_is_left_alone(given: Given, forgotten: bool) -> None:
    """Its row is gone: the daemons to come would end what is in a group that nobody has."""
    up = given.up
    first = up.spawn("sh", "-c", "sleep 600 & wait", name="job")
    given.off()
    if forgotten:
        up.client.ask(Done, Forget(target="job"))
    for _ in range(2):
        up.kill_daemon()
        up.next_daemon()
    assert first.pid is not None
    os.kill(first.pid, 0)


LEAVES = """
test ! -e "$0.again" || { setsid env -i sh -c 'trap "" TERM; echo $$ >"$0.left"; while :; do sleep 1; done' "$0" &
while test ! -s "$0.left"; do sleep 0.01; done; exit 0; }
exec sleep 600
"""


def test_started_again_and_forgotten_what_it_left_behind_is_ended(given: Given, tmp_path: Path) -> None:
    """Its control group was taken for one that had been handed back, for ever."""
    up, place = given.up, tmp_path / "place"
    first = up.spawn("sh", "-c", LEAVES, str(place), name="job", grace_s=60.0)
    if up.inspect("job").limit_tier == "rlimits":
        pytest.skip("no control groups here: what cleared its environment and left its session is nobody's")
    given.off()
    given.end(first)
    Path(f"{place}.again").touch()
    up.client.request(Start(target="job", launch=launch.capture()))
    up.wait("job")
    left = os.pidfd_open(int(Path(f"{place}.left").read_text()))
    up.client.ask(Done, Forget(target="job"))
    up.kill_daemon()
    up.next_daemon()
    await_ends([left])


def test_what_is_left_of_its_tree_is_no_reason_to_start_it_beside(given: Given) -> None:
    """Its leader had ended, its worker had not: two of a server would have run."""
    up = given.up
    first = up.spawn("sh", "-c", "sleep 600 & exec sleep 600", name="job")
    given.off()
    assert first.pid is not None
    fd = os.pidfd_open(first.pid)
    os.kill(first.pid, signal.SIGKILL)
    await_ends([fd])
    with pytest.raises(ConflictError, match=r"of job .*still run: sleep \("):
        up.client.request(Start(target="job", launch=launch.capture()))
    os.killpg(first.pid, signal.SIGKILL)
    up.until("nothing of it is left", lambda: not alive_in_group(first.pid))
    given.start("job")


def alive_in_group(group: int | None) -> bool:
    try:
        os.killpg(group or 0, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def orphans() -> Iterator[None]:
    """Before there is a supervisor: who of it loses its parents becomes our child, and we reap only in the end."""
    kernel.become_subreaper()
    yield
    kernel._libc.prctl(kernel._PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def test_a_zombie_does_not_live(orphans: None, given: Given) -> None:
    """`aish start`: "still runs (pid N)", of one that had ended and that its new parent had not reaped."""
    up = given.up
    first = up.spawn("sleep", "600", name="job")
    given.off()
    given.end(first)
    assert Path(f"/proc/{first.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    given.start("job")


def test_a_table_that_is_busy_once_hands_nothing_back(given: Given) -> None:
    """The answer was that nothing is handed back; but it was written down when the table could be again, and what was
    kept for its next run had gone."""
    up = given.up
    gate, go = os.pipe()
    started = up.spawn("sleep", "600", name="job", restart="always")
    up.spawn("sh", "-c", "read x; exit 44", name="other", fds={0: gate})
    os.close(gate)
    with closing(sqlite3.connect(up.home.state / "processes.db", isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="cannot be written"):
            up.client.ask(HandedBack, Off())
        db.execute("ROLLBACK")
    up.next_daemon()
    up.until("the table is written again", lambda: not up.view().alerts)
    os.close(go)
    assert up.code("other") == 44
    os.kill(started.pid or 0, signal.SIGKILL)
    up.until("its policy starts it again", lambda: running(up).get("job", started.pid) != started.pid)


def test_what_lives_on_can_be_adopted(given: Given) -> None:
    up = given.up
    first = up.spawn("sleep", "600", name="job")
    given.off()
    assert first.pid is not None
    adopted = up.client.ask(Started, Adopt(token=secrets.token_hex(16), pid=first.pid, name="job"))
    up.kill_daemon()
    up.next_daemon()
    assert running(up) == {"job": first.pid}
    with pytest.raises(ConflictError, match="still runs"):
        up.client.request(Start(target=first.id, launch=launch.capture()))
    assert up.client.ask(Done, Stop(target=adopted.id)).changed
    up.wait(adopted.id)


def test_what_lost_its_leader_is_an_ordinary_program(orphans: None, given: Given, tmp_path: Path) -> None:
    """It acted as a process that had been handed back: it saw nothing but itself, and could start nothing."""
    up = given.up
    fifo, out = tmp_path / "fifo", tmp_path / "out"
    os.mkfifo(fifo)
    code = '(read x <"$1"; "$0" -m aish ps -q >"$2.new"; mv "$2.new" "$2") & exec sleep 600'
    first = up.spawn("sh", "-c", code, sys.executable, str(fifo), str(out), name="job")
    given.off()
    other = up.spawn("sleep", "600", name="other")
    assert first.pid is not None
    fd = os.pidfd_open(first.pid)
    os.kill(first.pid, signal.SIGKILL)
    await_ends([fd])
    os.waitpid(first.pid, 0)
    fifo.write_text("go\n")
    up.until("it has looked", out.exists)
    assert out.read_text().split() == [other.id]


def test_why_tells_of_an_earlier_run_as_such(given: Given) -> None:
    """ "`aish off` handed it back" was said of a run that is supervised."""
    up = given.up
    first = up.spawn("sleep", "600", name="job")
    given.off()
    given.end(first)
    given.start("job")
    told = up.client.ask(Explained, Why(target="job")).paragraph
    assert "the run before was handed back by `aish off`" in told
    assert "without a supervisor" not in told
