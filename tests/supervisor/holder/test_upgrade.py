"""Keeper and holder become the program on disk: same pids, same children, and nothing that they knew is lost."""

from __future__ import annotations

import os
import random
import re
import select
import shutil
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aish.supervisor.holder import link, wire

if TYPE_CHECKING:
    from .conftest import World

PACKAGE = Path(link.__file__).parent


class Program:
    """A copy of the program that can be replaced, and a world that runs it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.folder = world.folder / "program" / "holder"
        shutil.copytree(PACKAGE, self.folder, ignore=shutil.ignore_patterns("__pycache__"))
        world.launch()
        world.connect()

    def replace(self, text: str = "", file: str = "build.py") -> str:
        """Another release, and its build as it tells it itself."""
        path = self.folder / file
        path.write_text(path.read_text() + f"\n# release {os.urandom(8).hex()}\n" + text)
        names: dict[str, str] = {"__file__": str(self.folder / "build.py")}
        exec((PACKAGE / "build.py").read_text(), names)
        return names["OWN"]

    def ask(self, build: str) -> None:
        """One step. Raises Refusal."""
        try:
            self.world.call("upgrade", build=build)
        except (link.GoneError, TimeoutError):
            pass  # the holder became another, or died meanwhile
        self.again()

    def again(self) -> None:
        """A connection to whoever is the holder now."""

        def answers() -> bool:
            try:
                self.world.connect()
            except link.GoneError:
                return False
            return True

        self.world.eventually(answers, "the holder answers")

    def upgrade(self, build: str) -> None:
        """Both, as a daemon does it."""

        def done() -> bool:
            try:
                self.ask(build)
            except wire.Refusal as refusal:
                if refusal.code != "busy":  # one that was asked for by a connection that is gone
                    raise
                self.again()
            return (self.world.hello["build"], self.world.hello["keeper_build"]) == (build, build)

        self.world.eventually(done, "both are the new program")


@pytest.fixture
def program(world: World, monkeypatch: pytest.MonkeyPatch) -> Program:
    monkeypatch.setattr(link, "_MAIN", str(world.folder / "program" / "holder" / "__main__.py"))
    return Program(world)


def test_both_become_the_new_program_and_keep_everything(program: Program, tmp_path: Path) -> None:
    """Pids, children, an exit that nobody has acknowledged, kept descriptors, a terminal that is drained."""
    world = program.world
    before = world.hello
    world.spawn("ended", ["sh", "-c", "exit 3"])
    assert world.exit("ended")["status"] == 3 << 8
    gate_read, gate_write = os.pipe()
    world.spawn("child", ["sh", "-c", "read x; exit 5"], [gate_read, world.null, world.null])
    os.close(gate_read)
    world.call("store", [gate_write], name="gate")
    os.close(gate_write)
    master, slave = os.openpty()
    log = os.open(tmp_path / "pty.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    world.call("store", [master], name="pty")
    world.call("drain", [log], name="pty")
    world.spawn("typing", ["sh", "-c", "while read x; do echo got $x; done"], [slave] * 3, pty=True)

    build = program.replace()
    program.upgrade(build)

    assert (world.hello["pid"], world.hello["keeper_pid"]) == (before["pid"], before["keeper_pid"])
    assert world.hello["started"] == before["started"]
    assert b"--resume" in Path(f"/proc/{before['keeper_pid']}/cmdline").read_bytes()
    listed = world.everything()
    assert [row["id"] for row in listed["children"]] == ["child", "typing"]
    assert all(row["start_time"] for row in listed["children"])
    assert [row["status"] for row in listed["exits"]] == [3 << 8]
    os.write(master, b"word\n")
    world.eventually(lambda: b"got word" in (tmp_path / "pty.log").read_bytes(), "the terminal is drained")
    gate = world.link.call("fetch", name="gate").fds
    os.write(gate[0], b"go\n")
    os.close(gate[0])
    end = world.exit("child")
    assert (end["status"], end["maxrss_bytes"] > 0) == (5 << 8, True)
    world.spawn("another", ["true"])
    assert world.exit("another")["status"] == 0
    for fd in (master, slave, log):
        os.close(fd)


def test_children_get_no_descriptor_of_the_new_program(program: Program) -> None:
    """What was let through execve must not go on to who is born later: a lock that never falls, a pipe's end."""
    world = program.world
    program.upgrade(program.replace())
    told = world.output("ls", ["ls", "-1", "/proc/self/fd"])
    assert set(map(int, told.split())) == {0, 1, 2, 3}


def test_after_an_upgrade_either_may_die(program: Program) -> None:
    """And both builds are the new one, whoever was forked by whom."""
    world = program.world
    world.spawn("job", ["sleep", "1000"])
    build = program.replace()
    program.upgrade(build)
    for who in ("pid", "keeper_pid", "pid"):
        world.replace(who)
        assert (world.hello["build"], world.hello["keeper_build"]) == (build, build)
        assert [row["id"] for row in world.everything()["children"]] == ["job"]
    world.call("signal", id="job", sig=int(signal.SIGTERM))
    assert world.exit("job")["status"] in (signal.SIGTERM, None)


