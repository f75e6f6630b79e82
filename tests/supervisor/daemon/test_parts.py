"""Small parts by themselves: table, ports, logs, proc, lock, fingerprint."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aish.errors import ConflictError, InputError, NotFoundError, StorageError
from aish.supervisor.daemon import build, forks, launcher, lock, ports, proc
from aish.supervisor.daemon.launcher import Floor
from aish.supervisor.daemon.logs import Logs
from aish.supervisor.daemon.ports import Ports
from aish.supervisor.daemon.process import Process
from aish.supervisor.daemon.row import Row
from aish.supervisor.daemon.table import Table, check_name
from aish.wire.spec import RoutePart, SpecPart


def process(number: int, name: str, **fields: object) -> Process:
    row = Row(
        id=f"p{number}", number=number, name=name, spec=SpecPart(argv=[b"x"]), created_s=0.0, lifecycle="running"
    )
    for field, value in fields.items():
        setattr(row, field, value)
    return Process(row)


# --- table ----------------------------------------------------------------------------------------------------------


def test_a_name_is_free_again_when_its_process_has_ended() -> None:
    table = Table()
    first = process(1, "job", token="t" * 32, pid=100, start_ticks=5)
    table.add(first)
    with pytest.raises(ConflictError):
        table.add(process(2, "job"))
    first.row.lifecycle = "exited"
    table.ended(first)
    second = process(2, "job")
    table.add(second)
    assert table.resolve("job") is second
    assert table.resolve("p1") is first
    second.row.lifecycle = "exited"
    table.ended(second)
    assert table.resolve("@job") is second, "of ended ones the latest"
    assert table.alive() == []
    assert table.by_token("t" * 32) is first
    table.remove(first)
    assert table.by_token("t" * 32) is None
    assert table.session(100) is None
    with pytest.raises(NotFoundError):
        table.resolve("p1")


def test_a_pid_is_a_place_only_with_its_start_time_and_while_it_lives() -> None:
    table = Table()
    first = process(1, "a", pid=100, start_ticks=5)
    table.add(first)
    assert table.leader(100, 5) == "p1"
    assert table.leader(100, 6) is None
    first.row.lifecycle = "exited"
    table.ended(first)
    assert table.leader(100, 5) is None
    assert table.session(100) == "p1"
    table.add(process(2, "b", pid=100, start_ticks=9))
    assert table.session(100) == "p2"


def test_generated_names() -> None:
    table = Table()
    assert table.new_name(None, "/usr/bin/python3.11", number=False) == "python3.11"
    assert table.new_name(None, "./my prog!", number=False) == "my-prog"
    assert table.new_name(None, "", number=False) == "process"
    assert table.new_name(None, "gateway", number=False) == "gateway-1"
    assert table.new_name(None, "p12", number=False) == "p12-1"
    assert table.new_name(None, "key:gen", number=False) == "key-gen", "key:NAME is a key, for `aish limit`"
    table.add(process(1, "job"))
    table.add(process(2, "job-2"))
    assert table.new_name("job", "", number=True) == "job-3"
    with pytest.raises(ConflictError):
        table.new_name("job", "", number=False)
    for name in ("org/model:tag", "a.b_c+d", "x"):
        check_name(name)
    for name in ("", "p1", "a b", "../x", "-a", "user", "x" * 129, "a\n", "key:foo"):
        with pytest.raises(InputError):
            check_name(name)


def test_suggestions_do_not_tell_what_the_caller_may_not_see() -> None:
    table = Table()
    table.add(process(1, "secret-project"))
    with pytest.raises(NotFoundError) as error:
        table.resolve("secret-projekt", known=set())
    assert "secret-project?" not in (error.value.hint or "")


def test_a_circle_of_parents_ends() -> None:
    """A damaged table must not hang the daemon."""
    table = Table()
    table.add(process(1, "a", parent="p2"))
    table.add(process(2, "b", parent="p1"))
    assert set(table.ancestors("p1")) == {"p2"}
    assert table.subtree("p1") == {"p1", "p2"}


# --- ports, logs ----------------------------------------------------------------------------------------------------


def test_ports_are_leased_once() -> None:
    leases = Ports()
    leased = {leases.lease() for _ in range(20)}
    assert len(leased) == 20
    port = leased.pop()
    leases.release(port)
    assert leases.lease(port) == port
    assert leases.lease(port) != port


def test_ports_are_filled_in_everywhere() -> None:
    spec = SpecPart(argv=[b"serve", b"--port={port}"], route=RoutePart(url="http://127.0.0.1:{port}/v1"))
    assert ports.wants_port(spec)
    assert ports.fill(spec.argv, 81) == [b"serve", b"--port=81"]
    assert not ports.wants_port(SpecPart(argv=[b"serve"]))


def test_no_log_link_is_followed(tmp_path: Path) -> None:
    logs = Logs(str(tmp_path))
    (tmp_path / "victim").write_text("precious")
    os.symlink(tmp_path / "victim", logs.path("p1", "out"))
    with pytest.raises(StorageError):
        logs.append("p1", "out")
    with pytest.raises(StorageError):
        logs.read("p1", "out")
    (tmp_path / "p41.err").write_text("")
    (tmp_path / "note.txt").write_text("")
    assert logs.last_number() == 41
    assert Logs(str(tmp_path / "nowhere")).last_number() == 0


# --- limits ---------------------------------------------------------------------------------------------------------


def test_limits_above_those_of_the_holder_are_lowered() -> None:
    """A client from a shell with wider limits than the supervisor's would else start nothing at all."""
    floor = Floor(0, {"NOFILE": 1000, "CORE": -1, "NPROC": 50})
    wanted = {"NOFILE": (500, -1), "CORE": (0, -1), "NPROC": (-1, -1), "STACK": (8, 9)}
    lowered = {"nofile": (500, 1000), "core": (0, -1), "nproc": (50, 50), "stack": (8, 9)}
    assert launcher.reachable(wanted, floor) == lowered
    assert launcher.reachable(wanted, None)["nofile"] == (500, -1)
    assert Floor.here().hard["NOFILE"] > 0
    assert launcher.capped({"nproc": (-1, 500)}, 300) == {"nproc": (300, 300)}
    assert launcher.capped({"nproc": (100, 200), "core": (0, 0)}, 300) == {"nproc": (100, 200), "core": (0, 0)}
    assert launcher.capped({}, 300) == {"nproc": (300, 300)}
    assert launcher.capped({}, None) == {}


