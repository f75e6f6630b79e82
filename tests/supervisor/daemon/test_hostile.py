"""Slow, malformed and hostile clients: each gets a Failure or loses its connection; everybody else goes on."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import struct
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aish.client import connect
from aish.config import folders
from aish.errors import DisconnectedError
from aish.wire import address, codec, frame
from aish.wire.frame import Channel
from aish.wire.message import VERSION, Events, Hello, Shutdown, Snapshot, Wait
from aish.wire.reply import Done, Failure, Welcome

if TYPE_CHECKING:
    from conftest import Supervised


def raw() -> socket.socket:
    sock = address.connect(folders.daemon_socket())
    sock.settimeout(10)
    return sock


def greeted() -> Channel:
    channel = Channel(raw())
    channel.send(codec.encode(Hello(version=VERSION)))
    assert isinstance(codec.decode_reply(channel.receive()[0]), Welcome)
    return channel


def ended(sock: socket.socket) -> bool:
    try:
        while sock.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return True


def refusal(channel: Channel) -> Failure:
    reply = codec.decode_reply(channel.receive()[0])
    assert isinstance(reply, Failure)
    return reply


@pytest.mark.usefixtures("home")
def test_another_version_may_end_everything_and_nothing_else(up: Supervised) -> None:
    """After an upgrade in place the old program is gone: the new one must be able to shut down what it replaces."""
    channel = Channel(raw())
    channel.send(codec.encode(Hello(version=VERSION + 1, program="shutdown")))
    assert isinstance(codec.decode_reply(channel.receive()[0]), Welcome)
    channel.send(codec.encode(Snapshot()))
    assert refusal(channel).code == "version"
    channel.send(codec.encode(Shutdown(force=True)))
    assert isinstance(codec.decode_reply(channel.receive()[0]), Done)


def test_another_version(up: Supervised) -> None:
    channel = Channel(raw())
    channel.send(codec.encode(Hello(version=VERSION + 1)))
    assert refusal(channel).code == "version"
    assert ended(channel.sock)


def test_no_hello(up: Supervised) -> None:
    channel = Channel(raw())
    channel.send(codec.encode(Snapshot()))
    assert refusal(channel).code == "input"
    assert ended(channel.sock)


@pytest.mark.parametrize(
    "body", [b"", b"\xc1", b"\x93\x01\x02\x03", b"\x81\xa2op\xa5Fnord", b"\x80", b"\x91" * 100_000]
)
def test_malformed_bodies_get_a_failure_and_the_connection_goes_on(up: Supervised, body: bytes) -> None:
    channel = greeted()
    channel.send(body)
    assert refusal(channel).code == "input"
    channel.send(codec.encode(Snapshot()))
    assert not isinstance(codec.decode_reply(channel.receive()[0]), Failure)


def test_a_wrong_type_names_its_field(up: Supervised) -> None:
    channel = greeted()
    import msgspec

    channel.send(msgspec.msgpack.encode({"op": "Wait", "target": 7}))
    assert "$.target" in refusal(channel).message


def test_a_frame_above_the_bound(up: Supervised) -> None:
    """Must not make the daemon wait for, or allocate, what was announced."""
    channel = greeted()
    channel.sock.sendall(struct.pack("<IB", 0xFFFFFFFF, 0))
    assert "above the bound" in refusal(channel).message
    assert ended(channel.sock)


def test_random_bytes(up: Supervised) -> None:
    rng = random.Random(3)
    for size in (1, 4, 5, 6, 100, 5000, 100_000):
        with raw() as sock:
            try:
                sock.sendall(rng.randbytes(size))
                sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            assert ended(sock)
    assert up.view().processes == []


def descriptors(pid: int) -> int:
    """Without the daemon's eye on the holder, which it opens soon after its start."""
    found = 0
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            found += not os.readlink(f"/proc/{pid}/fd/{fd}").startswith("/proc/")
    return found


def test_descriptors_that_nobody_asked_for_are_closed(up: Supervised) -> None:
    """Else a client fills the daemon's table until nothing can be opened."""
    channel = greeted()
    before = descriptors(up.daemon_pid)
    null = os.open(os.devnull, os.O_RDONLY)
    for _ in range(20):
        channel.send(codec.encode(Snapshot()), [null] * 60)
        channel.receive()
    assert descriptors(up.daemon_pid) <= before + 1
    channel.send(b"\xc1", [null] * 60)
    assert refusal(channel).code == "input"
    up.until("they are closed", lambda: descriptors(up.daemon_pid) <= before + 1)
    socket.send_fds(channel.sock, [struct.pack("<IB", 10, 0) + b"x" * 10], [null] * 200)
    assert refusal(channel).code == "input"
    up.until("they are closed", lambda: descriptors(up.daemon_pid) <= before + 1)
    os.close(null)


