"""The ring of the last two minutes: bounded in time, number and size; fed only while something is supervised."""

from __future__ import annotations

import asyncio
import os
from itertools import pairwise
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from aish.model.exit import Exit
from aish.supervisor.daemon import proc
from aish.supervisor.daemon.process import Process
from aish.supervisor.daemon.recall import Recall
from aish.supervisor.daemon.ring import APART_S, MOST, SPAN_S, Ring, Sample, Stranger
from aish.supervisor.daemon.row import Row
from aish.supervisor.daemon.table import Table
from aish.wire.spec import SpecPart

if TYPE_CHECKING:
    from conftest import Supervised


def test_two_minutes_stay() -> None:
    ring = Ring()
    for second in range(1000):
        if ring.due(float(second)):
            ring.add(Sample(time_s=float(second)))
    times = [sample.time_s for sample in ring.samples(1000.0)]
    assert times[0] >= 1000.0 - SPAN_S
    assert times[-1] == 998.0
    assert all(after - before >= APART_S for before, after in pairwise(times))
    assert len(times) <= MOST
    assert ring.first_since(950.5) == Sample(time_s=952.0)


def test_a_clock_that_was_set_back_does_not_stop_it() -> None:
    ring = Ring()
    ring.add(Sample(time_s=5000.0))
    assert ring.due(100.0)
    ring.add(Sample(time_s=100.0))
    assert ring.last() == Sample(time_s=100.0)


def test_its_size_is_bounded_whatever_is_fed() -> None:
    ring = Ring()
    many = tuple(Stranger(0, pid, 1 << 40) for pid in range(5000))
    for number in range(500):
        ring.add(Sample(time_s=2.0 * number, strangers=many, throttled={f"p{n}": 1 << 60 for n in range(5000)}))
    held = ring.samples(998.0)
    assert len(held) <= MOST
    assert len(msgspec.msgpack.encode(held)) < 128 << 10


def test_parsing_what_the_kernel_tells_and_what_it_does_not() -> None:
    assert proc.parse_pressure("some avg10=3.14 avg60=1.00 avg300=0.10 total=5\nfull avg10=0.00") == 3.14
    assert proc.parse_pressure("") is None
    assert proc.parse_pressure("some avg10=x") is None
    assert proc.parse_oom_kills("nr_free 1\noom_kill 7\nnuma_hit 3\n") == 7
    assert proc.parse_oom_kills("nr_free 1\n") is None


def recall(told: list[tuple[str, dict[str, Any]]], group: int | None = None) -> Recall:
    recorder: Any = SimpleNamespace(event=lambda kind, row, text, **detail: told.append((kind, detail)))
    groups = SimpleNamespace(oom_kills=lambda id_: group, throttled=lambda id_: 3)
    gpus: Any = SimpleNamespace(started=False)
    reach: Any = SimpleNamespace(groups=groups, killed_at_limits=lambda: 0)
    return Recall(Table(), gpus, reach, recorder, dict)


def process(kind: str = "command") -> Process:
    row = Row(id="p1", number=1, name="x", spec=SpecPart(argv=[b"x"], kind=kind), lifecycle="running", created_s=0.0)
    return Process(row)


def test_nothing_wakes_up_while_nothing_is_supervised() -> None:
    async def scene() -> None:
        made = recall([])
        gateway, own = process("system"), process()
        gateway.row.id, gateway.row.name = "gateway", "gateway"
        made.table.add(gateway)
        made.schedule()
        assert made._timer is None, "the gateway is a part of aish"
        made.table.add(own)
        made.began()
        assert made._timer is not None
        assert made.ring.last() is not None
        own.row.lifecycle = "exited"
        made.table.ended(own)
        made.schedule()
        assert made._timer is None

    asyncio.run(scene())


def test_what_is_noted_when_it_is_struck() -> None:
    async def scene() -> None:
        told: list[tuple[str, dict[str, Any]]] = []
        made = recall(told, group=5)
        struck = process()
        struck.oom_kills = 4
        made.struck(struck, Exit(None, 15))
        made.struck(struck, Exit(0, None))
        assert told == [], "other ends have nothing to do with memory"
        made.struck(struck, Exit(None, 9))
        ((kind, detail),) = told
        assert (kind, detail["group_oom_kills"], detail["machine_oom_kills"]) == ("struck", 1, None)
        assert detail["memory_total_bytes"] > 1 << 20
        made.struck(struck, Exit(None, 9))
        assert told[1][1]["machine_oom_kills"] in (0, None) or os.path.exists("/proc/vmstat")

    asyncio.run(scene())


def test_what_reached_its_own_limit_is_no_want_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: another process that was killed from outside within 12 s of it "was most likely hit"; or that one
    which was hit was not, since one with many such kills ended just then."""

    async def scene() -> None:
        told: list[tuple[str, dict[str, Any]]] = []
        made = recall(told, group=2)
        kills, at_limits = iter([7, 9, 10]), iter([40, 42, 42])
        monkeypatch.setattr(
            made,
            "_sample",
            lambda now_s: Sample(time_s=now_s, oom_kills=next(kills), killed_at_limits=next(at_limits)),
        )
        monkeypatch.setattr("aish.supervisor.daemon.recall.FRESH_S", 0.0)
        made.look()
        made.struck(process(), Exit(None, 9))
        made.struck(process(), Exit(None, 9))
        assert [detail["machine_oom_kills"] for _, detail in told] == [0, 1]

    asyncio.run(scene())


@pytest.mark.usefixtures("home")
def test_a_changed_configuration_is_an_event(up: Supervised) -> None:
    up.spawn("sleep", "60")
    up.home.config.mkdir(exist_ok=True)
    (up.home.config / "config.toml").write_text("")
    up.client.reconnect()
    assert "configured" in [event.kind for event in up.events()]
