"""Whatever arrives on the socket, the holder answers or hangs up, leaks nothing and lives."""

from __future__ import annotations

import array
import json
import os
import random
import resource
import select
import socket
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from aish.supervisor.holder import link, wire

if TYPE_CHECKING:
    from .conftest import World


def raw(world: World) -> socket.socket:
    """A connection without manners."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.connect(f"{world.runtime_dir}/{wire.SOCKET_NAME}")
    sock.settimeout(world.patience_s)
    return sock


def descriptors(world: World) -> int:
    """How many the holder has open."""
    return len(os.listdir(f"/proc/{world.hello['pid']}/fd"))


def test_hello_tells_who_is_there(held: World) -> None:
    """Version, both pids (for a caller's ancestry), boot id, start."""
    hello = held.hello
    assert hello["version"] == wire.VERSION
    assert hello["daemon_pid"] is None
    with open("/proc/sys/kernel/random/boot_id") as file:
        assert hello["boot_id"] == file.read().strip()
    with open(f"/proc/{hello['pid']}/stat") as file:
        assert int(file.read().rpartition(")")[2].split()[1]) == hello["keeper_pid"]


def test_socket_and_folder_are_private(held: World) -> None:
    """0600 in 0700."""
    assert stat.S_IMODE(os.stat(held.runtime_dir).st_mode) == 0o700
    assert stat.S_IMODE(os.stat(f"{held.runtime_dir}/{wire.SOCKET_NAME}").st_mode) == 0o600
    assert stat.S_IMODE(os.stat(f"{held.runtime_dir}/{wire.LOCK_NAME}").st_mode) == 0o600


def test_other_version_is_refused_with_ours(held: World) -> None:
    """So that a newer daemon can tell what it met."""
    other = link.HolderLink.connect(held.runtime_dir)
    held.links.append(other)
    with pytest.raises(wire.Refusal) as refused:
        other.call("hello", version=wire.VERSION + 1, role=wire.CONTROLLER)
    assert (refused.value.code, refused.value.details) == ("version", {"version": wire.VERSION})


def test_clients_may_only_hello_and_daemon(held: World) -> None:
    """Nothing before hello; nothing of the controller's after it."""
    other = link.HolderLink.connect(held.runtime_dir)
    held.links.append(other)
    with pytest.raises(wire.Refusal) as refused:
        other.call("list")
    assert refused.value.code == "not-allowed"
    other.call("hello", version=wire.VERSION, role=wire.CLIENT)
    for op in ("spawn", "signal", "list", "ack", "store", "fetch", "drop", "names", "drain", "bye", "quit"):
        with pytest.raises(wire.Refusal) as refused:
            other.call(op)
        assert refused.value.code == "not-allowed", op
    with pytest.raises(wire.Refusal) as refused:
        other.call("daemon")
    assert refused.value.code == "no-daemon"
    held.call("list")  # the controller is not disturbed


def test_latest_controller_wins(held: World) -> None:
    """The one before is told, may no longer act, and gets no more exits."""
    first = held.link
    held.connect()
    held.spawn("p1", ["true"])
    held.exit("p1")
    assert [message.body for message in first.on_readable()] == [{"event": "displaced"}]
    with pytest.raises(wire.Refusal):
        first.call("list")


def test_unknown_and_malformed_requests_are_answered(held: World) -> None:
    """Each with what is wrong; the connection stays."""
    sock = raw(held)
    for data, code in (
        (b"{", "malformed"),
        (b"[]", "malformed"),
        (b"\xff\xfe\x00", "malformed"),
        (b"[" * 60_000, "malformed"),
        (b'{"op":"hello"}', "bad-request"),
        (b'{"op":"hello","seq":"x"}', "bad-request"),
        (b'{"op":"hello","seq":1e400}', "bad-request"),
        (b'{"op":"hello","seq":' + b"9" * 5000 + b"}", "malformed"),
        (b'{"op":"nonsense","seq":1}', "unknown-op"),
        (b'{"op":["hello"],"seq":1}', "unknown-op"),
        (b'{"seq":1,"op":' + b"[" * 900 + b"]" * 900 + b"}", "unknown-op"),
        (b'{"op":"hello","seq":1}', "version"),
        (b'{"op":"hello","seq":1,"version":1,"role":"king"}', "bad-request"),
        (b"x" * (wire.DATAGRAM_BYTES + 1), "too-large"),
    ):
        sock.send(data)
        assert json.loads(sock.recv(wire.DATAGRAM_BYTES))["error"]["code"] == code, data[:40]
    sock.send(json.dumps({"op": "hello", "seq": 7, "version": wire.VERSION, "role": "client"}).encode())
    assert json.loads(sock.recv(wire.DATAGRAM_BYTES))["ok"] is True
    sock.close()
    held.call("list")


@pytest.mark.parametrize("id", ["", ".daemon", "a b", "a\n", "é", "x" * 129, None, 7, ["a"]])
def test_bad_ids_are_refused(lasting: World, id: object) -> None:
    """What could be mistaken for the holder's own names, or break a line of the journal."""
    for op in ("spawn", "signal"):
        with pytest.raises(wire.Refusal) as refused:
            lasting.call(op, id=id, sig=0)
        assert refused.value.code == "bad-request"


def test_too_many_descriptors_are_closed_not_leaked(held: World) -> None:
    """More than allowed, with anything; also with garbage, and when nobody takes them."""
    before = descriptors(held)
    sock = raw(held)
    sock.send(json.dumps({"op": "hello", "seq": 1, "version": wire.VERSION, "role": "client"}).encode())
    sock.recv(wire.DATAGRAM_BYTES)
    for count in (1, wire.FDS_MAX, wire.FDS_MAX + 1, wire.KERNEL_FDS_MAX):
        for data in (b'{"op":"list","seq":2}', b"garbage", b"x" * (wire.DATAGRAM_BYTES + 1)):
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [held.null] * count))
            sock.sendmsg([data], [rights])
            assert "error" in json.loads(sock.recv(wire.DATAGRAM_BYTES))
    sock.close()
    held.eventually(lambda: descriptors(held) == before, "everything is closed")
    with pytest.raises(wire.Refusal) as refused:
        held.call("store", [held.null] * (wire.FDS_MAX + 1), name="n")
    assert refused.value.code == "fds"