def test_the_children_of_an_earlier_holder_stay_the_keepers(program: Program) -> None:
    """Their parent becomes another program while one of them ends."""
    world = program.world
    read_end, write_end = os.pipe()
    world.spawn("old", ["sh", "-c", "read x; exit 6"], [read_end, world.null, world.null])
    os.close(read_end)
    world.replace("pid")
    program.upgrade(program.replace())
    world.call("signal", id="old", sig=0)
    os.close(write_end)
    end = world.exit("old")
    assert (end["status"], end["maxrss_bytes"] > 0) == (6 << 8, True)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("keeper.py", "def broken(:\n"),
        ("kernel.py", "import no_such_module\n"),
        ("holder.py", "raise SystemExit(4)\n"),
    ],
)
def test_a_program_that_does_not_start_is_refused(program: Program, file: str, text: str) -> None:
    """Found out before the process is given up; the holder serves on, and the next release is taken."""
    world = program.world
    before = world.hello
    build = program.replace(text, file)
    with pytest.raises(wire.Refusal) as refused:
        world.call("upgrade", build=build)
    assert refused.value.code == "upgrade"
    assert world.everything() == {"children": [], "exits": []}
    world.connect()
    assert world.hello == before
    path = program.folder / file
    path.write_text(path.read_text().replace(text, ""))
    program.upgrade(program.replace())


def test_another_build_than_the_wanted_one_is_refused(program: Program) -> None:
    """An installer that is still at work."""
    program.replace()
    with pytest.raises(wire.Refusal) as refused:
        program.world.call("upgrade", build="0")
    assert refused.value.code == "upgrade"
    assert "not 0" in program.world.log.read_text()


def test_one_that_dies_after_it_took_over_costs_nothing(program: Program) -> None:
    """It loads, and cannot be a holder: the keeper takes over with the old code, which is in its memory."""
    world = program.world
    before = world.hello
    world.spawn("job", ["sh", "-c", "sleep 1000"])
    build = program.replace("class Holder:\n    pass\n", "holder.py")
    program.ask(build)
    world.eventually(lambda: other(program, before["pid"]), "another holder answers")
    assert (world.hello["build"], world.hello["keeper_pid"]) == (before["build"], before["keeper_pid"])
    assert [row["id"] for row in world.everything()["children"]] == ["job"]


def other(program: Program, dead: int) -> bool:
    program.again()
    return bool(program.world.hello["pid"] != dead)


def test_what_ends_while_the_programs_change_is_told(program: Program) -> None:
    """A child's end between the old and the new program sends its signal to neither."""
    world = program.world
    build = ""
    for turn in range(4):
        names = [f"c{turn}.{number}" for number in range(20)]
        read_end, write_end = os.pipe()
        for name in names:
            world.spawn(name, ["sh", "-c", "read x; exit 9"], [read_end, world.null, world.null])
        os.close(read_end)
        build = program.replace()
        world.link.send("upgrade", build=build)
        os.close(write_end)
        program.again()
        program.upgrade(build)
        world.eventually(lambda names=names: len(ended(world, names)) == 20, "all exits are known")
        assert {row["status"] for row in ended(world, names)} == {9 << 8}
        world.call("ack", ids=names)


def ended(world: World, names: list[str]) -> list[dict]:
    return [row for row in world.everything()["exits"] if row["id"] in names]


@pytest.mark.parametrize("turns", [8, pytest.param(40, marks=pytest.mark.slow)])
def test_killed_at_any_moment_of_an_upgrade_nothing_is_lost(program: Program, turns: int) -> None:
    """Holder or keeper, by SIGKILL, while children are born and end. The seed repeats it."""
    world = program.world
    seed = int(os.environ.get("AISH_SEED", time.time_ns() % 1_000_000))
    chance = random.Random(seed)
    print(f"AISH_SEED={seed}")
    for turn in range(turns):
        names = [f"t{turn}.{number}" for number in range(5)]
        read_end, write_end = os.pipe()
        for name in names:
            world.spawn(name, ["sh", "-c", "read x; exit 8"], [read_end, world.null, world.null])
        os.close(read_end)
        victims = [world.hello[who] for who in ("pid", "keeper_pid")]
        build = program.replace()
        world.link.send("upgrade", build=build)
        select.select([], [], [], chance.uniform(0, 0.15))  # the moment is the test
        os.kill(chance.choice(victims), signal.SIGKILL)
        if chance.random() < 0.5:
            os.close(write_end)
            write_end = -1
        program.again()
        program.upgrade(build)
        if write_end >= 0:
            os.close(write_end)
        world.eventually(lambda names=names: len(ended(world, names)) == 5, f"all exits of turn {turn} are known")
        assert {row["status"] for row in ended(world, names)} <= {8 << 8}, f"seed {seed}"
        world.call("ack", ids=names)
    assert not re.findall(r"Traceback", world.log.read_text()), world.log.read_text()
