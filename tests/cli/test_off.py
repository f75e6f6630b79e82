"""`aish off`: nobody is killed, nothing of the supervisor is left, and a later one leaves alone what is not its."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aish.client import connect
from aish.supervisor.holder import kernel, link, wire
from aish.wire.message import Off

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Home

DEADLINE_MS = 20_000


class Survivors:
    """Processes that must live on, found by `aish ps` before, through pidfds; killed in the end."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.fds: dict[str, int] = {}
        self.pids: dict[str, int] = {}

    def spawn(self, name: str, *words: str, options: tuple[str, ...] = ()) -> None:
        done = self.home.aish("spawn", "--json", "--name", name, *options, "--", *words)
        assert done.returncode == 0, done.stderr
        pid = json.loads(done.stdout)["pid"]
        if pid is not None:
            self.pids[name], self.fds[name] = pid, os.pidfd_open(pid)

    def off(self, *words: str) -> dict[str, Any]:
        done = self.home.aish("off", "--json", *words)
        assert done.returncode == 0, done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    def ended(self, name: str, patience_ms: int = 0) -> bool:
        poll = select.poll()
        poll.register(self.fds[name], select.POLLIN)
        return bool(poll.poll(patience_ms))

    def ends_by(self, name: str, number: int) -> None:
        signal.pidfd_send_signal(self.fds[name], number)
        assert self.ended(name, DEADLINE_MS)

    def close(self) -> None:
        for name, fd in self.fds.items():
            try:
                os.killpg(self.pids[name], signal.SIGKILL)  # with what is below it
            except ProcessLookupError:
                pass
            assert self.ended(name, DEADLINE_MS)
            os.close(fd)


@pytest.fixture
def survivors(home: Home) -> Iterator[Survivors]:
    made = Survivors(home)
    yield made
    made.close()


def programs(home: Home) -> dict[str, int]:
    """Pidfds of daemon, holder, keeper."""
    holder = link.HolderLink.connect(str(home.runtime))
    try:
        told = holder.call("hello", version=wire.VERSION, role=wire.CLIENT).body
    finally:
        holder.close()
    return {name: os.pidfd_open(told[name]) for name in ("daemon_pid", "pid", "keeper_pid")}


def gone(fd: int, patience_ms: int = DEADLINE_MS) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(patience_ms))


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_everything_lives_on_and_nothing_of_aish_is_left(home: Home, survivors: Survivors) -> None:
    survivors.spawn("web", "sleep", "300")
    survivors.spawn("tree", "sh", "-c", "sleep 300 & wait", options=("--memory", "1G"))
    survivors.spawn("restarted", "sleep", "300", options=("--restart", "always"))
    survivors.spawn("later", "true", options=("--needs", "web:completed"))
    ours = programs(home)
    told = survivors.off("--yes")
    assert told["ran"] is True
    assert {row["name"]: row["pid"] for row in told["living"]} == survivors.pids
    assert [row["name"] for row in told["ended"]] == ["later"]
    assert told["behind"] == []
    for name, fd in ours.items():
        assert gone(fd, 0), f"{name} is still there when aish off has returned"
        os.close(fd)
    assert not any(survivors.ended(name) for name in survivors.pids)
    assert set(os.listdir(home.runtime)) <= {"environ", "notify", "drafts"}, "sockets of nobody are left"
    survivors.ends_by("web", signal.SIGTERM)
    survivors.ends_by("restarted", signal.SIGKILL)


def test_a_later_supervisor_leaves_them_alone(home: Home, survivors: Survivors) -> None:
    """It would adopt them by pid and start time, or empty their control groups as left behind."""
    survivors.spawn("job", "sh", "-c", "sleep 300 & wait")
    survivors.off("--yes")
    done = json.loads(home.aish("spawn", "--json", "--name", "next", "--", "sleep", "300").stdout)
    assert done["id"] == "p2"
    assert [row["name"] for row in json.loads(home.aish("ps", "--json").stdout)] == ["next"]
    rows = {row["name"]: row for row in json.loads(home.aish("ps", "--all", "--json").stdout)}
    assert (rows["job"]["state"], rows["job"]["exit"]["reason"]) == ("lost", "handed-back")
    refused = home.aish("start", "job")
    assert (refused.returncode != 0, "handed back" in refused.stderr) == (True, True), refused.stderr
    assert home.aish("stop", "job").returncode != 0, "it lives on: a stop that does nothing must not say so"
    assert home.aish("forget", "job").returncode == 0
    assert home.aish("shutdown").returncode == 0
    assert home.aish("ps").returncode == 0
    assert not survivors.ended("job")
    survivors.ends_by("job", signal.SIGTERM)


