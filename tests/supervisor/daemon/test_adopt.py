"""Adopt: a process that somebody else started is supervised from then on, and nobody else is ever signalled."""

from __future__ import annotations

import json
import os
import platform
import secrets
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from aish.client import launch
from aish.errors import ConflictError, InputError, NotFoundError, RefusedError
from aish.supervisor.daemon import adopting, proc
from aish.supervisor.daemon.row import Row
from aish.wire.message import Adopt, Cont, Limit, Logs, Pause, Restart, Signal, Start, Stop
from aish.wire.reply import Done, Started
from aish.wire.spec import LimitPart

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Supervised

    from aish.wire.part import ProcessPart

TELLS_EXITS = tuple(map(int, platform.release().split(".")[:2])) >= (6, 15)


class Jobs:
    """Processes that the test starts as a shell would, each in a group of its own, and reaps at once."""

    def __init__(self) -> None:
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, *argv: str, group: int | None = 0, **options: Any) -> int:
        made = subprocess.Popen(argv, process_group=group, stdin=subprocess.PIPE, **options)
        self.started.append(made)
        threading.Thread(target=made.wait, daemon=True).start()  # the parent that a shell is
        until_it_runs(made)
        return made.pid

    def python(self, code: str, *words: str, **options: Any) -> int:
        return self.start(sys.executable, "-I", "-S", "-c", code, *words, **options)

    def close(self) -> None:
        for made in self.started:
            made.kill()
            made.wait()
            assert made.stdin is not None
            made.stdin.close()


def until_it_runs(made: subprocess.Popen[bytes]) -> None:
    """In the middle of its exec it has no command line, as what is part of the kernel."""
    while not Path(f"/proc/{made.pid}/cmdline").read_bytes():
        time.sleep(0.001)


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    made = Jobs()
    try:
        yield made
    finally:
        made.close()


def adopt(up: Supervised, pid: int, **fields: Any) -> Started:
    return up.client.ask(Started, Adopt(token=secrets.token_hex(16), pid=pid, **fields))


def state(pid: int) -> str:
    text = proc.read_text(f"/proc/{pid}/stat")
    return text.rpartition(")")[2].split()[0] if text is not None else "gone"


def test_it_is_in_every_view_with_what_proc_tells(tier: str, up: Supervised, jobs: Jobs, tmp_path: Path) -> None:
    log = tmp_path / "job.log"
    with log.open("wb") as out:
        pid = jobs.start("sleep", "300", cwd=tmp_path, stdout=out, stderr=subprocess.DEVNULL)
    started = adopt(up, pid, name="job", labels={"team": "red"})
    assert (started.name, started.state, started.pid, started.existed) == ("job", "running", pid, False)
    found = up.inspect("job")
    row = found.process
    assert (row.adopted, row.kind, row.lifecycle, row.argv) == (True, "command", "running", [b"sleep", b"300"])
    assert found.spec.cwd == os.fsencode(tmp_path)
    assert found.spec.labels == {"team": "red"}
    assert (found.stdout, found.log_out) == (os.fsencode(log), None)
    can_move = tier != "rlimits" and os.geteuid() == 0  # an ordinary user may have no group that it could go into
    assert not can_move or found.limit_tier != "watched"
    assert row.started_s is not None
    assert abs(row.started_s - log.stat().st_mtime) < 60
    assert [event.kind for event in up.events() if event.process == row.id] == ["adopted", "started"]
    assert state(pid) in "RSD", "it does not notice"


def test_its_exit_code_is_known_where_the_kernel_tells(up: Supervised, jobs: Jobs) -> None:
    pid = jobs.start("sh", "-c", "read x; exit 7")
    adopt(up, pid, name="job")
    stdin = jobs.started[0].stdin
    assert stdin is not None
    stdin.close()
    waited = up.wait("job")
    assert waited.exit is not None
    if TELLS_EXITS:
        assert (waited.state, waited.exit.code) == ("exited", 7)
    else:
        assert (waited.state, waited.exit.code, waited.exit.signal) == ("lost", None, None), "unknown, never 0"


