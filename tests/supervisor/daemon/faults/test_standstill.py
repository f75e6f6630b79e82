"""Daemon, keeper and holder: each of them runs, is stopped or is dead. Who is to blame is told, by name and at once,
and when he goes on so does everything."""

from __future__ import annotations

import itertools
import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from aish.cli.brought import Progress
from aish.cli.up import in_time
from aish.client import Aish, AsyncAish, connect
from aish.client.call import Together
from aish.client.patience import Patience
from aish.errors import AishError, TimedOutError, UnavailableError
from aish.supervisor.daemon.standing import STATES, blame
from aish.wire.message import Off, Shutdown, Signal, Stop, Wait
from aish.wire.reply import HandedBack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import Supervised

pytestmark = pytest.mark.usefixtures("home")
AT_ONCE_S = 10.0
"""Half a minute was what each verb took."""
ROLES = ("daemon", "keeper", "holder")


def state(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


class Three:
    """The programs of a supervisor, in a state of the test's choice."""

    def __init__(self, up: Supervised) -> None:
        self.up = up
        self.pids = up.programs()
        self.fds = {role: os.pidfd_open(pid) for role, pid in self.pids.items()}

    def put(self, **states: str) -> None:
        """All stand still before any dies, so that nobody notices what the others do."""
        for role in ROLES:
            self._send(role, signal.SIGSTOP)
        self.up.until("they stand still", lambda: all(state(pid) == "T" for pid in self.pids.values()))
        for role, wanted in states.items():
            if wanted == "dead":
                self._send(role, signal.SIGKILL)
                self.up.until("it is dead", lambda pid=self.pids[role]: state(pid) in "ZX")  # type: ignore[misc]
        for role in ROLES:
            if states.get(role, "runs") == "runs":
                self._send(role, signal.SIGCONT)

    def go_on(self) -> None:
        for role in ROLES:
            self._send(role, signal.SIGCONT)

    def _send(self, role: str, number: int) -> None:
        try:
            signal.pidfd_send_signal(self.fds[role], number)
        except ProcessLookupError:
            return

    def close(self) -> None:
        self.go_on()
        for fd in self.fds.values():
            os.close(fd)


@pytest.fixture
def three(up: Supervised) -> Iterator[Three]:
    made = Three(up)
    yield made
    made.close()


def told(look: Callable[[], object]) -> str:
    """What a client is told: an alert, or why it is not answered; "" where all is well."""
    began_s = time.monotonic()
    try:
        found = look()
    except AishError as error:
        assert time.monotonic() - began_s < AT_ONCE_S, "it took its time to say so"
        return str(error)
    return " ".join(found) if isinstance(found, list) else ""


def blamed(*states: str) -> tuple[str, ...]:
    """Whom a client is told of: the others run, or are replaced by one that does."""
    return tuple(role for role, at in zip(ROLES, states, strict=True) if at == "stopped")


@pytest.mark.parametrize(
    ("daemon", "keeper", "holder"),
    [
        pytest.param(*states, marks=() if number % 3 == 0 else pytest.mark.slow)
        for number, states in enumerate(itertools.product(STATES, repeat=3))
    ],
)
def test_who_stands_still_is_told(three: Three, daemon: str, keeper: str, holder: str) -> None:
    """A stopped keeper whose holder had died was told as a holder that hangs, of a pid that nobody had any more; a
    stopped daemon by nothing but silence."""
    up = three.up
    waiting, go = os.pipe()
    up.spawn("sh", "-c", "read x; exit 7", name="job", fds={0: waiting})
    os.close(waiting)
    three.put(daemon=daemon, keeper=keeper, holder=holder)
    guilty = blamed(daemon, keeper, holder)

    def look() -> object:
        with connect(start=False, program="test") as client:
            up.client.close()
            up.client = client
            return up.view().alerts

    if guilty:
        up.until("it is told", lambda: "is stopped" in told(look) or "are stopped" in told(look))
        text = told(look)
        for role in guilty:
            assert f"{three.pids[role]}" in text.partition("kill -CONT")[2], (role, text)
            assert role in text or "keeper or holder" in text, (role, text)
        for role in set(ROLES) - set(guilty):
            assert f"{three.pids[role]}" not in text, (role, text)
    three.go_on()
    with connect(program="test") as client:
        up.client = client
        up.until("all is well", lambda: not up.view().alerts)
        os.close(go)
        end = up.wait("job").exit
        assert end is not None
        assert end.code == 7 or (end.code is None and keeper == holder == "dead"), "before Linux 6.15 nobody tells"
        assert up.code(up.spawn("sh", "-c", "exit 3").id) == 3
    up.client = connect(program="test")


@pytest.mark.parametrize("connected", [True, False])
@pytest.mark.parametrize(("keeper", "holder"), list(itertools.product(STATES, repeat=2)))
def test_only_who_is_stopped_is_blamed(connected: bool, keeper: str, holder: str) -> None:
    states = {"keeper": keeper, "holder": holder}
    found = blame(connected, keeper, holder)  # type: ignore[arg-type]
    assert all(states[role] == "stopped" for role in found)
    assert ("holder" in found) == (holder == "stopped")


def test_a_stopped_keeper_whose_holder_died_is_no_death_of_both(three: Three) -> None:
    """The daemon told that keeper and holder were gone and are started again, failed to, and was gone itself: what
    ran was in no list, and each verb took half a minute to say something else."""
    up = three.up
    up.spawn("sleep", "600", name="nap")
    three.put(keeper="stopped", holder="dead")
    why = f"the keeper (pid {three.pids['keeper']}) is stopped: `kill -CONT {three.pids['keeper']}`"
    up.until("it is told", lambda: any(why in alert for alert in up.view().alerts))
    up.until("it is an event", lambda: any(why in event.text for event in up.events()))
    spawn = up.request(b"true")
    for request in (Stop(target="nap"), Signal(target="nap", signal=signal.SIGUSR1), spawn, Shutdown(force=True)):
        began_s = time.monotonic()
        with pytest.raises(UnavailableError, match=r"the keeper \(pid \d+\) is stopped"):
            up.client.request(request)
        assert time.monotonic() - began_s < AT_ONCE_S
    assert not [row.name for row in up.view(all=True).processes if row.name == "true"], "it was refused, not promised"
    texts = [event.text for event in up.events() if event.kind == "holder"]
    assert not [text for text in texts if "answers again" in text or "are gone" in text]
    assert up.home.aish("ps").stdout.count("nap") == 1
    daemon = up.daemon_pid
    three.go_on()
    assert up.wait("nap").exit is not None, "the stop that waited is carried out"
    assert up.code(up.spawn("sh", "-c", "exit 3").id) == 3
    assert up.daemon_pid == daemon
    assert up.programs()["keeper"] == three.pids["keeper"]


def test_a_start_that_was_under_way_when_its_keeper_stopped_runs_once(three: Three) -> None:
    up = three.up
    three.put(keeper="stopped", holder="stopped")
    with connect(program="test") as asker:
        asker.send(up.request(b"sh", b"-c", b"echo once; exit 3", name="job"))
        up.until("it is being started", lambda: [row.state for row in up.view().processes] == ["starting"])
        os.kill(three.pids["holder"], signal.SIGKILL)
        three.pids["holder"] = three.pids["keeper"]
        up.until("its reason is told", lambda: "the keeper" in (up.row("job").reason or ""))
        three.go_on()
        assert up.code("job") == 3
    assert up.log("job")[0] == "once\n"


def test_what_the_keeper_has_taken_in_waits_for_it(three: Three) -> None:
    """Its stop and its signals went through a stopped keeper: who asked waited for ever, without a word."""
    up = three.up
    up.spawn("sleep", "600", name="nap")
    os.kill(three.pids["holder"], signal.SIGKILL)
    up.until("another holder is there", lambda: other_holder(up, three.pids["holder"]))
    os.kill(three.pids["keeper"], signal.SIGSTOP)
    for request in (Signal(target="nap", signal=signal.SIGUSR1), Stop(target="nap")):
        with pytest.raises(UnavailableError, match=r"the keeper \(pid \d+\) is stopped"):
            up.client.request(request)
    assert up.code(up.spawn("sh", "-c", "exit 3").id) == 3, "the holder runs"
    three.go_on()
    assert up.wait("nap").exit is not None


def other_holder(up: Supervised, before: int) -> bool:
    try:
        return up.programs()["holder"] != before
    except (OSError, TypeError, AishError):
        return False


def test_off_with_a_stopped_holder_says_so_and_ends_when_it_goes_on(three: Three) -> None:
    """It hung, with everything handed back and nothing told."""
    up = three.up
    started = up.spawn("sleep", "600", name="job")
    three.put(holder="stopped")
    with pytest.raises(UnavailableError, match=r"handed back, but the holder has not left: the holder .* is stopped"):
        up.client.ask(HandedBack, Off())
    three.go_on()
    up.until("all have gone", lambda: all(state(pid) in "ZX" for pid in three.pids.values()))
    assert started.pid is not None
    assert state(started.pid) == "S"
    os.killpg(started.pid, signal.SIGKILL)
    up.client = connect(program="test")


def within(up: Supervised, *words: str) -> tuple[int, str, str, float]:
    """Status, stdout and stderr of a verb, and how long it took."""
    begun_s = time.monotonic()
    done = up.home.aish(*words)
    return done.returncode, done.stdout, done.stderr, time.monotonic() - begun_s


def test_off_that_needs_a_stopped_holder_says_so_at_once(three: Three) -> None:
    """It waited for ever, without a word: what is paused is stopped by the holder."""
    up = three.up
    up.spawn("sleep", "600", name="job")
    assert up.home.aish("pause", "job").returncode == 0
    three.put(holder="stopped")
    status, _, err, took_s = within(up, "off", "--yes")
    assert (status, f"the holder (pid {three.pids['holder']}) is stopped" in err) == (69, True), err
    assert "nothing is handed back yet" in err
    assert took_s < AT_ONCE_S
    three.go_on()
    status, out, err, _ = within(up, "off", "--yes")
    assert (status, "it stands still" in out) == (0, True), err
    os.killpg(int(out.split("as pid ")[1].split(";")[0]), signal.SIGKILL)
    up.client = connect(program="test")


def test_off_that_is_done_tells_who_does_not_leave(three: Three) -> None:
    """After ten seconds: "holder or keeper is still there"; and not what had become of the processes."""
    up = three.up
    started = up.spawn("sleep", "600", name="job")
    assert started.pid is not None
    three.put(keeper="stopped")
    status, out, err, took_s = within(up, "off", "--yes")
    assert (status, f"job  lives on as pid {started.pid}" in out) == (69, True), out + err
    assert f"the keeper (pid {three.pids['keeper']}) is stopped" in err
    assert took_s < AT_ONCE_S
    three.go_on()
    up.until("the keeper has left", lambda: state(three.pids["keeper"]) in "ZX")
    os.killpg(started.pid, signal.SIGKILL)
    up.client = connect(program="test")


def test_shutdown_tells_programs_who_does_not_leave(three: Three) -> None:
    """The asynchronous one waits in its own way."""
    import asyncio

    async def end() -> None:
        async with AsyncAish(program="test") as aish:
            await aish.shutdown()

    three.put(keeper="stopped")
    assert f"the keeper (pid {three.pids['keeper']}) is stopped" in told(lambda: asyncio.run(end()))
    three.go_on()
    three.up.until("the keeper has left", lambda: state(three.pids["keeper"]) in "ZX")
    three.up.client = connect(program="test")


def test_who_waits_in_vain_is_told_who_stood_still(three: Three, tmp_path: Path) -> None:
    """It was over without a word, or "slow is loading": as if the process were to blame."""
    up = three.up
    up.spawn("sleep", "600", name="nap")
    (tmp_path / "aish.toml").write_text('[services.slow]\ncommand = "sleep 600"\nready.log = "never"\n')
    assert up.home.aish("up", "--no-wait", cwd=tmp_path).returncode == 0
    three.put(holder="stopped")
    still = f"the holder (pid {three.pids['holder']}) has stood still for "
    done = up.home.aish("wait", "nap", "--timeout", "1")
    assert (done.returncode, still in done.stderr) == (124, True), done.stderr
    done = up.home.aish("up", "--timeout", "1", cwd=tmp_path)
    assert (done.returncode, still in done.stderr, "slow" in done.stderr) == (1, True, True), done.stderr
    with Aish(program="test") as aish, pytest.raises(TimedOutError, match=r"the holder \(pid \d+\) is stopped"):
        aish.wait("nap", timeout_s=1)


def test_a_wait_is_over_though_the_daemon_is_stopped_meanwhile(three: Three) -> None:
    """`up` waited for its answer for ever, whatever its --timeout."""

    class Stopping(Progress):
        """It is called when nothing has come for a while."""

        def __call__(self, names: list[str]) -> None:
            if state(three.pids["daemon"]) != "T":
                three.put(daemon="stopped")
            super().__call__(names)

    three.up.spawn("sleep", "600", name="nap")
    with connect(program="test") as client:
        progress = Stopping("up", Patience(client.welcome.pid))
        still = rf"the time is over: the daemon \(pid {three.pids['daemon']}\) has stood still for"
        with pytest.raises(UnavailableError, match=still):
            in_time(Together({"nap": Wait(target="nap")}, 4.0), client=client, progress=progress)


def test_a_stopped_daemon_that_many_have_asked_is_told_all_the_same(three: Three) -> None:
    """Who gives up stays in its queue: when that was full connect(2) did not return any more."""
    import socket

    up = three.up
    three.put(daemon="stopped")
    queue = []
    while True:
        sock = socket.socket(socket.AF_UNIX)
        sock.setblocking(False)
        try:
            sock.connect(str(up.home.runtime / "daemon.sock"))
        except BlockingIOError:
            break
        finally:
            queue.append(sock)
    assert f"the daemon (pid {three.pids['daemon']}) is stopped" in told(connect)
    for sock in queue:
        sock.close()
    three.go_on()
    assert up.home.aish("ps").returncode == 0


def test_python_programs_are_told_too(three: Three) -> None:
    import asyncio

    async def look() -> None:
        async with AsyncAish(program="test") as aish:
            await aish.processes()

    three.put(daemon="stopped")
    assert f"the daemon (pid {three.pids['daemon']}) is stopped" in told(lambda: asyncio.run(look()))