def test_a_paused_one_stands_still_until_sigcont(home: Home, survivors: Survivors) -> None:
    survivors.spawn("job", "sh", "-c", "sleep 300 & wait")
    assert home.aish("pause", "job").returncode == 0
    told = survivors.off("--yes")
    assert told["living"][0]["paused"] is True
    assert state(survivors.pids["job"]) == "T"
    os.killpg(survivors.pids["job"], signal.SIGCONT)
    survivors.ends_by("job", signal.SIGTERM)


def test_a_terminal_is_read_until_its_last_process_has_ended(home: Home, survivors: Survivors) -> None:
    """Closing the master would have ended it by SIGHUP; unread, it would have stood still after some KiB."""
    fifo = home.root / "fifo"
    os.mkfifo(fifo)
    gate = os.open(fifo, os.O_RDWR)
    code = f"read x < {fifo}; head -c 200000 /dev/zero | tr '\\0' x; echo END; read y < {fifo}"
    survivors.spawn("screen", "sh", "-c", code, options=("--pty",))
    survivors.spawn("plain", "sleep", "300")
    ours = programs(home)
    told = survivors.off("--yes")
    assert len(told["behind"]) == 2
    assert gone(ours["daemon_pid"], 0)
    assert not gone(ours["pid"], 0)
    log = home.state / "logs" / "p1.out"
    next_one = home.aish("spawn", "--json", "--", "true")  # another supervisor beside them
    assert json.loads(next_one.stdout)["id"] == "p3"
    os.write(gate, b"go\n")
    deadline = select.poll()
    watch = kernel._libc.inotify_init1(0)
    kernel._libc.inotify_add_watch(watch, os.fsencode(log), 2)
    deadline.register(watch, select.POLLIN)
    while not log.read_bytes().endswith(b"END\r\n"):
        assert deadline.poll(DEADLINE_MS), "the terminal is not read"
        os.read(watch, 65536)
    assert len(log.read_bytes()) == 200_005
    os.write(gate, b"go\n")
    for name in ("pid", "keeper_pid"):
        assert gone(ours[name]), f"{name} stays after the last terminal"
    assert not survivors.ended("plain")
    for fd in (*ours.values(), gate, watch):
        os.close(fd)


def test_off_is_the_users_and_needs_no_supervisor(home: Home) -> None:
    done = home.aish("off", "--yes", "--json")
    assert (done.returncode, json.loads(done.stdout)["ran"]) == (0, False)
    refused = home.aish("run", "--", sys.executable, "-m", "aish", "off", "--yes")
    assert (refused.returncode != 0, "refused" in refused.stderr) == (True, True), refused.stderr
    assert home.aish("ps").returncode == 0


def test_a_terminal_is_asked_first(home: Home, survivors: Survivors) -> None:
    survivors.spawn("job", "sleep", "300")
    master, slave = pty.openpty()
    os.write(master, b"n\n")
    done = home.aish("off", stdin=slave)
    assert (done.returncode, "What runs (1) lives on" in done.stdout) == (1, True), done.stdout
    assert json.loads(home.aish("ps", "--json").stdout)[0]["state"] == "running"
    os.close(master)
    os.close(slave)


def test_the_daemon_killed_before_the_holder_left(home: Home, survivors: Survivors) -> None:
    """The next daemon would have ended what was handed back with its holder, after five idle minutes."""
    survivors.spawn("job", "sleep", "300")
    ours = programs(home)
    asker = connect(start=False, program="test")
    os.kill(pid_of(ours["pid"]), signal.SIGSTOP)
    asker.send(Off())
    log = home.state / "processes.db-wal"
    poll = select.poll()
    while b"handed-back" not in log.read_bytes():
        poll.poll(5)
    os.kill(pid_of(ours["daemon_pid"]), signal.SIGKILL)
    os.kill(pid_of(ours["pid"]), signal.SIGCONT)
    asker.close()
    for name, fd in ours.items():
        assert gone(fd), f"{name} stays"
        os.close(fd)
    assert not survivors.ended("job")


def pid_of(pidfd: int) -> int:
    text = Path(f"/proc/self/fdinfo/{pidfd}").read_text()
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith("Pid:")))


ANSWERS = """
import socket
server = socket.socket(fileno=3)
while True:
    client, _ = server.accept()
    client.sendall(b"here")
    client.close()
"""


def test_a_server_goes_on_at_the_socket_that_it_was_given(home: Home, survivors: Survivors) -> None:
    """The supervisor shut the socket when it let go of it: whoever connected was refused, and the server died."""
    path = home.root / "web.sock"
    survivors.spawn("web", sys.executable, "-c", ANSWERS, options=("--socket", f"unix:{path}"))
    assert asked(path) == b"here"
    survivors.off()
    assert not survivors.ended("web")
    assert asked(path) == b"here"


def asked(path: Path) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(path))
        return client.recv(10)