def test_fuzz(held: World) -> None:
    """Thousands of mutated requests from a controller: the holder keeps its pid and its descriptors."""
    rng = random.Random(20240612)
    before = descriptors(held)
    values = [None, True, -1, 0, 1, 1 << 70, 1e300, "", "p1", ".x", "x" * 300, [], [[]], {}, ["p1"], {"a": []}]
    ops = ["spawn", "signal", "list", "ack", "store", "fetch", "drop", "names", "drain", "daemon", "x", None]
    keys = ["id", "sig", "group", "after", "ids", "name", "role", "version", "force"]
    sock = raw(held)
    sock.send(json.dumps({"op": "hello", "seq": 1, "version": wire.VERSION, "role": "controller"}).encode())
    sock.recv(wire.DATAGRAM_BYTES)
    fds = [held.null, wire.payload_fd(held.payload(["true"])), wire.payload_fd(b"{}"), *os.pipe()]
    for number in range(3000):
        message = {key: rng.choice(values) for key in rng.sample(keys, rng.randrange(4))}
        message |= {"op": rng.choice(ops), "seq": rng.choice([number, number, None])}
        data = bytearray(json.dumps(message).encode())
        if rng.random() < 0.2:
            data[rng.randrange(len(data))] = rng.randrange(256)
        chosen = [rng.choice(fds) for _ in range(rng.choice([0, 0, 1, 2, 5]))]
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", chosen))] if chosen else []
        sock.sendmsg([bytes(data)], rights)
        packet = wire.receive(sock)
        assert packet.data
        packet.close()
    sock.close()
    for fd in fds[1:]:
        os.close(fd)
    pid = held.hello["pid"]
    held.connect()
    assert held.hello["pid"] == pid
    held.call("ack", ids=[row["id"] for row in held.everything()["exits"]])
    for row in held.everything("names").get("names", []):
        held.call("drop", name=row["name"])
    held.eventually(lambda: descriptors(held) <= before + 1, "everything is closed")  # + our new connection


