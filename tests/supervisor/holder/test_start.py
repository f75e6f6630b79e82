"""Starting: once, in a folder of our own, quickly; and ending: nothing is left."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from aish.supervisor.holder import link, wire

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import World


def test_launch_is_quick_and_repeatable(world: World) -> None:
    """A second launch finds the first; the target is 60 ms, the bound here allows for a loaded machine."""
    began = time.monotonic()
    world.launch()
    assert time.monotonic() - began < 2
    world.connect()
    pid = world.hello["pid"]
    world.launch()
    world.connect()
    assert world.hello["pid"] == pid


def test_launches_at_once_start_one(world: World) -> None:
    """Eight race for the lock; all of them return when the one holder accepts."""
    script = "import sys; from aish.supervisor.holder import link; link.launch(sys.argv[1], None, sys.argv[2])"
    argv = [sys.executable, "-c", script, world.runtime_dir, str(world.log)]
    racers = [subprocess.Popen(argv) for _ in range(8)]
    assert [racer.wait(30) for racer in racers] == [0] * 8
    world.connect()
    holders = [pid for pid in os.listdir("/proc") if pid.isdigit() and mentions(pid, world.runtime_dir)]
    assert sorted(map(int, holders)) == sorted([world.hello["pid"], world.hello["keeper_pid"]])


def mentions(pid: str, word: str) -> bool:
    try:
        with open(f"/proc/{pid}/cmdline") as file:
            return word in file.read().split("\0")
    except OSError:
        return False


def program(*words: str) -> subprocess.CompletedProcess[str]:
    main = os.path.join(os.path.dirname(link.__file__), "__main__.py")
    argv = [sys.executable, "-I", "-S", main, *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60)


def test_second_holder_is_refused(held: World) -> None:
    """The lock, not the socket, decides: also when the socket was removed by hand."""
    os.unlink(f"{held.runtime_dir}/{wire.SOCKET_NAME}")
    ended = program(held.runtime_dir)
    assert (ended.stdout, ended.returncode) == ("busy\n", 0)
    assert not os.path.exists(f"{held.runtime_dir}/{wire.SOCKET_NAME}")
    held.call("quit")  # through the connection that there still is
    assert held.gone(held.hello["keeper_pid"])


def test_stale_files_of_a_dead_holder_are_replaced(world: World) -> None:
    """After both were killed the next start needs no cleaning."""
    os.mkdir(world.runtime_dir, 0o700)
    stale = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    stale.bind(f"{world.runtime_dir}/{wire.SOCKET_NAME}")
    stale.close()
    open(f"{world.runtime_dir}/{wire.LOCK_NAME}", "w").close()
    world.launch()
    world.connect()


def spoil_mode(folder: Path) -> None:
    folder.mkdir(mode=0o755)


def spoil_link(folder: Path) -> None:
    (folder.parent / "elsewhere").mkdir(mode=0o700)
    folder.symlink_to("elsewhere")


def spoil_file(folder: Path) -> None:
    folder.touch()


def spoil_lock(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    (folder / wire.LOCK_NAME).symlink_to("/etc/passwd")


@pytest.mark.parametrize("spoil", [spoil_mode, spoil_link, spoil_file, spoil_lock])
def test_folders_that_others_could_reach_are_refused(world: World, spoil: Any) -> None:
    """Open to others, a link, a file, a link in place of the lock: an error that says what."""
    spoil(world.folder / "run")
    with pytest.raises(link.StartError):
        world.launch()


@pytest.mark.root
def test_folder_of_another_user_is_refused(world: World) -> None:
    """Root's start in another's folder would put its socket into their hands."""
    os.mkdir(world.runtime_dir, 0o700)
    os.chown(world.runtime_dir, 65534, 65534)
    with pytest.raises(link.StartError, match="uid"):
        world.launch()


def test_start_errors_are_told(world: World, tmp_path: Path) -> None:
    """Bad words, a parent that is missing, a log that cannot be written: one line, no traceback."""
    for words in ([], ["--log"], ["x", "--nonsense", "1"], ["x", "--daemon-argv", "{"], ["x", "--daemon-argv", "[]"]):
        ended = program(*words)
        assert ended.returncode == 2
        assert "Traceback" not in ended.stderr
        assert ended.stderr
    ended = program(str(tmp_path / "no" / "parent"))
    assert ended.returncode == 1
    assert "no/parent" in ended.stdout
    with pytest.raises(link.StartError):
        link.launch(world.runtime_dir, None, str(tmp_path / "no" / "log"))


def test_path_longer_than_a_socket_address(world: World) -> None:
    """sun_path has 108 bytes; the folder may have more."""
    world.runtime_dir = str(world.folder / ("d" * 200))
    world.launch()
    world.connect()


def test_imports_nothing_of_aish_nor_of_site_packages(held: World) -> None:
    """Isolated and small: what runs is what can be read in this folder and the standard library."""
    for who in ("pid", "keeper_pid"):
        with open(f"/proc/{held.hello[who]}/maps") as file:
            assert "site-packages" not in file.read()
        with open(f"/proc/{held.hello[who]}/cmdline") as file:
            assert file.read().split("\0")[1:3] == ["-I", "-S"]
    main = os.path.join(os.path.dirname(link.__file__), "__main__.py")
    argv = [sys.executable, "-I", "-S", "-X", "importtime", main]
    told = subprocess.run(argv, capture_output=True, text=True, timeout=60).stderr
    imported = {line.rpartition("|")[2].strip().split(".")[0] for line in told.splitlines() if "|" in line}
    assert "holder" in imported
    assert not imported & {
        "aish",
        "asyncio",
        "subprocess",
        "typing",
        "dataclasses",
        "pathlib",
        "logging",
        "traceback",
    }


def test_term_hup_int_are_ignored(held: World) -> None:
    """Neither a logout nor a clumsy kill takes the children's parents away."""
    for who in ("pid", "keeper_pid"):
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            os.kill(held.hello[who], number)
    held.spawn("p1", ["true"])
    assert held.exit("p1")["status"] == 0
    assert held.alive(held.hello["keeper_pid"])


def test_quit_leaves_nothing(held: World) -> None:
    """No process, no socket, no lock; and the folder can be used again at once."""
    held.spawn("p1", ["true"])
    with pytest.raises(wire.Refusal) as refused:
        held.call("quit")
    assert refused.value.code == "busy"
    held.exit("p1")
    with pytest.raises(wire.Refusal) as refused:
        held.call("quit")
    assert refused.value.details == {"live": 0, "unacknowledged": 1}
    held.call("ack", ids=["p1"])
    held.call("quit")
    assert os.listdir(held.runtime_dir) == []
    old = held.hello
    held.launch()
    held.connect()
    for who in ("pid", "keeper_pid"):
        assert held.gone(old[who])
        assert held.hello[who] != old[who]


def test_forced_quit_kills_what_lives(held: World) -> None:
    """Own children and those that a dead holder left to the keeper, with their groups."""
    first = held.spawn("p1", ["sh", "-c", "trap '' TERM; sleep 1000 & wait"])["pid"]
    held.replace("pid")
    second = held.spawn("p2", ["sleep", "1000"])["pid"]
    held.call("quit", force=True)
    for pid in (first, second, held.hello["pid"], held.hello["keeper_pid"]):
        assert held.gone(pid)
    assert os.listdir(held.runtime_dir) == []
