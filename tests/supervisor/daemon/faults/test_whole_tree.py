"""A process is its tree: who leaves the session, clears the environment or multiplies is ended with it, by control
groups where they can be made, else by tag and session."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from aish.client import launch
from aish.errors import LimitError
from aish.supervisor.daemon import proc
from aish.supervisor.daemon.cgroup import group_name
from aish.wire.message import Cont, Limit, Pause, Shutdown, Stop, Why
from aish.wire.reply import Done, Explained
from aish.wire.spec import LimitPart

if TYPE_CHECKING:
    from conftest import Home, Supervised


@pytest.fixture
def held(tier: str, up: Supervised) -> Supervised:
    found = up.inspect(up.spawn("true").id).limit_tier
    if tier == "rlimits":
        assert found == "rlimits"
    elif found == "rlimits":
        pytest.skip("no control groups can be made here: neither v2 nor v1 is delegated to this user")
    return up


ESCAPE = """
import os, sys, time
open(sys.argv[1], "a").close()  # it is read below, perhaps before the first has escaped
def escape(depth):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            with open(sys.argv[1], "a") as file:
                file.write(f"{os.getpid()}\\n")
            time.sleep(300)
        os._exit(0)
for _ in range(3):
    escape(2)
    os.wait()
if sys.argv[2] == "wait":
    time.sleep(300)
while len(open(sys.argv[1]).read().split()) < 3:
    time.sleep(0.005)
"""


def escapees(up: Supervised, path: Path) -> list[int]:
    up.until("three have escaped", lambda: path.exists() and len(path.read_text().split()) == 3)
    return [int(word) for word in path.read_text().split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_double_fork_and_setsid_escapee_is_stopped_with_its_tree(held: Supervised, tmp_path: Path) -> None:
    started = held.python(ESCAPE, str(tmp_path / "pids"), "wait")
    pids = escapees(held, tmp_path / "pids")
    held.client.ask(Done, Stop(target=started.id))
    held.wait(started.id)
    # One in the middle of its exit has no memory any more, so no tag: it is not ours to see, and gone in a moment.
    held.until("nothing of it lives on", lambda: not any(map(alive, pids)))


def test_what_a_process_leaves_behind_at_its_end_is_ended_and_told(held: Supervised, tmp_path: Path) -> None:
    started = held.python(ESCAPE, str(tmp_path / "pids"), "leave", grace_s=1.0)
    assert held.code(started.id) == 0
    pids = escapees(held, tmp_path / "pids")
    held.until("they have been ended", lambda: not any(map(alive, pids)))
    held.until("it is told", lambda: "left-behind" in {event.kind for event in held.events()})


def test_a_shell_ended_at_once_with_its_child_is_ended_by_the_signal(held: Supervised) -> None:
    """It was found to have exited with 137: its child was killed first, and the shell went on for a moment."""
    many = [held.spawn("sh", "-c", "sleep 300; exit $?").id for _ in range(8)]
    held.until("each has its child", lambda: all(proc.tree()(held.row(one).pid or 0) for one in many))
    for one in many:
        held.client.ask(Done, Stop(target=one, grace_s=0.0))
    exits = [held.wait(one).exit for one in many]
    assert [(end.code, end.signal) for end in exits if end is not None] == [(None, signal.SIGKILL)] * 8


@pytest.mark.usefixtures("home")
def test_shutdown_leaves_nobody(held: Supervised, tmp_path: Path) -> None:
    held.python(ESCAPE, str(tmp_path / "pids"), "wait")
    pids = escapees(held, tmp_path / "pids")
    held.client.ask(Done, Shutdown(force=True))
    held.until("they are gone", lambda: not any(map(alive, pids)))


def test_a_pause_holds_the_whole_tree(held: Supervised, tmp_path: Path) -> None:
    """A tool in a session of its own went on while its agent was paused."""
    code = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    while True:
        with open(sys.argv[1], "a") as file:
            file.write("x")
        time.sleep(0.002)
time.sleep(300)
"""
    path = tmp_path / "ticks"
    started = held.python(code, str(path))
    held.until("it ticks", lambda: path.exists() and path.stat().st_size > 5)
    held.client.ask(Done, Pause(target=started.id))
    before = path.stat().st_size
    time.sleep(0.2)  # the time in which it must do nothing
    assert path.stat().st_size == before
    held.client.ask(Done, Cont(target=started.id))
    held.until("it goes on", lambda: path.stat().st_size > before)