def test_a_parent_that_never_asks_does_not_hide_the_code(up: Supervised) -> None:
    """Nobody reaps it: its zombie tells. A guess would be 0, the worst of all."""
    made = subprocess.Popen(["sh", "-c", "read x; exit 7"], stdin=subprocess.PIPE)
    assert made.stdin is not None
    until_it_runs(made)
    try:
        adopt(up, made.pid, name="job")
        made.stdin.close()
        waited = up.wait("job")
        assert waited.exit is not None
        assert (waited.state, waited.exit.code, waited.exit.signal) == ("exited", 7, None)
    finally:
        made.kill()
        made.wait()


@pytest.mark.parametrize("moment", ["while no daemon runs", "after the next one came"])
@pytest.mark.usefixtures("home")
def test_the_daemon_killed_between_the_code_is_not_lost(up: Supervised, jobs: Jobs, moment: str) -> None:
    pid = jobs.start("sh", "-c", "read x; exit 9")
    adopt(up, pid, name="job")
    _, holder = up.holder_pids()
    if moment == "while no daemon runs":
        os.kill(holder, signal.SIGSTOP)  # it starts the next daemon
        up.kill_daemon()
    else:
        up.kill_daemon()
        up.next_daemon()
        assert up.row("job").state == "running"
    stdin = jobs.started[0].stdin
    assert stdin is not None
    stdin.close()
    up.until("it has ended, and its parent knows", lambda: not os.path.exists(f"/proc/{pid}"))
    if moment == "while no daemon runs":
        os.kill(holder, signal.SIGCONT)
        up.next_daemon()
    end = up.wait("job").exit
    assert end is not None
    assert end.code == (9 if TELLS_EXITS else None)


@pytest.mark.usefixtures("home")
def test_the_holder_killed_the_kept_pidfd_is_still_there(up: Supervised, jobs: Jobs) -> None:
    pid = jobs.start("sh", "-c", "read x; exit 9")
    adopt(up, pid, name="job")
    _, holder = up.holder_pids()
    os.kill(holder, signal.SIGKILL)
    up.until("another holder came", lambda: up.holder_pids()[1] != holder)
    up.kill_daemon()
    up.next_daemon()
    stdin = jobs.started[0].stdin
    assert stdin is not None
    stdin.close()
    end = up.wait("job").exit
    assert end is not None
    assert end.code == (9 if TELLS_EXITS else None)


TREE = """
import os, sys, time
for _ in range(2):
    if os.fork() == 0:
        os.setpgid(0, 0)
        if os.fork() == 0:
            with open(sys.argv[1], "a") as file:
                file.write(f"{os.getpid()}\\n")
        time.sleep(300)
        os._exit(0)
time.sleep(300)
"""


