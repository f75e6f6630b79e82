"""Sockets passed in: opened once, kept between runs and over every death, closed when it has ended for good."""

from __future__ import annotations

import errno
import os
import signal
import socket
import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aish.client import launch
from aish.errors import InputError, RefusedError, UnavailableError
from aish.supervisor.daemon import want
from aish.supervisor.daemon.authority import Caller
from aish.wire.message import Restart, Spawn, Start, Stop
from aish.wire.reply import Done
from aish.wire.spec import LaunchPart, RestartPart, SocketPart, SpecPart

if TYPE_CHECKING:
    from conftest import Supervised

ECHO = """
import os, socket
assert int(os.environ["LISTEN_PID"]) == os.getpid(), os.environ["LISTEN_PID"]
names = os.environ["LISTEN_FDNAMES"].split(":")
assert len(names) == int(os.environ["LISTEN_FDS"])
socks = [socket.socket(fileno=3 + at) for at in range(len(names))]
print("up", *names, flush=True)
"""
ONCE = (
    ECHO
    + """
c, _ = socks[0].accept()
c.sendall(b"%d" % os.getpid())
"""
)
SERVE = (
    ECHO
    + """
while True:
    c, _ = socks[0].accept()
    c.sendall(b"%d" % os.getpid())
    c.close()
"""
)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def ask(place: tuple[str, int] | str, timeout_s: float = 20.0) -> int:
    """The pid of who answers; a connection that waits in the queue meanwhile is patient."""
    with socket.socket(socket.AF_UNIX if isinstance(place, str) else socket.AF_INET) as sock:
        sock.settimeout(timeout_s)
        sock.connect(place)
        return int(sock.recv(100))


def refused(place: tuple[str, int] | str) -> bool:
    with socket.socket(socket.AF_UNIX if isinstance(place, str) else socket.AF_INET) as sock:
        return sock.connect_ex(place) in (errno.ECONNREFUSED, errno.ENOENT)


def test_a_connection_waits_while_it_is_started_again(up: Supervised) -> None:
    """Each run answers one connection and ends; nobody is ever refused."""
    port = free_port()
    fast = RestartPart(most=None, longest_s=0.05)
    part = SocketPart(address=f"127.0.0.1:{port}", name="web")
    up.python(ONCE, sockets=[part], restart="always", restarts=fast, name="job")
    pids = [ask(("127.0.0.1", port)) for _ in range(5)]
    assert len(set(pids)) == 5
    assert up.log("job")[0].startswith("up web\nup web\n")


def test_sockets_of_every_kind(up: Supervised, tmp_path: Path) -> None:
    port, path = free_port(), tmp_path / "s"
    parts = [
        SocketPart(address=f"unix:{path}", mode=0o660, name="api"),
        SocketPart(address="127.0.0.1:{port}"),
        SocketPart(address=f"127.0.0.1:{port}", kind="datagram", name="udp"),
        SocketPart(address=f"unix:{tmp_path}/d", kind="datagram"),
    ]
    code = SERVE.replace("while True", "print(*(s.type.name + ' ' + s.family.name for s in socks))\nwhile True")
    code = code.replace("print(*", "print(socks[2].recv(9), socks[3].recv(9), *").replace(
        "socks))", "socks), flush=True)"
    )
    up.python(code, sockets=parts, name="job")
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dgram,
    ):
        udp.sendto(b"one", ("127.0.0.1", port))
        dgram.sendto(b"two", f"{tmp_path}/d")
    up.until("it has them all", lambda: "SOCK_DGRAM AF_UNIX" in up.log("job")[0])
    told = up.log("job")[0].splitlines()
    assert told[0] == "up api unknown udp unknown"
    types = "SOCK_STREAM AF_UNIX SOCK_STREAM AF_INET SOCK_DGRAM AF_INET SOCK_DGRAM AF_UNIX"
    assert told[1] == f"b'one' b'two' {types}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert stat.S_IMODE((tmp_path / "d").stat().st_mode) == 0o600
    assert ask(str(path)) == up.row("job").pid
    up.client.ask(Done, Stop(target="job"))
    up.until("their files are gone", lambda: not list(tmp_path.iterdir()))


