"""A session of a whole day: what it costs does not grow with the commands that it has seen."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from aish.supervisor.daemon import proc

if TYPE_CHECKING:
    from tests.session.conftest import Session

WARM, MANY = 100, 1000
MOST_GROWTH_BYTES = 2 << 20
COMMANDS = (
    "echo $((n += 1))",
    "f() { echo $1; }; f a",
    "x=$(echo a)",
    "v=$n; [ $v -gt 0 ]",
    "echo a b | { read a b; echo $b; }",
    "case x in x) :;; esac; cd . && export E=$n",
    "/bin/true",
    ": &",
    "nonsense",
)


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * proc.PAGE_BYTES


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def test_a_thousand_commands_leave_nothing_behind(session: Session) -> None:
    """Memory, descriptors, processes, zombies, files."""

    def run(count: int) -> None:
        for first in range(0, count, WARM):
            for number in range(first, first + WARM):
                session.send("run", command=COMMANDS[number % len(COMMANDS)])
            assert [session.answer()["type"] for _ in range(WARM)] == ["result"] * WARM
        assert session.run("wait")["background"] == []
        assert session.ask("jobs")["background"] == []

    shell = int(session.out("echo $$"))
    front = session.ready["pid"]
    pids = (front, *proc.children(front), shell)
    run(WARM)
    before, open_before = list(map(resident_bytes, pids)), list(map(descriptors, pids))
    run(MANY)
    after, open_after = list(map(resident_bytes, pids)), list(map(descriptors, pids))
    grown = [now - then for now, then in zip(after, before, strict=True)]
    assert max(grown) < MOST_GROWTH_BYTES, grown
    assert max(now - then for now, then in zip(open_after, open_before, strict=True)) <= 2
    session.out(":")
    assert proc.children(shell) == []


def test_a_quick_command_costs_little(session: Session) -> None:
    """Some tenths of a millisecond; the bound is for a machine that is busy with other things."""
    times_s = []
    for _ in range(200):
        begun_s = time.perf_counter()
        session.send("run", command=":")
        session.answer()
        times_s.append(time.perf_counter() - begun_s)
    assert sorted(times_s)[len(times_s) // 2] < 0.01


def test_hundreds_of_commands_with_something_in_the_background_are_bounded(session: Session) -> None:
    """Each has two descriptors open: one more than there may be is refused, and told how to go on."""
    for _ in range(128):
        session.out("sleep 600 &")
    found = session.ask("run", command="echo no")
    assert (found["type"], found["error"]["code"], "jobs" in found["error"]["hint"]) == ("error", "limit", True)
    assert session.ask("end")["type"] == "done"
    assert session.out("echo on") == "on\n"