def test_a_stopping_tree_has_the_grace_of_its_leader(held: Supervised, tmp_path: Path) -> None:
    """The shell dies of TERM at once; the server under it saves its work for half a second."""
    server = (
        "import signal, sys, time\n"
        "def save(*_):\n"
        "    time.sleep(0.5)\n"
        "    open(sys.argv[1], 'w').write('saved')\n"
        "    raise SystemExit\n"
        "signal.signal(15, save)\n"
        "open(sys.argv[1], 'w').write('up')\n"
        "signal.pause()\n"
    )
    path = tmp_path / "state"
    shell = '"$@" & wait'
    started = held.spawn("sh", "-c", shell, "sh", sys.executable, "-I", "-S", "-c", server, str(path))
    held.until("it is up", lambda: path.exists() and path.read_text() == "up")
    held.client.ask(Done, Stop(target=started.id))
    held.wait(started.id)
    assert path.read_text() == "saved"


def test_a_member_that_ignores_term_is_killed_after_the_grace(held: Supervised, tmp_path: Path) -> None:
    code = (
        "import os, signal, sys, time\n"
        "signal.signal(15, signal.SIG_IGN)\n"
        "open(sys.argv[1], 'w').write(str(os.getpid()))\n"
        "time.sleep(300)\n"
    )
    path = tmp_path / "pid"
    started = held.spawn(
        "sh", "-c", '"$@" & wait', "sh", sys.executable, "-I", "-S", "-c", code, str(path), grace_s=0.5
    )
    held.until("it is up", lambda: path.exists() and path.read_text() != "")
    held.client.ask(Done, Stop(target=started.id))
    held.wait(started.id)
    assert not alive(int(path.read_text()))


def test_child_killed_leaves_nothing_of_the_run_before(held: Supervised, tmp_path: Path) -> None:
    """A restarted server found its port taken by a worker of the run before."""
    code = (
        "import os, sys, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    time.sleep(300)\n"
        "with open(sys.argv[1], 'a') as file:\n"
        "    file.write(f'{os.getpgid(0)}\\n')\n"
        "time.sleep(300)\n"
    )
    path = tmp_path / "runs"
    started = held.python(code, str(path), restart="on-failure")
    held.until("it runs", lambda: path.exists() and path.read_text().count("\n") == 1)
    first = held.row(started.id).pid
    assert first is not None
    before = {pid for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))) if parent(pid) == first}
    os.kill(first, signal.SIGKILL)
    held.until("it runs again", lambda: path.read_text().count("\n") == 2)
    assert before
    assert not any(map(alive, before))