def test_a_client_that_leaves_in_the_middle(up: Supervised) -> None:
    before = descriptors(up.daemon_pid)
    for request in (Wait(target="job"), Snapshot(every_s=0.1), Events(follow=True)):
        up.spawn("sleep", "62", name="job", rename=True)
        for _ in range(10):
            channel = greeted()
            channel.send(codec.encode(request))
            channel.sock.close()
    with raw() as sock:
        sock.sendall(b"\x10")
    up.until("all are closed", lambda: descriptors(up.daemon_pid) <= before + 3)


@pytest.mark.usefixtures("home")
def test_a_client_that_does_not_read_holds_up_nobody(up: Supervised) -> None:
    """A follower that is stopped with SIGSTOP: others are served, and the daemon's memory stays bounded."""
    stuck = greeted()
    stuck.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stuck.send(codec.encode(Events(follow=True)))
    for _ in range(300):
        try:
            stuck.sock.setblocking(False)
            frame.send(stuck.sock, codec.encode(Snapshot(all=True)))
        except BlockingIOError:
            break
    worst = 0.0
    for _ in range(30):
        begin = time.monotonic()
        assert up.code(up.spawn("true").id) == 0
        worst = max(worst, time.monotonic() - begin)
    assert worst < 5.0
    rss_kb = next(
        int(line.split()[1])
        for line in Path(f"/proc/{up.daemon_pid}/status").read_text().splitlines()
        if "VmRSS" in line
    )
    assert rss_kb < 120_000
    stuck.sock.close()


def test_a_slow_reader_is_cut_with_a_last_word(up: Supervised, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it knows that it missed something, and where to go on."""
    import asyncio

    from aish.supervisor.daemon import connection as module

    async def scene() -> Failure:
        ours, theirs = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        ends: list[object] = []
        made = module.Connection(ours, ends.append)
        for _ in range(3):
            made.send_body(b"x" * 100_000)
        with pytest.raises(TimeoutError):
            await made.flushed(0.05)
        channel = Channel(theirs)
        reader = asyncio.to_thread(lambda: [channel.receive()[0] for _ in range(2)])
        task = asyncio.create_task(reader) if asyncio.iscoroutine(reader) else asyncio.ensure_future(reader)
        await made.farewell(Failure(code="limit", message="you read too slowly"))
        bodies = await task
        made.close()
        theirs.close()
        reply = codec.decode_reply(bodies[1])
        assert bodies[0] == b"x" * 100_000, "the frame that was half sent must come whole"
        assert isinstance(reply, Failure)
        return reply

    assert asyncio.run(scene()).message == "you read too slowly"


def test_many_connections_at_once(up: Supervised) -> None:
    clients = [connect() for _ in range(200)]
    errors: list[BaseException] = []

    def ask(client: object) -> None:
        try:
            client.request(Snapshot())  # type: ignore[attr-defined]
        except BaseException as error:  # noqa: BLE001  counted by the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=ask, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not errors
    for client in clients:
        client.close()


def test_requests_sent_ahead_are_answered_in_order(up: Supervised) -> None:
    channel = greeted()
    for number in range(100):
        channel.send(codec.encode(Wait(target=f"nobody{number}")))
    for number in range(100):
        assert refusal(channel).message == f"no process is called nobody{number}"


def test_the_socket_is_the_users_alone(up: Supervised) -> None:
    status = Path(folders.daemon_socket()).stat()
    assert status.st_mode & 0o777 == 0o600
    assert Path(folders.runtime()).stat().st_mode & 0o777 == 0o700


@pytest.mark.root
@pytest.mark.usefixtures("home")
def test_another_user_is_refused(up: Supervised) -> None:
    """Even one who can reach the socket: root's own daemon serves root alone."""
    os.chmod(folders.daemon_socket(), 0o666)
    for folder in (up.home.root, up.home.root / "run", up.home.runtime):
        os.chmod(folder, 0o755)
    pid = os.fork()
    if pid == 0:
        try:
            os.setuid(65534)
            channel = Channel(raw())
            channel.send(codec.encode(Hello(version=VERSION)))
            os._exit(0 if refusal(channel).code == "refused" else 1)
        except BaseException as error:  # noqa: BLE001  a child of the test has no other way to tell
            os.write(2, repr(error).encode())
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.usefixtures("home")
def test_the_end_of_the_daemon_is_told_as_such(up: Supervised) -> None:
    up.kill_daemon()
    with pytest.raises(DisconnectedError):
        next(iter(up.client.stream(Snapshot())))
