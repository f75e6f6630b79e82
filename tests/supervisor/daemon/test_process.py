"""What many processes have alike is kept once, and nothing of one becomes another's."""

from __future__ import annotations

import asyncio

from aish.supervisor.daemon.process import Process
from aish.supervisor.daemon.row import Row
from aish.wire.spec import LimitPart, ProbePart, RestartPart, SpecPart


def process(name: str, **fields: object) -> Process:
    spec = SpecPart(argv=[name.encode()], name=name, **fields)  # type: ignore[arg-type]
    return Process(Row(id=name, number=1, name=name, spec=spec, lifecycle="running", created_s=1.0))


def test_what_is_alike_is_there_once() -> None:
    """1,000 processes with probes and hooks took 14 KB each."""
    full = {"live": ProbePart(command=[b"true"]), "check": [b"make", b"test"], "limits": LimitPart(pids=9)}
    one, two = process("one", **full), process("two", **dict(full, live=ProbePart(command=[b"true"])))
    for field in ("live", "check", "limits", "labels", "needs"):
        assert getattr(one.row.spec, field) is getattr(two.row.spec, field), field
    assert (one.row.spec.argv, two.row.spec.argv) == ([b"one"], [b"two"])
    assert one.row.gpus is two.row.gpus


def test_what_is_written_alike_is_not_taken_for_the_same() -> None:
    """A probe of nothing but defaults and such restarts are both `{}`."""
    found = process("x", restarts=RestartPart(), ready=ProbePart(), limits=LimitPart()).row.spec
    assert (type(found.restarts), type(found.ready), type(found.limits)) == (RestartPart, ProbePart, LimitPart)
    assert (found.labels, found.needs) == ({}, [])


def test_all_who_wait_are_told_of_a_change_and_one_may_give_up() -> None:
    async def wait() -> None:
        found = process("x")
        waiting = [asyncio.ensure_future(found.change()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[1].cancel()
        await asyncio.sleep(0)
        assert [task.done() for task in waiting] == [False, True, False]
        found.changed()
        await asyncio.wait_for(asyncio.gather(waiting[0], waiting[2]), 5)
        later = asyncio.ensure_future(found.change())
        await asyncio.sleep(0)
        assert not later.done(), "the change before is not its"
        found.changed()
        await asyncio.wait_for(later, 60)

    asyncio.run(wait())
