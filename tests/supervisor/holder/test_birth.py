"""A child starts as if the calling shell had forked it, and a failed start leaves nothing behind."""

from __future__ import annotations

import errno
import json
import os
import pty
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aish.supervisor.holder import wire

if TYPE_CHECKING:
    from .conftest import World


def field(status: bytes, name: bytes) -> bytes:
    """A line of /proc/PID/status or limits."""
    return next(line for line in status.splitlines() if line.startswith(name))[len(name) :].strip(b": \t")


def test_environment_is_exactly_what_was_given(held: World) -> None:
    """Nothing added (LC_CTYPE, AISH_…), nothing lost: duplicates, odd words and bytes that are no text."""
    env = [b"PATH=/usr/bin:/bin", b"B=1", b"A=\xff\xfe=x", b"A=again", b"no-equals", b"=odd", b"EMPTY="]
    assert held.output("p1", ["cat", "/proc/self/environ"], env=env) == b"".join(pair + b"\0" for pair in env)
    assert held.output("p2", ["/bin/cat", "/proc/self/environ"], env=[]) == b""


def test_arguments_are_bytes(held: World) -> None:
    """No encoding on the way: every byte but zero."""
    word = bytes(range(1, 256))
    assert held.output("p1", [b"printf", b"%s|", word, b""]) == word + b"||"


def test_cwd_umask_nice_session(held: World, tmp_path: Path) -> None:
    """Folder, umask and nice as told; a session and group of its own, no controlling terminal."""
    place = tmp_path / "plåce with spaces"
    place.mkdir()
    script = "pwd -P; umask; cat /proc/$$/stat"
    told = held.output("p1", ["sh", "-c", script], cwd=os.fsencode(place), umask=0o137, nice=os.nice(0) + 3)
    cwd, umask, stat = told.splitlines()
    assert cwd == os.fsencode(place)
    assert int(umask, 8) == 0o137
    after_name = stat.rpartition(b")")[2].split()
    pid = int(stat.split()[0])
    assert [int(after_name[at]) for at in (2, 3, 4)] == [pid, pid, 0]  # group, session, terminal
    assert int(after_name[16]) == os.nice(0) + 3


def test_signals_are_default_whatever_the_launcher_ignored(world: World) -> None:
    """`nohup`, a blocked mask, and Python's own SIGPIPE and SIGXFSZ do not reach children."""
    launcher = (
        "import signal, sys\n"
        "from aish.supervisor.holder import link\n"
        "for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGCHLD):\n"
        "    signal.signal(number, signal.SIG_IGN)\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGALRM])\n"
        "link.launch(sys.argv[1], None, sys.argv[2])\n"
    )
    subprocess.run([sys.executable, "-c", launcher, world.runtime_dir, str(world.log)], check=True, timeout=60)
    world.connect()
    status = world.output("p1", ["cat", "/proc/self/status"])
    for name in (b"SigPnd", b"SigBlk", b"SigIgn", b"SigCgt"):
        assert int(field(status, name), 16) == 0, name


def test_no_stray_descriptors(world: World, tmp_path: Path) -> None:
    """The child has what was passed, and nothing of the launcher's, the holder's or another child's."""
    stray, other = os.pipe()
    os.set_inheritable(stray, True)
    try:
        world.launch()
        world.connect()
        world.call("store", [stray], name="kept")
        told = world.output("p1", ["ls", "/proc/self/fd"])
        assert told.split() == [b"0", b"1", b"2", b"3"]  # 3 is ls's own
    finally:
        os.close(stray)
        os.close(other)