# --- proc -----------------------------------------------------------------------------------------------------------


def test_parsing_proc() -> None:
    stat = proc.parse_stat(b"7 (a) b) S 3 7 8 0 -1 0 1 2 3 4 500 60 7 8 20 0 1 0 4242 9999 33 4")
    assert stat == proc.ProcStat(3, 8, 560, 4242, 33, 1)
    assert proc.parse_stat(b"7 (cut) S 3") is None
    assert forks.parse(b"0.20 0.18 0.12 1/80 11206\n") == 80
    assert forks.parse(b"0.20") is None
    assert proc.parse_cpu("cpu  10 1 5 80 4 0 0 0 7 0\ncpu0 1") == (16, 100)
    assert proc.parse_cpu("intr 1") is None
    assert proc.parse_memory("MemTotal: 100 kB\nMemFree: 1 kB\nMemAvailable: 40 kB\n") == (60 * 1024, 100 * 1024)
    assert proc.parse_memory("MemTotal: 100 kB\n") is None


def test_children_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the kernel's lists and, where it has none, from all of /proc."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert child.pid in proc.tree()(os.getpid())
        monkeypatch.setattr(os.path, "exists", lambda _: False)
        assert child.pid in proc.tree()(os.getpid())
    finally:
        child.communicate()


# --- purity ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["machine", "restart", "admit", "ledger", "watchdog", "authority", "want", "view", "tables"]
)
def test_pure_modules_reach_for_nothing(name: str) -> None:
    """Decisions that read a clock or a file cannot be tested as tables."""
    import ast

    source = Path(build.__file__).with_name(f"{name}.py").read_text()
    imported = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
    assert not imported & {"os", "socket", "time", "sqlite3", "asyncio", "subprocess", "threading"}


# --- lock, build ----------------------------------------------------------------------------------------------------


def test_a_lock_is_had_once_and_freed_by_death(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "WAIT_S", 0.05)
    code = (
        "import sys; from aish.supervisor.daemon import lock; lock.take(sys.argv[1]); "
        "print('held', flush=True); input()"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(ConflictError):
        lock.take(str(tmp_path))
    holder.kill()
    holder.communicate()
    os.close(lock.take(str(tmp_path)))


def test_the_fingerprint_changes_with_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = build.fingerprint()
    assert first == build.fingerprint()
    newer = tmp_path / "new.py"
    newer.write_text("")
    os.utime(newer, (1 << 33, 1 << 33))
    monkeypatch.setattr(build.aish, "__path__", [*build.aish.__path__, str(tmp_path)])
    assert build.fingerprint() != first