def parent(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


FORK_BOMB = """
import os, time
open(os.environ["STARTED"], "w").write("x")
while True:
    try:
        os.fork()
    except OSError:
        time.sleep(0.01)
"""


def test_fork_bomb_is_capped_and_killed_within_a_second(held: Supervised, tier: str, tmp_path: Path) -> None:
    if tier == "rlimits":
        pytest.skip("without control groups it is watched, and ended: the next two tests")
    path = tmp_path / "started"
    started = held.python(
        FORK_BOMB, environ=dict(os.environ) | {"STARTED": str(path)}, limits=LimitPart(pids=60), grace_s=0.0
    )
    held.until("it forks", path.exists)
    time.sleep(0.3)  # let it try
    ours = group_name(os.getuid(), str(held.home.state))  # other supervisors of this machine have a p2, too
    group = next(Path("/sys/fs/cgroup").glob(f"**/{ours}/{started.id}/cgroup.procs"))
    assert len(group.read_text().split()) <= 60
    begun = time.monotonic()
    held.client.ask(Done, Stop(target=started.id, grace_s=0))
    held.wait(started.id)
    assert time.monotonic() - begun < 1.0
    assert not group.exists() or group.read_text() == ""


SHORT_BOMB = """
import os, time
over = time.monotonic() + 5
while time.monotonic() < over:
    try:
        os.fork()
    except OSError:
        time.sleep(0.01)
"""


def test_fork_bomb_is_capped_and_ended_without_control_groups(held: Supervised, tier: str) -> None:
    """Nobody asks for its end: it is seen, stopped, killed. What multiplies between two looks RLIMIT_NPROC stops."""
    if tier != "rlimits":
        pytest.skip("the kernel holds the limit: the test before")
    if os.geteuid() == 0:
        pytest.skip("RLIMIT_NPROC does not hold for root: a real bomb is for an ordinary user")
    bound = proc.tasks(os.geteuid()) + 400  # of the test's own: whatever is wrong, it is not the machine that ends
    surroundings = launch.capture()
    surroundings = msgspec.structs.replace(surroundings, rlimits={**surroundings.rlimits, "NPROC": (bound, bound)})
    started = held.python(SHORT_BOMB, limits=LimitPart(pids=60), part=surroundings)
    end = held.wait(started.id).exit
    assert end is not None
    assert end.reason == "pids"
    events = {event.kind: event for event in held.events() if event.process == started.id}
    assert events["exited"].time_s - events["pids"].time_s < 1.0
    assert int(events["pids"].detail["count"] or 0) < bound
    held.until("nothing of it is left", lambda: not tagged(held, started.id))


def tagged(up: Supervised, id_: str) -> list[int]:
    """Who has the environment of that process, wherever it went."""
    wanted = {f"AISH_ID={id_}".encode(), f"XDG_RUNTIME_DIR={up.home.root}/run".encode()}
    found = []
    for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))):
        try:
            if wanted <= set(Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")):
                found.append(pid)
        except OSError:
            continue  # it has ended, or is another user's
    return found


MANY = """
import os, sys, threading, time
for number in range(int(sys.argv[1])):
    if os.fork() == 0:
        if number % 2:
            os.setsid()
            if os.fork():
                os._exit(0)
        time.sleep(300)
for _ in range(int(sys.argv[2])):
    threading.Thread(target=time.sleep, args=(300,)).start()
print("up", flush=True)
time.sleep(300)
"""


def test_more_processes_than_it_may_are_ended_where_they_are_only_watched(held: Supervised, tier: str) -> None:
    """Half of them in sessions of their own, without a parent; threads count, too."""
    if tier != "rlimits":
        pytest.skip("the kernel holds the limit: fork fails")
    few = held.python(MANY, "20", "10", limits=LimitPart(pids=50), name="few")
    held.until("it is up", lambda: held.log("few")[0] == "up\n")
    many = held.python(MANY, "50", "0", limits=LimitPart(pids=40), name="many", restart="always")
    threads = held.python(MANY, "5", "50", limits=LimitPart(pids=40), name="threads")
    for started in (many, threads):
        end = held.wait(started.id).exit
        assert end is not None
        assert (end.signal, end.reason) == (9, "pids")
        assert "of at most 40" in (held.row(started.id).reason or "")
        held.until("nothing of it is left", lambda started=started: not tagged(held, started.id))
    assert held.row(few.id).lifecycle == "running"
    held.client.ask(Done, Limit(target="few", pids="20"))
    end = held.wait("few").exit
    assert end is not None
    assert end.reason == "pids"


def test_what_could_not_fork_at_its_limit_is_told_so(held: Supervised, tier: str) -> None:
    """ "Cannot fork" was the last word about it; no event spoke of the limit."""
    if tier == "rlimits":
        pytest.skip("without control groups nobody counts")
    held.spawn("sh", "-c", "sleep 60 & sleep 60 & sleep 60 & sleep 60 & wait", name="few", limits=LimitPart(pids=3))
    held.wait("few")
    [event] = [event for event in held.events() if event.kind == "forks-refused"]
    assert event.detail["limit"] == 3
    assert "it could not fork at its limit of 3 processes and threads: a higher --pids" in _why(held, "few")
    held.python(FORKS, name="on", limits=LimitPart(pids=3))
    held.until("it has tried", lambda: held.log("on")[0] == "no\n")
    assert "It is at its limit of 3 processes and threads, or was: once it could not fork" in _why(held, "on")


FORKS = """
import os, time
for _ in range(3):
    try:
        if os.fork() == 0:
            time.sleep(300)
    except OSError:
        print("no", flush=True)
time.sleep(300)
"""


def _why(held: Supervised, target: str) -> str:
    return held.client.ask(Explained, Why(target=target)).paragraph


def test_out_of_memory_is_the_reason(held: Supervised, tier: str) -> None:
    if tier == "rlimits":
        pytest.skip("without control groups memory is watched: its own test")
    code = "x = bytearray(256 << 20); x[::4096] = b'x' * len(x[::4096]); print(len(x))"
    started = held.python(code, limits=LimitPart(memory_bytes=64 << 20))
    end = held.wait(started.id).exit
    assert end is not None
    assert (end.signal, end.reason) == (9, "oom")
    assert "64M" in (held.row(started.id).reason or "")


def test_out_of_memory_without_control_groups_is_seen_by_a_watchdog(held: Supervised, tier: str) -> None:
    if tier != "rlimits":
        pytest.skip("the kernel holds the limit: its own test")
    code = "import time; x = bytearray(256 << 20); x[::4096] = b'x' * len(x[::4096]); time.sleep(300)"
    started = held.python(code, limits=LimitPart(memory_bytes=64 << 20))
    end = held.wait(started.id).exit
    assert end is not None
    assert (end.signal, end.reason) == (9, "oom")


def test_out_of_memory_may_be_held_for_the_operator_and_goes_on(held: Supervised, tier: str) -> None:
    """A week-long run is not thrown away for want of a gigabyte."""
    code = (
        "import os, time\n"
        "x = bytearray(128 << 20)\n"
        "for at in range(0, len(x), 4096):\n"
        "    x[at] = 1\n"
        "    if at % (1 << 20) == 0:\n"
        "        time.sleep(0.01)\n"
        "print('done')\n"
    )
    started = held.python(code, limits=LimitPart(memory_bytes=64 << 20, on_oom="hold"))
    held.until("it is held", lambda: held.row(started.id).state == "out-of-memory")
    held.client.ask(Done, Limit(target=started.id, memory="+256M"))
    assert held.code(started.id) == 0
    assert held.log(started.id)[0] == "done\n"
    assert [event.kind for event in held.events() if event.process == started.id].count("oom") >= 1


def test_what_was_held_for_want_of_memory_and_is_stopped_does_not_say_that_it_is_held(
    held: Supervised, tier: str
) -> None:
    """The advice to raise its limit stood on as the reason of its end."""
    code = "import time; x = bytearray(128 << 20); x[::4096] = b'x' * len(x[::4096]); time.sleep(300)"
    started = held.python(code, limits=LimitPart(memory_bytes=64 << 20, on_oom="hold"))
    held.until("it is held", lambda: held.row(started.id).state == "out-of-memory")
    assert "it is held" in (held.row(started.id).reason or "")
    held.client.ask(Done, Stop(target=started.id, grace_s=0))
    held.wait(started.id)
    row = held.row(started.id)
    assert (row.exit.reason if row.exit else None, row.reason) == ("cancelled", None)


def test_limits_of_a_running_process_are_changed_for_all_of_it(held: Supervised, tier: str, tmp_path: Path) -> None:
    if tier == "rlimits":
        pytest.skip("without control groups there is nothing to change but what is watched")
    code = (
        "import os, sys, time\n"
        "print('up', flush=True)\n"
        "sys.stdin.readline()\n"
        "forked = 0\n"
        "for _ in range(50):\n"
        "    try:\n"
        "        if os.fork() == 0:\n"
        "            time.sleep(300)\n"
        "        forked += 1\n"
        "    except OSError:\n"
        "        pass\n"
        "print(forked, flush=True)\n"
    )
    read_end, write_end = os.pipe()
    started = held.python(code, fds={0: read_end}, grace_s=0.0)
    os.close(read_end)
    held.until("it is up", lambda: held.log(started.id)[0] == "up\n")
    held.client.ask(Done, Limit(target=started.id, pids="10", cpus="0.5"))
    os.write(write_end, b"go\n")
    os.close(write_end)
    held.code(started.id)
    assert held.log(started.id)[0] == "up\n9\n"


WRITE = """
import mmap, os, sys, time
page = mmap.mmap(-1, 1 << 20)
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_DIRECT)
began = time.monotonic()
for _ in range(6):
    os.pwrite(fd, page, 0)
print(time.monotonic() - began)
"""


def test_writing_to_a_disk_is_held_at_its_limit(held: Supervised, tier: str, tmp_path: Path) -> None:
    """Around the page cache: v1 holds nothing else, v2 holds it where it has the controller of memory, too."""
    started = held.python(WRITE, str(tmp_path / "x"), limits=LimitPart(write_bytes_per_s=4 << 20))
    if started.unheld:
        assert tier == "rlimits" or held.inspect(started.id).unheld == ["write"]
        pytest.skip("no control group has the io controller here: the next test sees that this is told")
    if held.code(started.id) != 0:
        pytest.skip(f"no O_DIRECT on the file system of {tmp_path}")
    assert float(held.log(started.id)[0]) > 1.0, "six megabytes at four a second"


def test_a_limit_of_io_is_changed_and_lifted(held: Supervised) -> None:
    started = held.spawn("sleep", "300")
    try:
        held.client.ask(Done, Limit(target=started.id, read="50M", write="20M"))
    except LimitError:
        pytest.skip("no control group has the io controller here")

    def told() -> set[str]:
        """The figures in the files of its groups."""
        words = []
        for line in Path(f"/proc/{started.pid}/cgroup").read_text().splitlines():
            _, kinds, path = line.split(":", 2)
            for root in ("blkio",) if kinds == "blkio" else ("", "unified") if not kinds else ():
                for file in Path("/sys/fs/cgroup", root, path[1:]).glob("*.throttle.*_bps_device"):
                    words += file.read_text().split()
                file = Path("/sys/fs/cgroup", root, path[1:], "io.max")
                words += file.read_text().split() if file.exists() else []
        return {word.rpartition("=")[2] for word in words}

    assert told() >= {str(50 << 20), str(20 << 20)}
    held.client.ask(Done, Limit(target=started.id, read="+1M", write="none"))
    assert told() & {str(size << 20) for size in (20, 50, 51)} == {str(51 << 20)}
    held.client.ask(Done, Limit(target=started.id, read="none"))
    assert str(51 << 20) not in told()


def test_a_limit_that_nothing_holds_is_said_to_be_so(held: Supervised, tier: str) -> None:
    """A limit that was taken and never held is worse than none."""
    if tier != "rlimits":
        pytest.skip("control groups may hold it")
    started = held.spawn("sleep", "300", limits=LimitPart(cpus=0.5, read_bytes_per_s=1 << 20, pids=50), nice=-20)
    lower = [] if os.geteuid() == 0 else ["nice"]
    assert started.unheld == held.inspect(started.id).unheld == ["cpus", "read", *lower]
    assert "limit-unheld" in {event.kind for event in held.events()}
    with pytest.raises(LimitError, match="nothing here holds a limit of cpus and write"):
        held.client.ask(Done, Limit(target=started.id, write="1M", cpus="2", pids="60"))
    held.client.ask(Done, Limit(target=started.id, cpus="none"))
    assert held.inspect(started.id).unheld == ["read", *lower]


def test_folders_of_groups_that_somebody_removed_are_made_again(held: Supervised, tier: str, home: Home) -> None:
    """Fault: systemd tidies the groups of a unit that has ended, and nothing could be started any more."""
    if tier == "rlimits":
        pytest.skip("there are none")
    held.wait(held.spawn("true").id)
    name = group_name(os.getuid(), str(home.state))
    runs = held.spawn("sleep", "300", limits=LimitPart(pids=50))
    gone = [folder for folder in folders_of(name) if not removed(folder)]
    assert held.client.ask(Done, Stop(target=runs.id)).changed
    held.wait(runs.id)
    held.until("what it was in can go, too", lambda: all(removed(folder) for folder in gone))
    again = held.spawn("sleep", "300", limits=LimitPart(pids=50, memory_bytes=1 << 30, cpus=0.5))
    assert folders_of(name)
    assert held.inspect(again.id).unheld == []


def folders_of(name: str) -> list[Path]:
    """Of a supervisor's groups, in every hierarchy."""
    own = {path for line in Path("/proc/self/cgroup").read_text().splitlines() for path in [line.split(":", 2)[2]]}
    roots = [Path("/sys/fs/cgroup"), *(entry for entry in Path("/sys/fs/cgroup").iterdir() if entry.is_dir())]
    return [folder for root in roots for path in own if (folder := root / path[1:] / name).is_dir()]


def removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