def test_descriptors_arrive_at_their_targets(held: World, tmp_path: Path) -> None:
    """In any order and at any number, those that the holder uses itself included; missing ones are closed."""
    files = []
    for number in range(40):
        (tmp_path / str(number)).write_text(str(number))
        files.append(os.open(tmp_path / str(number), os.O_RDONLY))
    ours, theirs = os.pipe()
    targets = [*range(41, 1, -1), 1]  # 0 stays closed: the child's listing opens there
    script = (
        "import os\n"
        "own = os.open('/proc/self/fd', os.O_RDONLY)\n"
        "found = sorted(int(name) for name in os.listdir(own))\n"
        "print([number for number in found if number != own and os.path.exists(f'/proc/self/fd/{number}')][:60])\n"
        "print([os.read(number, 9).decode() for number in range(2, 42)])\n"
    )
    argv = [sys.executable, "-I", "-S", "-c", script]
    with open(ours) as pipe:
        held.spawn("p1", argv, [*files, theirs], targets=targets)
        os.close(theirs)
        numbers, texts = pipe.read().splitlines()
    for fd in files:
        os.close(fd)
    assert eval(numbers) == list(range(1, 42))
    assert eval(texts) == [str(39 - at) for at in range(40)]


def test_rlimits_as_told_and_none_of_the_holders(world: World) -> None:
    """The holder raises its own nofile; children get the launcher's, or what the payload says."""
    launcher = (
        "import resource, sys\n"
        "from aish.supervisor.holder import link\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (123, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))\n"
        "resource.setrlimit(resource.RLIMIT_CORE, (4096, 8192))\n"
        "link.launch(sys.argv[1], None, sys.argv[2])\n"
    )
    subprocess.run([sys.executable, "-c", launcher, world.runtime_dir, str(world.log)], check=True, timeout=60)
    world.connect()
    assert resource.prlimit(world.hello["pid"], resource.RLIMIT_NOFILE)[0] > 123
    for program in ("pid", "keeper_pid"):  # a core file would hold the environments of all that it starts
        assert resource.prlimit(world.hello[program], resource.RLIMIT_CORE)[0] == 0
    limits = world.output("p1", ["cat", "/proc/self/limits"])
    assert field(limits, b"Max open files").split()[0] == b"123"
    assert field(limits, b"Max core file size").split()[:2] == [b"4096", b"8192"]
    limits = world.output(
        "p2", ["cat", "/proc/self/limits"], rlimits={"nofile": (77, 99), "core": (0, 4096), "fsize": (512, -1)}
    )
    assert field(limits, b"Max open files").split()[:2] == [b"77", b"99"]
    assert field(limits, b"Max core file size").split()[:2] == [b"0", b"4096"]
    assert field(limits, b"Max file size").split()[0] == b"512"


def test_fsize_zero_does_not_break_the_start(held: World) -> None:
    """The announcement is a write, so the limit on writes comes after it."""
    held.spawn("p1", ["true"], rlimits={"fsize": (0, 0)})
    assert held.exit("p1")["status"] == 0


def test_pty_is_the_controlling_terminal(held: World) -> None:
    """With `pty`, descriptor 0 becomes the session's terminal and the child its foreground group."""
    master, slave = pty.openpty()
    try:
        held.spawn("p1", ["sh", "-c", "cat /proc/$$/stat > /dev/tty"], [slave, slave, slave], pty=True)
        stat = os.read(master, 4096)
        after_name = stat.rpartition(b")")[2].split()
        pid = int(stat.split()[0])
        assert os.major(int(after_name[4])) != 0
        assert int(after_name[5]) == pid
    finally:
        os.close(master)
        os.close(slave)


def test_a_child_that_is_passed_sockets_is_told_its_own_pid(held: World) -> None:
    """sd_listen_fds(3) takes descriptors only where LISTEN_PID is the pid of who asks."""
    env = [b"PATH=/usr/bin:/bin", b"LISTEN_PID=0", b"LISTEN_FDS=1"]
    told = held.output("p1", ["sh", "-c", "echo $$ $LISTEN_PID $LISTEN_FDS"], env=env, listen_pid=True)
    own, listen, count = told.split()
    assert (own, count) == (listen, b"1")


