"""How many processes a process may have below it: an agent that starts others without end is stopped by a limit that
nothing below it can lift."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from aish.errors import ConflictError, LimitError
from aish.wire.message import BudgetQuery, Forget, Limit, Restart, Start, Stop
from aish.wire.reply import Budgets, Done
from aish.wire.spec import LimitPart
from tests.supervisor.daemon.test_agents_place import PROGRAM, agent

if TYPE_CHECKING:
    from conftest import Supervised

STORM = """
def count(most):
    for number in range(most):
        try:
            spawn("sleep", "62", name=f"child-{number}")
        except AishError as error:
            return number, error.code, str(error), error.hint
    return most, None, None, None
print(json.dumps(count(20)))
"""
DEEPER = """
level = int(sys.argv[1])
try:
    child = client.ask(Started, Spawn(token=secrets.token_hex(16), launch=launch.capture(), spec=SpecPart(
        argv=[os.fsencode(word) for word in (sys.executable, "-c", sys.argv[2], str(level + 1), sys.argv[2])],
        cwd=b"/", name=f"level-{level + 1}", limits=LimitPart(children=1000, depth=1000))))
    client.ask(Waited, Wait(target=child.id))
except AishError as error:
    print(level, error.code, error)
"""


def stop_all(up: Supervised) -> None:
    for row in up.view().processes:
        if row.kind == "command":
            up.client.request(Stop(target=row.id, grace_s=0))
            up.wait(row.id)


def test_so_many_children_and_not_one_more(up: Supervised) -> None:
    """142 agents were spawned by one: nobody had bounded it."""
    told = agent(up, STORM, limits=LimitPart(children=3))
    assert told[:2] == [3, "limit"]
    assert "may have 3 processes below it at a time, and has 3" in told[2]
    assert "wait until one of them has ended" in told[3]
    assert "aish limit agent children=+1" in told[3]
    events = [event for event in up.events() if event.kind == "spawn-refused"]
    assert [(event.name, event.detail["limit"], event.detail["most"]) for event in events] == [
        ("agent", "children", 3)
    ]
    stop_all(up)


def test_only_those_that_live_count(up: Supervised) -> None:
    code = """
for _ in range(4):
    client.request(Wait(target=spawn("true").id))
print(json.dumps(tried(Snapshot())))
"""
    assert agent(up, code, limits=LimitPart(children=1)) == "View"


def test_none_at_all(up: Supervised) -> None:
    assert agent(up, STORM, limits=LimitPart(children=0))[:2] == [0, "limit"]
    told = agent(up, STORM, limits=LimitPart(depth=0))
    assert told[:2] == [0, "limit"]
    assert "may have 0 levels of processes below it, this would be level 1" in told[2]


def test_the_whole_tree_counts_and_no_child_can_allow_itself_more(up: Supervised) -> None:
    """A child with a limit of its own of a thousand still stands below the one that has two."""
    code = PROGRAM + DEEPER
    top = up.spawn(sys.executable, "-c", code, "0", code, name="top", limits=LimitPart(children=2))
    assert up.code(top.id) == 0
    assert up.log("level-2")[0].startswith("2 limit top (")
    assert "2 processes below it at a time" in up.log("level-2")[0]


def test_so_deep_and_no_deeper(up: Supervised) -> None:
    code = PROGRAM + DEEPER
    top = up.spawn(sys.executable, "-c", code, "0", code, name="top", limits=LimitPart(depth=1))
    assert up.code(top.id) == 0
    assert "may have 1 level of processes below it, this would be level 2" in up.log("level-1")[0]
    events = [event for event in up.events() if event.kind == "spawn-refused"]
    assert [(event.name, event.detail["limit"]) for event in events] == [("top", "depth")]


def held(up: Supervised, limits: LimitPart) -> Any:
    """One that starts another at each SIGUSR1, and writes + or -."""
    code = """
import itertools, signal
for number in itertools.count():
    signal.sigwait([signal.SIGUSR1])
    try:
        spawn("sleep", "62", name=f"child-{number}")
        os.write(1, b"+")
    except AishError:
        os.write(1, b"-")
"""
    block = "import signal; signal.pthread_sigmask(0, [10]); import os; os.write(1, b'up')\n"
    started = up.spawn(sys.executable, "-c", block + PROGRAM + code, name="planner", limits=limits)
    up.until("it waits", lambda: up.log("planner")[0] == "up")
    return started


def spawned(up: Supervised, started: Any, expected: str) -> None:
    from aish.wire.message import Signal

    before = up.log("planner")[0]
    up.client.request(Signal(target=started.id, signal=10))
    up.until("it has tried", lambda: up.log("planner")[0] == before + expected)


@pytest.mark.usefixtures("home")
def test_the_user_raises_it_and_the_next_daemon_knows_it(up: Supervised) -> None:
    started = held(up, LimitPart(children=1))
    spawned(up, started, "+")
    spawned(up, started, "-")
    assert up.client.ask(Done, Limit(target="planner", children="+1", depth="3")).changed
    lines = {
        line.word: (line.used, line.most) for line in up.client.ask(Budgets, BudgetQuery(target="planner")).lines
    }
    assert (lines["children"], lines["depth"]) == ((1, 2), (1, 3))
    up.kill_daemon()
    up.next_daemon()
    spawned(up, started, "+")
    spawned(up, started, "-")
    assert up.inspect("planner").spec.limits == LimitPart(children=2, depth=3)
    up.client.request(Limit(target="planner", children="none"))
    spawned(up, started, "+")
    stop_all(up)


def test_what_has_ended_is_not_started_again_beyond_it(up: Supervised) -> None:
    started = held(up, LimitPart(children=1))
    spawned(up, started, "+")
    first = next(row for row in up.view().processes if row.parent == started.id)
    up.client.request(Stop(target=first.id, grace_s=0))
    up.wait(first.id)
    spawned(up, started, "+")
    from aish.client import launch

    with pytest.raises(LimitError, match=r"planner \(.*\) may have 1 process below it at a time, and has 1"):
        up.client.request(Start(target=first.id, launch=launch.capture()))
    with pytest.raises(LimitError):
        up.client.request(Restart(target=first.id))
    stop_all(up)


def test_who_has_something_below_it_is_not_forgotten(up: Supervised) -> None:
    """With its row the place of what is below would go: its limits and the authority of those above."""
    told = agent(up, "print(json.dumps(spawn('sleep', '62', name='left').id))")
    with pytest.raises(ConflictError, match=f"left \\({told}\\), which is below agent"):
        up.client.request(Forget(target="agent"))
    stop_all(up)
    assert up.client.ask(Done, Forget(target="agent")).changed


def test_it_is_raised_by_the_user_alone(up: Supervised) -> None:
    told = agent(up, "print(json.dumps(tried(Limit(target='agent', children='none'))))", limits=LimitPart(children=1))
    assert told == "refused"
    assert json.dumps(told)
