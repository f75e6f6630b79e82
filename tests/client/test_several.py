"""What is done to several processes at once, named or by their labels; logs of several in one order."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from aish.errors import AishError, NotFoundError, NotRunningError, TimedOutError, UnavailableError, UsageError

if TYPE_CHECKING:
    from conftest import Home

TEAM = {"team": "ml"}


def pair(aish: Any, *words: str, **fields: Any) -> list[Any]:
    command = words or ("sleep", "600")
    return [aish.spawn(list(command), name=name, labels=TEAM, **fields) for name in ("one", "two")]


# --- by labels and by several names ---------------------------------------------------------------------------------


def test_labels_stand_for_all_that_have_them(aish: Any) -> None:
    """Each of these took one process, and no label."""
    fleet = pair(aish)
    aish.spawn(["sleep", "600"], name="other")
    aish.wait_ready(labels=TEAM, timeout_s=60)
    assert aish.pause(labels=TEAM)
    assert not aish.pause(*fleet), "they are paused"
    assert [each.state() for each in fleet] == ["paused"] * 2
    assert aish.cont(labels={"team": None})
    pids = [row.pid for row in aish.processes(labels=TEAM)]
    assert aish.restart(labels=TEAM)
    aish.wait_ready(*fleet, timeout_s=60)
    assert not set(pids) & {row.pid for row in aish.processes(labels=TEAM)}
    aish.signal(signal.SIGTERM, labels=TEAM)
    assert [end.signal for end in aish.wait_all(labels=TEAM, timeout_s=60)] == [signal.SIGTERM] * 2
    assert aish.wait_any(labels=TEAM)[0] in fleet
    assert aish.start(labels=TEAM)
    assert [end.signal for end in aish.stop(labels=TEAM)] == [signal.SIGTERM] * 2
    aish.forget(labels=TEAM)
    with pytest.raises(NotFoundError):
        fleet[0].state()
    assert aish.process("other").state() == "running"
    aish.stop("other")


def test_rows_can_be_named(aish: Any) -> None:
    pair(aish)
    aish.signal("KILL", *aish.processes(labels=TEAM))
    assert [end.signal for end in aish.wait_all("one", "two", timeout_s=60)] == [signal.SIGKILL] * 2


@pytest.mark.parametrize(
    "method", ["stop", "start", "restart", "pause", "cont", "wait_all", "wait_any", "wait_ready"]
)
def test_labels_that_nobody_has_are_an_error(aish: Any, method: str) -> None:
    """A label that was mistyped looked like success. No label at all would be everything."""
    with pytest.raises(NotFoundError, match="team=lm"):
        getattr(aish, method)(labels={"team": "lm"})
    with pytest.raises(UsageError, match="everything"):
        getattr(aish, method)(labels={})
    with pytest.raises(UsageError, match="not both"):
        getattr(aish, method)("one", labels=TEAM)


def test_one_that_is_refused_keeps_no_other_from_its_turn(aish: Any) -> None:
    one, two = pair(aish)
    with pytest.raises(NotFoundError, match="nobody") as told:
        aish.pause("nobody", one, "noone", two)
    assert any("noone" in note for note in told.value.__notes__)
    assert [each.state() for each in (one, two)] == ["paused"] * 2
    with pytest.raises(AishError, match="nobody"):
        aish.stop("nobody", one, two)
    assert [each.state() for each in (one, two)] == ["exited"] * 2


def test_several_are_ready_when_all_are_and_the_time_is_for_all_of_them(aish: Any) -> None:
    fleet = pair(aish, ready="exec:false")
    begun_s = time.monotonic()
    with pytest.raises(TimedOutError):
        aish.wait_ready(*fleet, timeout_s=0.2)
    assert time.monotonic() - begun_s >= 0.2
    aish.stop(*fleet, grace_s=0)
    with pytest.raises(UnavailableError, match="ended before"):
        aish.wait_ready(*fleet)


def test_without_a_supervisor_the_first_refusal_is_that(home: Home) -> None:
    from aish.client import Aish

    with pytest.raises(NotRunningError):
        Aish(start=False).pause("one", "two")


# --- logs of several ------------------------------------------------------------------------------------------------


def told(lines: Any) -> list[tuple[str, str]]:
    return [(line.name, line.text) for line in lines]


def test_the_logs_of_several_are_merged_in_the_order_of_time(aish: Any) -> None:
    """`aish logs A B` had no counterpart: the lines of each came by themselves."""
    ends = {}
    for name, to in (("one", 1), ("two", 2)):
        its, ends[name] = os.pipe()
        aish.spawn(["sh", "-c", f"while read x; do echo $x >&{to}; done"], name=name, fds={0: its}, labels=TEAM)
        os.close(its)
    followed = aish.logs("two", "one", follow=True)
    written = []
    for number, name in enumerate(("one", "two", "one", "one", "two")):
        os.write(ends[name], b"%d\n" % number)
        written.append(next(followed))  # it has its place in time by then
        assert told(written)[-1] == (name, str(number))
    for end in ends.values():
        os.close(end)
    assert list(followed) == [], "it is over when both have ended"
    for lines in (aish.logs("two", "one"), aish.logs(labels=TEAM), aish.logs(kind="command")):
        assert told(lines) == told(written)
    assert [line.id for line in aish.logs("one")] == [aish.process("one").id] * 3
    (found,) = aish.logs("one", "two", since_s=written[4].time_s - 0.001, streams=["stderr"])
    assert (found.stream, found.text) == ("stderr", "4")
    assert ("two", "4") not in told(aish.logs("one", "two", until_s=written[2].time_s))


def test_only_lines_with_a_pattern_and_of_these_the_last(aish: Any) -> None:
    code = "import sys\nfor i in range(30000): print('odd' if i % 2 else 'even', i)"
    fleet = pair(aish, sys.executable, "-c", code)
    aish.wait_all(*fleet)
    found = told(aish.logs(*fleet, grep="^odd", last=2))
    assert sorted(found) == [(name, f"odd {i}") for name in ("one", "two") for i in (29997, 29999)]
    assert len(told(aish.logs(*fleet, grep=re.compile("even .*0$")))) == 2 * 3000
    assert told(fleet[0].logs(grep="odd 1$", follow=True)) == [("one", "odd 1")]
    with pytest.raises(UsageError, match="not a pattern"):
        list(aish.logs("one", grep="("))


def test_without_a_name_the_logs_are_those_of_what_has_not_ended(aish: Any) -> None:
    aish.spawn(["echo", "gone"], name="gone").wait()
    with pytest.raises(NotFoundError, match="no process runs"):
        list(aish.logs())
    stays = aish.spawn(["sh", "-c", "echo here; sleep 600"], name="stays", ready="line:here")
    stays.wait_ready(timeout_s=60)
    assert told(aish.logs()) == [("stays", "here")]
    stays.stop()
    with pytest.raises(UsageError, match="did you mean command"):
        list(aish.logs(kind="comand"))
    with pytest.raises(NotFoundError, match="no process of kind"):
        list(aish.logs(kind="agent"))
    with pytest.raises(NotFoundError, match="team=lm"):
        list(aish.logs(labels={"team": "lm"}))


def test_logs_in_figures(aish: Any) -> None:
    """`aish logs --stats` had no counterpart."""
    before_s = time.time()
    both = aish.spawn(["sh", "-c", "echo one; echo two >&2; printf three >&2"], name="both", labels=TEAM)
    order = aish.spawn(["sh", "-c", "echo a; echo b >&2"], name="order", log="ordered", labels=TEAM)
    silent = aish.spawn(["true"], name="silent", labels=TEAM)
    aish.wait_all(both, order, silent)
    first, second, third = aish.log_stats(both, order, silent)
    assert (first.name, first.id) == ("both", both.id)
    assert (first.stdout.size_bytes, first.stdout.lines, first.stdout.given_back_bytes) == (4, 1, 0)
    assert (first.stderr.size_bytes, first.stderr.lines) == (9, 2)
    assert before_s <= first.first_s <= first.last_s <= time.time()
    assert (second.stdout.lines, second.stderr) == (2, None)
    assert (third.stdout.size_bytes, third.first_s, third.last_s) == (0, None, None)
    assert [stats.name for stats in aish.log_stats(labels=TEAM)] == ["both", "order", "silent"]
    assert both.log_stats() == aish.log_stats("both")[0]