def test_lookup_in_the_childs_own_path(held: World, tmp_path: Path) -> None:
    """PATH of the payload, relative to its cwd, first hit wins; what cannot be executed is passed over."""
    for folder, text in (("a", None), ("b", "first"), ("c", "second")):
        (tmp_path / folder).mkdir()
        program = tmp_path / folder / "prog"
        program.write_text(f"#!/bin/sh\necho {text}\n")
        program.chmod(0o644 if text is None else 0o755)
    env = [b"PATH=nowhere:a:b:c"]
    assert held.output("p1", ["prog"], env=env, cwd=os.fsencode(tmp_path)) == b"first\n"
    with pytest.raises(wire.Refusal) as refused:
        held.spawn("p2", ["prog"], env=[b"PATH=nowhere:a"], cwd=os.fsencode(tmp_path))
    assert refused.value.details["errno"] == errno.EACCES


FAILURES: list[tuple[str, int, dict[str, Any]]] = [
    ("exec", errno.ENOENT, {"argv": ["no-such-program"]}),
    ("exec", errno.ENOENT, {"argv": ["/no/such/program"]}),
    ("exec", errno.EACCES, {"argv": ["/etc/passwd"]}),
    ("cwd", errno.ENOENT, {"cwd": b"/no/such/folder"}),
    ("cwd", errno.ENOTDIR, {"cwd": b"/etc/passwd"}),
    ("rlimit", errno.EINVAL, {"rlimits": {"nofile": (99, 77)}}),
    ("tty", errno.ENOTTY, {"pty": True}),
]


@pytest.mark.parametrize(("stage", "number", "changes"), FAILURES)
def test_failed_start_names_the_stage_and_leaves_no_ghost(
    held: World, stage: str, number: int, changes: dict[str, Any]
) -> None:
    """No child, no exit event, no descriptor; the id can be tried again."""
    before = os.listdir(f"/proc/{held.hello['pid']}/fd")
    with pytest.raises(wire.Refusal) as refused:
        held.spawn("p1", changes.pop("argv", ["true"]), **changes)
    assert refused.value.code == "spawn"
    assert refused.value.details == {"stage": stage, "errno": number}
    assert held.everything() == {"children": [], "exits": []}
    children = Path(f"/proc/{held.hello['pid']}/task/{held.hello['pid']}/children")
    assert not children.read_text().split(), "told before the failed child has ended: the daemon finds a stranger"
    assert os.listdir(f"/proc/{held.hello['pid']}/fd") == before
    held.spawn("p1", ["true"])
    assert held.exit("p1")["status"] == 0


def test_failing_exec_with_a_tiny_fsize_is_told(held: World) -> None:
    """SIGXFSZ on the journal's line must not eat the reason."""
    with pytest.raises(wire.Refusal) as refused:
        held.spawn("p1", ["no-such-program"], rlimits={"fsize": (0, 0)})
    assert refused.value.details == {"stage": "exec", "errno": errno.ENOENT}
    assert held.everything() == {"children": [], "exits": []}


BAD_PAYLOADS: list[tuple[str, dict[str, Any]]] = [
    ("argv", {"argv": []}),
    ("argv", {"argv": [""]}),
    ("argv", {"argv": [1]}),
    ("argv", {"argv": ["a\0b"]}),
    ("argv", {"argv": ["\u1234"]}),
    ("env", {"env": None}),
    ("cwd", {"cwd": None}),
    ("umask", {"umask": 0o7777}),
    ("umask", {"umask": True}),
    ("nice", {"nice": 20}),
    ("rlimits", {"rlimits": {"nonsense": [1, 1]}}),
    ("rlimits", {"rlimits": {"nofile": [1]}}),
    ("rlimits", {"rlimits": {"nofile": [1 << 64, 1]}}),
    ("rlimits", {"rlimits": []}),
    ("rlimits", {"rlimits": {"long" * 100_000: [1, 1]}}),
    ("pty", {"pty": 1}),
    ("pty", {"pty": True, "targets": [1, 2, 3]}),
    ("targets", {"targets": [0, 1]}),
    ("targets", {"targets": [0, 1, 1]}),
    ("targets", {"targets": [0, 1, -1]}),
    ("targets", {"targets": [0, 1, 1 << 40]}),
    ("targets", {"targets": [0, 1, [2]]}),
    ("targets", {"targets": None}),
    ("listen_pid", {"listen_pid": 1}),
    ("listen_pid", {"listen_pid": True}),  # without the entry that it goes to
]


