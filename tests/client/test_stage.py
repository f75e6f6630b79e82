"""A stage is not deaf to signals while its daemon hangs; where it does not hang, each of them reaches the process."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aish.client import connect
from aish.errors import DisconnectedError
from aish.wire import codec
from aish.wire.frame import Channel
from aish.wire.message import VERSION, Hello, Inspect, Spawn, Wait
from aish.wire.message import Signal as SignalRequest
from aish.wire.part import ExitPart
from aish.wire.reply import Done, Inspected, Started, Waited, Welcome
from tests.deadline import DEADLINE_S, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Home


def state(pid: int) -> str:
    """As ps tells it: R, S, T …"""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def pending(pid: int) -> bool:
    """Whether signals wait for the process to look at them."""
    status = Path(f"/proc/{pid}/status").read_text()
    return any(int(status.partition(name)[2].split()[0], 16) for name in ("SigPnd:", "ShdPnd:"))


def has_socket(pid: int) -> bool:
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if os.readlink(fd).startswith("socket:"):
                return True
        except FileNotFoundError:
            continue  # closed since it was listed
    return False


class Silent:
    """A daemon that greets, and says nothing to a spawn until it may."""

    def __init__(self, home: Home) -> None:
        home.runtime.mkdir(mode=0o700)
        self.path = home.runtime / "daemon.sock"
        self.asked = threading.Event()
        self.may = threading.Event()
        self.over = threading.Event()
        self.signals: list[int] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                channel = Channel(self._listener.accept()[0])
            except OSError:
                return
            self._threads.append(threading.Thread(target=self._serve, args=(channel,), daemon=True))
            self._threads[-1].start()

    def _serve(self, channel: Channel) -> None:
        try:
            while True:
                body, fds = channel.receive()
                for fd in fds:
                    os.close(fd)
                channel.send(codec.encode(self._answer(codec.decode_request(body))))
        except DisconnectedError:
            channel.close()

    def _answer(self, request: object) -> Done | Started | Waited | Welcome:
        match request:
            case Hello():
                return Welcome(version=VERSION, pid=os.getpid(), epoch=1)
            case Spawn():
                self.asked.set()
                self.may.wait(60)
                return Started(id="p1", name="it", state="running", pid=1)
            case SignalRequest():
                self.signals.append(request.signal)
                return Done()
            case Wait():
                while len(self.signals) < 2:
                    if self.over.wait(0.005):
                        raise DisconnectedError("the test is over")
                return Waited(id="p1", state="exited", exit=ExitPart(code=7))
        raise AssertionError(request)

    def close(self) -> None:
        self.over.set()
        self.may.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.path.unlink()


@pytest.fixture
def silent(home: Home) -> Iterator[Silent]:
    daemon = Silent(home)
    yield daemon
    home.close()  # first: a stage that is still there would start a real one in its place
    daemon.close()


def start(home: Home, *words: str) -> subprocess.Popen[bytes]:
    return home.popen("run", "--", *words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT])
def test_the_second_signal_ends_a_stage_whose_daemon_hangs(
    home: Home, silent: Silent, number: signal.Signals
) -> None:
    """Ctrl-C did nothing: signals were kept for a process that never came."""
    running = start(home, "sleep", "100")
    assert silent.asked.wait(DEADLINE_S)
    running.send_signal(number)
    with pytest.raises(subprocess.TimeoutExpired):  # the first one waits: it is for the process
        running.wait(1)
    running.send_signal(number)
    assert running.wait(DEADLINE_S) == 128 + number
    assert running.stderr is not None
    told = running.stderr.read().decode()
    assert "it may still start" in told
    assert "aish ps" in told


def test_two_signals_at_once_are_enough(home: Home, silent: Silent) -> None:
    """They came before it was known that the daemon hangs."""
    running = start(home, "sleep", "100")
    assert silent.asked.wait(DEADLINE_S)
    running.send_signal(signal.SIGINT)
    running.send_signal(signal.SIGTERM)
    assert running.wait(DEADLINE_S) in (130, 143)


def test_a_stage_whose_daemon_hangs_can_be_stopped_and_continued(home: Home, silent: Silent) -> None:
    running = start(home, "sleep", "100")
    assert silent.asked.wait(DEADLINE_S)
    running.send_signal(signal.SIGTSTP)
    until("it stands still", lambda: state(running.pid) == "T")
    running.send_signal(signal.SIGCONT)
    until("it goes on", lambda: state(running.pid) != "T")
    with pytest.raises(subprocess.TimeoutExpired):
        running.wait(1)
    assert state(running.pid) != "T"


def test_signals_before_the_start_are_passed_on_after_it(home: Home, silent: Silent) -> None:
    """A daemon that was slow only: nothing is lost."""
    running = start(home, "sleep", "100")
    assert silent.asked.wait(DEADLINE_S)
    running.send_signal(signal.SIGUSR1)
    until("it has come", lambda: not pending(running.pid))
    running.send_signal(signal.SIGINT)
    until("it has come", lambda: not pending(running.pid))
    silent.may.set()
    assert running.wait(DEADLINE_S) == 7
    assert silent.signals == [signal.SIGUSR1, signal.SIGINT]


def test_ctrl_c_while_a_stopped_daemon_is_asked_who_it_is(home: Home) -> None:
    with connect(program="test") as client:
        daemon = client.welcome.pid
        os.kill(daemon, signal.SIGSTOP)
        try:
            running = start(home, "true")
            until("it waits for the daemon", lambda: has_socket(running.pid))
            running.send_signal(signal.SIGINT)
            assert running.wait(DEADLINE_S) == 130
        finally:
            os.kill(daemon, signal.SIGCONT)


def test_a_daemon_that_hangs_while_the_process_runs(home: Home) -> None:
    """Each Ctrl-C waited 30 s to be passed on."""
    running = start(home, "sh", "-c", "trap '' INT; echo up; exec sleep 100")
    assert running.stdout is not None
    assert running.stderr is not None
    assert running.stdout.readline() == b"up\n"
    with connect(program="test") as client:
        deadline_s = time.monotonic() + DEADLINE_S  # the process may speak before the daemon knows that it runs
        while client.ask(Inspected, Inspect(target="p1")).process.state != "running":
            assert time.monotonic() < deadline_s
        os.kill(client.welcome.pid, signal.SIGSTOP)
        try:
            running.send_signal(signal.SIGINT)
            with pytest.raises(subprocess.TimeoutExpired):
                running.wait(0.5)
            running.send_signal(signal.SIGINT)
            assert running.wait(DEADLINE_S) == 130
        finally:
            os.kill(client.welcome.pid, signal.SIGCONT)
        told = os.read(running.stderr.fileno(), 4096).decode()  # not to the end: the process has it, too
        assert "sh (p1) may go on" in told
        assert "aish stop p1" in told
        assert client.ask(Inspected, Inspect(target="p1")).process.state == "running"


def test_a_double_signal_is_passed_on_where_nothing_hangs(shared_home: Home) -> None:
    script = "trap 'n=$((n+1)); echo got $n' INT; echo up; while [ ${n:-0} -lt 3 ]; do sleep 0.05; done; exit 5"
    running = start(shared_home, "sh", "-c", script)
    assert running.stdout is not None
    assert running.stdout.readline() == b"up\n"
    for number in range(1, 4):
        running.send_signal(signal.SIGINT)
        assert select.select([running.stdout], [], [], DEADLINE_S)[0]
        assert running.stdout.readline() == b"got %d\n" % number
    assert running.wait(DEADLINE_S) == 5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP])
def test_a_signal_ends_a_stage_that_is_still_queued(shared_home: Home, number: signal.Signals) -> None:
    """Ctrl-C did nothing: there was no process yet to send it to."""
    shared_home.client.spawn(["sleep", "100"], name="base")
    running = shared_home.popen(
        *("run", "--name", "waits", "--needs", "base:completed", "--", "true"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert running.stderr is not None
    assert b"is queued" in running.stderr.readline()
    running.send_signal(number)
    assert running.wait(DEADLINE_S) == -number  # 128 and the signal, for a shell
    row = shared_home.client.process("waits").row()
    assert (row.state, row.exit) == ("exited", ExitPart(reason="cancelled"))


def test_a_program_that_is_not_there_when_its_turn_comes_is_127(shared_home: Home) -> None:
    """One that could be started at once had 127, one that waited first 126 and no reason."""
    ends_well = "trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done"
    shared_home.client.spawn(["sh", "-c", ends_well], name="first", ready="line:up").wait_ready()
    words = ("run", "--needs", "first:completed", "--", "/no/such/program")
    running = shared_home.popen(*words, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert running.stderr is not None
    assert b"is queued" in running.stderr.readline()
    shared_home.client.process("first").signal(signal.SIGTERM)
    _, err = running.communicate(timeout=60)
    assert (running.returncode, b"cannot be run: No such file" in err) == (127, True), err