def grandchildren(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.parametrize("ends", ["stop", "kill"])
def test_stop_ends_its_whole_tree(tier: str, up: Supervised, jobs: Jobs, tmp_path: Path, ends: str) -> None:
    """Its descendants have no tag, and left its process group."""
    pid = jobs.python(TREE, str(tmp_path / "pids"))
    up.until("they are there", lambda: len(grandchildren(tmp_path / "pids")) == 2)
    adopt(up, pid, name="job", grace_s=5.0)
    up.client.ask(Done, Stop(target="job", grace_s=None if ends == "stop" else 0))
    waited = up.wait("job")
    assert waited.exit is not None
    if TELLS_EXITS:
        assert waited.exit.signal == (signal.SIGTERM if ends == "stop" else signal.SIGKILL)
    up.until("nothing is left", lambda: all(state(each) in "ZXgone" for each in grandchildren(tmp_path / "pids")))


def test_pause_stops_its_whole_tree_and_cont_lets_it_go_on(
    tier: str, up: Supervised, jobs: Jobs, tmp_path: Path
) -> None:
    pid = jobs.python(TREE, str(tmp_path / "pids"))
    up.until("they are there", lambda: len(grandchildren(tmp_path / "pids")) == 2)
    adopt(up, pid, name="job")
    up.client.ask(Done, Pause(target="job"))
    assert state(pid) == "T"
    if up.inspect("job").limit_tier == "watched":
        up.until("they stand still", lambda: all(state(each) == "T" for each in grandchildren(tmp_path / "pids")))
    up.client.ask(Done, Cont(target="job"))
    everybody = [pid, *grandchildren(tmp_path / "pids")]
    up.until("they go on", lambda: all(state(each) == "S" for each in everybody))


def test_nobody_else_of_its_process_group_is_signalled(tier: str, up: Supervised, jobs: Jobs) -> None:
    """`a | b` is one group: who stops a must not end b."""
    leader = jobs.start("sleep", "300")
    other = jobs.start("sleep", "300", group=leader)
    member = jobs.start("sleep", "300", group=leader)
    adopt(up, leader, name="a")
    adopt(up, member, name="c")
    for name in ("a", "c"):
        up.client.ask(Done, Signal(target=name, signal=signal.SIGTERM))
        up.wait(name)
    assert state(other) in "RSD"


def test_a_group_that_is_all_its_own_is_signalled_as_a_whole(up: Supervised, jobs: Jobs, tmp_path: Path) -> None:
    path = tmp_path / "got"
    loop = "while :; do sleep 0.01; done"  # they fork all the time: a newborn is no stranger
    script = f"trap 'echo x >>$0' USR1; (trap 'echo y >>$0' USR1; echo up >>$0; {loop}) & {loop}"
    pid = jobs.start("bash", "-c", script, str(path))
    up.until("both are there", path.exists)
    adopt(up, pid, name="job")
    up.client.ask(Done, Signal(target="job", signal=signal.SIGUSR1))
    up.until("both got it", lambda: {"x", "y"} <= set(path.read_text().split()))


def test_memory_beyond_its_limit_ends_it(tier: str, up: Supervised, jobs: Jobs) -> None:
    pid = jobs.python("import sys; sys.stdin.read(1); x = b'x' * (200 << 20); sys.stdin.read()")
    adopt(up, pid, name="job", limits=LimitPart(memory_bytes=100 << 20))
    stdin = jobs.started[0].stdin
    assert stdin is not None
    stdin.write(b"\n")
    stdin.flush()
    waited = up.wait("job")
    assert waited.exit is not None
    assert waited.exit.reason == "oom"


def test_limits_change_later_and_what_nothing_holds_is_told(tier: str, up: Supervised, jobs: Jobs) -> None:
    pid = jobs.start("sleep", "300")
    started = adopt(up, pid, name="job", limits=LimitPart(pids=50))
    held = up.inspect("job").limit_tier != "watched"
    assert (started.reason is None) == held
    up.client.ask(Done, Limit(target="job", memory="1G", nice=str(os.nice(0) + 3)))
    assert os.getpriority(os.PRIO_PROCESS, pid) == os.nice(0) + 3
    up.until("its tree is found", lambda: (up.row("job").rss_bytes or 0) > 0)  # figures may be a second old


def test_what_it_uses_is_its_own(up: Supervised, jobs: Jobs) -> None:
    """The children count, too; device use is attributed by the same map."""
    pid = jobs.start("sh", "-c", "sh -c 'while :; do :; done' & wait")
    adopt(up, pid, name="job")
    up.until("the loop is seen", lambda: (up.row("job").cpu_percent or 0) > 5)


def test_who_runs_below_it_acts_as_it(up: Supervised, jobs: Jobs) -> None:
    """By place in the process tree, as ever: no way around a limit leads through an adopted shell."""
    read, write = os.pipe()
    code = "import subprocess, sys; sys.stdin.readline(); subprocess.run([sys.argv[1], '-m', 'aish', 'key', 'ls'])"
    pid = jobs.start(
        sys.executable, "-I", "-c", code, sys.executable, stdout=write, stderr=write, env=up.home.environ
    )
    os.close(write)
    adopt(up, pid, name="job")
    stdin = jobs.started[0].stdin
    assert stdin is not None
    stdin.write(b"\n")
    stdin.flush()
    with os.fdopen(read) as told:
        assert "refused" in told.read()


# --- refused --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("home")
def test_what_cannot_be_supervised_is_refused(up: Supervised, jobs: Jobs) -> None:
    keeper, holder = up.holder_pids()
    for pid, error, text in (
        (1, RefusedError, "init"),
        (os.getpid(), RefusedError, "ancestor of this very command"),
        (os.getppid(), RefusedError, "ancestor of"),
        (keeper, RefusedError, "part of the supervisor"),
        (holder, RefusedError, "part of the supervisor"),
        (up.daemon_pid, RefusedError, "part of the supervisor"),
        (2**22, NotFoundError, "no process"),
        (0, InputError, "expected 1"),
        (-5, InputError, "expected 1"),
    ):
        with pytest.raises(error, match=text):
            adopt(up, pid)
    assert not up.view(all=True).processes


def test_a_number_that_is_another_process_by_now_is_refused(up: Supervised, jobs: Jobs) -> None:
    pid = jobs.start("sleep", "300")
    with pytest.raises(NotFoundError):
        adopt(up, pid, start_ticks=1)
    assert state(pid) in "RSD"


def test_what_is_supervised_already_is_refused(up: Supervised, jobs: Jobs) -> None:
    started = up.spawn("sh", "-c", "sleep 300 & wait", name="tree")
    assert started.pid is not None
    up.until("its child is there", lambda: bool(proc.children(started.pid or 0)))
    for pid in (started.pid, *proc.children(started.pid)):
        with pytest.raises(ConflictError, match="tree"):
            adopt(up, pid)
    pid = jobs.start("sleep", "300")
    adopt(up, pid, name="job")
    with pytest.raises(ConflictError, match="supervised already: job"):
        adopt(up, pid)


def test_a_thread_a_zombie_and_another_users_are_refused(up: Supervised, jobs: Jobs) -> None:
    code = "import threading, time; threading.Thread(target=time.sleep, args=(300,)).start(); time.sleep(300)"
    pid = jobs.start(sys.executable, "-I", "-c", code)
    up.until("the thread is there", lambda: len(proc.threads(pid)) == 2)
    with pytest.raises(ConflictError, match="thread of process"):
        adopt(up, max(proc.threads(pid)))
    made = subprocess.Popen(["true"])
    up.until("it is a zombie", lambda: state(made.pid) == "Z")
    with pytest.raises(ConflictError, match="has ended"):
        adopt(up, made.pid)
    made.wait()
    if os.geteuid() == 0:
        stranger = jobs.start("sleep", "300", user=65534)
        with pytest.raises(RefusedError, match="another user"):
            adopt(up, stranger)
        assert state(stranger) in "RSD"


def test_a_supervised_process_may_not_adopt(up: Supervised, jobs: Jobs) -> None:
    pid = jobs.start("sleep", "300")
    up.spawn(sys.executable, "-m", "aish", "adopt", "--pid", str(pid), name="child")
    assert up.code("child") == 77
    assert "refused" in up.log("child")[1]


def test_it_cannot_be_started_again_and_has_no_log(up: Supervised, jobs: Jobs) -> None:
    pid = jobs.start("sleep", "300")
    adopt(up, pid, name="job")
    with pytest.raises(ConflictError, match="was adopted"):
        up.client.ask(Done, Restart(target="job"))
    with pytest.raises(ConflictError, match="not to a log"):
        up.client.request(Logs(target="job"))
    assert state(pid) in "RSD"
    up.client.ask(Done, Stop(target="job"))
    up.wait("job")
    with pytest.raises(ConflictError, match="was adopted"):
        up.client.ask(Done, Start(target="job", launch=launch.capture()))


def test_the_same_token_is_the_same_wish(up: Supervised, jobs: Jobs) -> None:
    request = Adopt(token=secrets.token_hex(16), pid=jobs.start("sleep", "300"))
    first = up.client.ask(Started, request)
    again = up.client.ask(Started, request)
    assert (again.id, again.existed) == (first.id, True)


# --- parsing --------------------------------------------------------------------------------------------------------


def test_status_is_parsed_and_nonsense_is_none() -> None:
    text = "Name:\ta:b\nUmask:\t0027\nState:\tS (sleeping)\nTgid:\t12\nUid:\t5\t5\t6\t5\n"
    assert adopting.parse_status(text) == adopting.Status("S", 12, frozenset({5, 6}), 0o027)
    assert adopting.parse_status("Name:\tx\n") is None


def test_ancestors_end_at_init_and_at_a_circle() -> None:
    parents = {5: 4, 4: 1, 1: 0, 9: 8, 8: 9}

    def read(pid: int) -> proc.ProcStat | None:
        return proc.ProcStat(parents[pid], 0, 0, 0, 0) if pid in parents else None

    assert adopting.ancestors(5, read) == {4, 1}
    assert adopting.ancestors(9, read) == {8, 9}
    assert adopting.ancestors(77, read) == set()


# --- the next daemon ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("home")
def test_what_was_promised_and_no_more_is_watched_and_not_started(up: Supervised, jobs: Jobs, tmp_path: Path) -> None:
    """What waits in the journal is started by the next daemon: an adopted one would have run twice."""
    pid = jobs.start("sh", "-c", f"echo x >>{tmp_path}/runs; read x; exit 4")
    adopt(up, pid, name="job")
    _, holder = up.holder_pids()
    os.kill(holder, signal.SIGSTOP)  # it starts the next daemon
    up.kill_daemon()
    database = sqlite3.connect(up.home.state / "processes.db")
    with database:
        (blob,) = database.execute("SELECT row FROM processes WHERE name='job'").fetchone()
        row = msgspec.msgpack.decode(blob, type=Row)
        row.lifecycle, row.ready = "queued", "unknown"
        database.execute("UPDATE processes SET row=?, lifecycle='queued'", (msgspec.msgpack.encode(row),))
    database.close()
    os.kill(holder, signal.SIGCONT)
    up.next_daemon()
    assert (up.row("job").lifecycle, up.row("job").pid) == ("running", pid)
    stdin = jobs.started[0].stdin
    assert stdin is not None
    stdin.close()
    end = up.wait("job").exit
    assert end is not None
    assert end.code == (4 if TELLS_EXITS else None)
    assert (tmp_path / "runs").read_text() == "x\n"


@pytest.mark.usefixtures("home")
def test_keeper_holder_and_daemon_killed_it_is_found_again(up: Supervised, jobs: Jobs) -> None:
    pid = jobs.start("sleep", "300")
    adopt(up, pid, name="job")
    pids = up.programs()
    for name in ("keeper", "holder", "daemon"):
        os.kill(pids[name], signal.SIGSTOP)
    for name in ("keeper", "holder", "daemon"):
        os.kill(pids[name], signal.SIGKILL)
    up.until("all are gone", lambda: all(state(each) in "ZXgone" for each in pids.values()))
    up.next_daemon()
    assert (up.row("job").lifecycle, up.row("job").pid) == ("running", pid)
    up.kill_daemon()  # the next one finds the pidfd that this one stored anew
    up.next_daemon()
    up.client.ask(Done, Stop(target="job"))
    assert up.wait("job").state == ("exited" if TELLS_EXITS else "lost")


def test_its_device_use_is_its_own(up: Supervised, jobs: Jobs, home: Any) -> None:
    """As a stranger's it could not be told from that of other users."""
    folder = home.state / "simgpu"
    folder.mkdir(exist_ok=True)
    card = {"index": 0, "uuid": "SIM-0", "name": "card", "memory": 24 << 30, "power_limit_w": 300}
    (folder / "devices.json").write_text(json.dumps({"devices": [card], "faults": {}}))
    words = [sys.executable, "-m", "aish.plugins.simgpu", "run", "--alloc", "3G", "--", "sleep", "60"]
    pid = jobs.start(*words, env=home.environ)
    adopt(up, pid, name="job")
    up.until("its use is known", lambda: _named(up, "job").vram_bytes == 3 << 30)
    assert [use.process for use in up.view().gpus[0].processes] == [up.row("job").id]


def _named(up: Supervised, name: str) -> ProcessPart:
    return next(row for row in up.view().processes if row.name == name)