@pytest.mark.parametrize(("key", "changes"), BAD_PAYLOADS)
def test_bad_payload_names_the_field(lasting: World, key: str, changes: dict[str, Any]) -> None:
    """Refused before anything is forked, with the field's name."""
    fields = json.loads(lasting.payload(["true"])) | changes
    memfd = wire.payload_fd(json.dumps(fields).encode())
    with pytest.raises(wire.Refusal, match=key) as refused:
        lasting.call("spawn", [memfd, lasting.null, lasting.null, lasting.null], id="p1")
    os.close(memfd)
    assert refused.value.code == "bad-request"


def test_payload_that_would_make_the_holder_wait_is_refused(held: World, tmp_path: Path) -> None:
    """A pipe, a file, a folder instead of a memfd; a memfd that is too big or no JSON."""
    ours, theirs = os.pipe()
    big = os.memfd_create("big")
    os.truncate(big, wire.PAYLOAD_BYTES + 1)
    deep = wire.payload_fd(b"[" * 1_000_000)
    text = wire.payload_fd(b"\xff\xfe{")
    folder = os.open(tmp_path, os.O_RDONLY)
    for fd, code in (
        (ours, "bad-request"),
        (folder, "bad-request"),
        (big, "too-large"),
        (deep, "bad-request"),
        (text, "bad-request"),
    ):
        with pytest.raises(wire.Refusal) as refused:
            held.call("spawn", [fd], id="p1")
        assert refused.value.code == code
        os.close(fd)
    os.close(theirs)
    with pytest.raises(wire.Refusal) as refused:
        held.call("spawn", [], id="p1")
    assert refused.value.code == "fds"


def test_same_id_is_the_same_child(held: World) -> None:
    """While it lives and until its exit is acknowledged; afterwards the id is free."""
    first = held.spawn("p1", ["sleep", "1000"])
    assert first["again"] is False
    again = held.spawn("p1", ["true"])
    assert again == {**first, "seq": again["seq"], "again": True}
    held.call("signal", id="p1", sig=signal.SIGKILL)
    held.exit("p1")
    again = held.spawn("p1", ["true"])
    assert (again["pid"], again["again"]) == (first["pid"], True)
    held.call("ack", ids=["p1"])
    assert held.spawn("p1", ["true"])["again"] is False


def test_many_spawns_of_one_id_at_once_start_one(held: World) -> None:
    """Also while the first is between fork and exec."""
    for _ in range(20):
        held.link.spawn("p1", held.payload(["sleep", "1000"]), [held.null] * 3)
    listed = held.everything()["children"]
    assert [row["id"] for row in listed] == ["p1"]
    child = held.spawn("p1", ["true"])
    assert listed[0]["pid"] == child["pid"]


def test_a_spawn_that_was_taken_back_never_happens(held: World, tmp_path: Path) -> None:
    """What lay in the queue of a stopped holder was started when it went on, however late."""
    memfd = wire.payload_fd(held.payload(["touch", str(tmp_path / "ran")]))
    holder = held.hello["pid"]
    os.kill(holder, signal.SIGSTOP)
    try:
        seq = held.link.send("spawn", [memfd, held.null, held.null, held.null], id="p1")
        os.ftruncate(memfd, 0)
    finally:
        os.kill(holder, signal.SIGCONT)
    os.close(memfd)
    assert held.everything()["children"] == []  # answered after it
    (answer,) = [message.body for message in held.link.backlog if message.body.get("seq") == seq]
    assert answer["error"]["code"] == "revoked"
    assert not (tmp_path / "ran").exists()


def test_a_spawn_that_was_begun_cannot_be_taken_back(held: World) -> None:
    """Else who believes so would run it a second time."""
    memfd = wire.payload_fd(held.payload(["sleep", "600"]))
    assert held.hello["revocable"] is True
    held.note(held.call("spawn", [memfd, held.null, held.null, held.null], id="p1")["pid"])
    with pytest.raises(PermissionError):
        os.ftruncate(memfd, 0)
    os.close(memfd)