def test_connections_are_bounded(held: World) -> None:
    """A crowd pushes out its own oldest, never the controller."""
    crowd = [raw(held) for _ in range(300)]
    held.call("list")
    assert descriptors(held) < 200
    for sock in crowd:
        sock.close()


def test_out_of_descriptors(world: World) -> None:
    """Accept, spawn and store are refused cleanly while the holder has none left, and work again after."""
    launcher = (
        "import resource, sys\n"
        "from aish.supervisor.holder import link\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))\n"
        "link.launch(sys.argv[1], None, sys.argv[2])\n"
    )
    subprocess.run([sys.executable, "-c", launcher, world.runtime_dir, str(world.log)], check=True, timeout=60)
    world.connect()
    assert resource.prlimit(world.hello["pid"], resource.RLIMIT_NOFILE) == (40, 40)
    kept = fill_the_store(world)
    assert kept > 10
    crowd = [raw(world) for _ in range(40)]  # some of them are hung up on at once
    world.eventually(lambda: descriptors(world) == 40, "none is left")
    for number in range(3):
        with pytest.raises(wire.Refusal) as refused:
            world.spawn(f"none{number}", ["true"])
        assert refused.value.code in ("fds", "spawn")
        crowd += [raw(world) for _ in range(5)]
    before = cpu_ticks(world.hello["pid"])
    select.select([], [], [], 0.3)  # what is measured is the time that it does not use
    assert cpu_ticks(world.hello["pid"]) - before < 10, "it spins"
    for sock in crowd:
        sock.close()
    world.eventually(lambda: descriptors(world) < 38, "the crowd is gone")
    for number in range(kept):
        world.call("drop", name=f"n{number}")
    world.spawn("p1", ["true"])
    assert world.exit("p1")["status"] == 0


def cpu_ticks(pid: int) -> int:
    """User and system time of a process so far, in hundredths of a second."""
    with open(f"/proc/{pid}/stat") as file:
        return sum(map(int, file.read().rpartition(")")[2].split()[11:13]))


def fill_the_store(world: World) -> int:
    """How many names it took until it said "full"."""
    for kept in range(100):
        try:
            world.call("store", [world.null], name=f"n{kept}")
        except wire.Refusal as refusal:
            return kept if refusal.code == "full" else 0
    return 0


@pytest.mark.root
def test_other_uid_is_hung_up_on(held: World) -> None:
    """Even where the file modes would let it in."""
    os.chmod(held.runtime_dir, 0o755)
    os.chmod(f"{held.runtime_dir}/{wire.SOCKET_NAME}", 0o666)
    folder = held.folder
    while folder != folder.parent:
        os.chmod(folder, os.stat(folder).st_mode | 0o011)
        folder = folder.parent
    script = (
        "import os, socket, sys\n"
        "os.setuid(65534)\n"
        "sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
        "sock.settimeout(20)\n"
        "sock.connect(sys.argv[1])\n"
        "sock.send(sys.argv[2].encode())\n"
        "print(len(sock.recv(100)))\n"
    )
    hello = json.dumps({"op": "hello", "seq": 1, "version": wire.VERSION, "role": "client"})
    argv = [sys.executable, "-I", "-S", "-c", script, f"{held.runtime_dir}/{wire.SOCKET_NAME}", hello]
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert ended.stdout == "0\n" or "BrokenPipe" in ended.stderr or "ConnectionReset" in ended.stderr
    held.call("list")