def test_a_restart_keeps_them_and_a_stop_closes_them(up: Supervised, tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    up.python(SERVE, sockets=[SocketPart(address=f"unix:{path}")], name="job")
    first = ask(path)
    inode = os.stat(path).st_ino
    up.client.ask(Done, Restart(target="job"))
    assert ask(path) != first
    assert os.stat(path).st_ino == inode, "it was opened a second time"
    up.client.ask(Done, Stop(target="job"))
    up.until("it is closed", lambda: refused(path) and not os.path.exists(path))
    up.client.ask(Done, Start(target="job", launch=launch.capture()))
    assert ask(path) == up.row("job").pid


def test_a_leased_port_stays_while_its_socket_does(up: Supervised) -> None:
    """The lease of the run before was found taken, by our own socket."""
    code = SERVE.replace("print(", "import sys; print(sys.argv[1], socks[0].getsockname()[1], ")
    up.python(code, "{port}", sockets=[SocketPart(address="127.0.0.1:{port}")], restart="always", name="job")
    up.until("it is up", lambda: up.log("job")[0].count("\n") == 1)
    os.kill(up.row("job").pid or 0, signal.SIGKILL)
    up.until("the next run is up", lambda: up.log("job")[0].count("\n") == 2)
    up.client.ask(Done, Restart(target="job"))
    up.until("and the next", lambda: up.log("job")[0].count("\n") == 3)
    ports = {word for line in up.log("job")[0].splitlines() for word in line.split()[:2]}
    assert len(ports) == 1, ports


@pytest.mark.usefixtures("home")
def test_they_outlive_daemon_and_holder(up: Supervised) -> None:
    """Daemon and holder are killed in the backoff: a connection made then is answered by the next run."""
    port = free_port()
    part = SocketPart(address=f"127.0.0.1:{port}")
    slow = RestartPart(delay_s=1.0, longest_s=1.0, most=None)
    up.python(ONCE, sockets=[part], restart="always", restarts=slow, name="job")
    first, second = ask(("127.0.0.1", port)), ask(("127.0.0.1", port))
    up.until("it waits to be started again", lambda: up.row("job").lifecycle == "backoff")
    answers: list[int] = []
    waiting = threading.Thread(target=lambda: answers.append(ask(("127.0.0.1", port))))
    waiting.start()
    _, holder = up.holder_pids()
    os.kill(holder, signal.SIGKILL)
    up.kill_daemon()
    up.next_daemon()
    waiting.join(20)
    assert len(answers) == 1
    assert answers[0] not in (first, second)


def test_a_port_that_is_taken_is_told_with_who_has_it(up: Supervised, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        started = up.python(SERVE, sockets=[SocketPart(address=f"127.0.0.1:{port}")])
        assert started.state == "failed"
        assert f"it cannot listen at 127.0.0.1:{port}: " in (started.reason or "")
        assert f"(pid {os.getpid()}) has it" in (started.reason or "")
    part = SocketPart(address=f"127.0.0.1:{port}")
    first = up.python(SERVE, sockets=[part], name="first")
    second = up.python(SERVE, sockets=[SocketPart(address=f"unix:{tmp_path}/s"), part])
    assert (second.reason or "").endswith(f"first ({first.id}) has it")
    up.until("nothing of the second is left", lambda: not list(tmp_path.iterdir()) or refused(str(tmp_path / "s")))


def test_what_lies_at_a_path_is_replaced_only_if_it_is_a_dead_socket_of_ours(up: Supervised, tmp_path: Path) -> None:
    path = tmp_path / "s"
    part = SocketPart(address=f"unix:{path}")
    path.write_text("mine")
    started = up.python(SERVE, sockets=[part])
    assert "there is a file which is no socket" in (started.reason or "")
    assert path.read_text() == "mine"
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    assert "which is no socket" in (up.python(SERVE, sockets=[part]).reason or "")
    path.unlink()
    with socket.socket(socket.AF_UNIX) as living:
        living.bind(str(path))
        living.listen()
        assert f"(pid {os.getpid()}) has it" in (up.python(SERVE, sockets=[part]).reason or "")
    assert path.exists()
    started = up.python(SERVE, sockets=[part])
    assert ask(str(path)) == up.row(started.id).pid


def test_a_socket_that_somebody_else_opened_meanwhile_is_left_to_him(up: Supervised, tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    up.python(SERVE, sockets=[SocketPart(address=f"unix:{path}")], name="job")
    ask(path)
    os.unlink(path)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
        other.listen()
        up.client.ask(Done, Stop(target="job"))
        up.wait("job")
        with pytest.raises(UnavailableError, match=rf" \(pid {os.getpid()}\) has it"):
            up.client.ask(Done, Start(target="job", launch=launch.capture()))  # the run before is closed by then
        assert os.path.exists(path)


def test_what_it_left_behind_does_not_listen_on(up: Supervised, tmp_path: Path) -> None:
    """A child in a session of its own had the socket, and the port was never free again."""
    port = free_port()
    code = SERVE.replace(
        "while True",
        "if os.fork() == 0:\n    os.setsid(); import signal; signal.signal(15, signal.SIG_IGN)\nwhile True",
    )
    up.python(code, sockets=[SocketPart(address=f"127.0.0.1:{port}")], grace_s=5.0, name="job")
    leader = up.row("job").pid
    up.until("both are up", lambda: ask(("127.0.0.1", port)) > 0)
    os.kill(leader or 0, signal.SIGKILL)
    up.wait("job")
    up.until("nobody is there", lambda: refused(("127.0.0.1", port)))


def test_a_terminal_and_sockets(up: Supervised) -> None:
    port = free_port()
    up.python(SERVE, sockets=[SocketPart(address=f"127.0.0.1:{port}")], pty=True, name="job")
    assert ask(("127.0.0.1", port)) == up.row("job").pid


def test_variables_of_the_caller_are_not_taken_for_ours(up: Supervised) -> None:
    environ = {**os.environ, "LISTEN_PID": "1", "LISTEN_FDS": "7", "LISTEN_FDNAMES": "x"}
    port = free_port()
    up.python(ECHO, sockets=[SocketPart(address=f"127.0.0.1:{port}", name="a")], environ=environ, name="job")
    assert up.code("job") == 0, up.log("job")[1]


@pytest.mark.usefixtures("home")
def test_a_shutdown_leaves_no_socket_file(up: Supervised, tmp_path: Path) -> None:
    up.python(SERVE, sockets=[SocketPart(address=f"unix:{tmp_path}/s")], name="job")
    ask(str(tmp_path / "s"))
    up.close()
    assert up.home.aish("shutdown").returncode == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "part",
    [
        SocketPart(address="nowhere"),
        SocketPart(address="example.org:80"),
        SocketPart(address="127.0.0.1:0"),
        SocketPart(address="127.0.0.1:70000"),
        SocketPart(address="::1:80"),
        SocketPart(address="unix:relative"),
        SocketPart(address="unix:/" + "x" * 107),
        SocketPart(address="127.0.0.1:80", kind="raw"),
        SocketPart(address="127.0.0.1:80", name="a:b"),
        SocketPart(address="127.0.0.1:80", name="a\nb"),
        SocketPart(address="127.0.0.1:80", backlog=0),
        SocketPart(address="127.0.0.1:80", mode=0o1777),
    ],
)
def test_bad_sockets(part: SocketPart) -> None:
    with pytest.raises(InputError) as error:
        want.check_spec(SpecPart(argv=[b"true"], sockets=[part]))
    assert error.value.field == "sockets[0]"


def test_good_sockets_and_the_same_one_twice() -> None:
    good = [
        SocketPart(address=text) for text in ("[::1]:80", "localhost:81", "127.0.0.1:{port}", "unix:/run/x{port}")
    ]
    want.check_spec(SpecPart(argv=[b"true"], sockets=good))
    for twice in ("localhost:81", "[::ffff:127.0.0.1]:81"):
        with pytest.raises(InputError, match="twice"):
            want.check_spec(SpecPart(argv=[b"true"], sockets=[*good, SocketPart(address=twice)]))


def test_descriptors_of_a_client_may_not_collide_with_them() -> None:
    spec = SpecPart(argv=[b"true"], sockets=[SocketPart(address="127.0.0.1:80"), SocketPart(address="127.0.0.1:81")])
    for targets, fits in (([0, 5], True), ([4], False)):
        request = Spawn(token="0" * 32, spec=spec, launch=LaunchPart(environ=[]), targets=targets)
        if fits:
            want.check_spawn(request, len(targets))
            continue
        with pytest.raises(InputError, match="descriptors 3 to 4 are its sockets"):
            want.check_spawn(request, len(targets))


def test_a_supervised_process_may_not_have_sockets_opened() -> None:
    spec = SpecPart(argv=[b"true"], sockets=[SocketPart(address="127.0.0.1:80")])
    with pytest.raises(RefusedError, match="only the user"):
        want.check_rights(Caller("process", "p1"), None, spec)
