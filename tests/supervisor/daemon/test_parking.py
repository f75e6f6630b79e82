"""Which process is parked, and by which end: decisions alone. What follows is in tests/cli/test_parking.py."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from msgspec import structs

from aish.agents.host import invocation
from aish.errors import ConflictError, RefusedError, StorageError
from aish.model.exit import Exit
from aish.supervisor.daemon import clock, machine, runs
from aish.supervisor.daemon.afterlife import Afterlife
from aish.supervisor.daemon.conductor import Conductor as RealConductor
from aish.supervisor.daemon.flaw import flaws
from aish.supervisor.daemon.gateway_link import GatewayLink
from aish.supervisor.daemon.parking import (
    PARK_LEAST_S,
    PARKINGS_MOST,
    PARKINGS_WITHIN_S,
    Parking,
    in_front,
    is_long,
    lets_go,
    may_park,
    recent,
)
from aish.supervisor.daemon.process import Process
from aish.supervisor.daemon.row import Row, Wrapup
from aish.supervisor.daemon.sending import Sending
from aish.supervisor.daemon.takeover import Takeover
from aish.supervisor.daemon.verdict import judge
from aish.supervisor.daemon.wishes import Wish, Wishes
from aish.wire.link import Hold
from aish.wire.part import ParkedPart
from aish.wire.spec import LastWordPart, SchedulePart, SpecPart

if TYPE_CHECKING:
    from collections.abc import Callable

BARRED = ParkedPart(owner="window:claude/7d", what="window_reserve", used=0.9, budget=0.6, since_s=5.0)
HOST = [os.fsencode(word) for word in invocation.command([], file="/a/fix.md")]
ATTACHED = [os.fsencode(word) for word in invocation.command([], attached=True, file="/a/fix.md")]
OTHER = [b"python3", b"-c", b"pass"]


def row(spec: dict[str, Any] | None = None, **fields: Any) -> Row:
    made = SpecPart(**{"argv": HOST, "cwd": b"/", "kind": "agent", "when_reserved": "park"} | (spec or {}))
    return Row(**{"id": "p1", "number": 1, "name": "fix", "spec": made, "created_s": 1.0} | fields)


@pytest.mark.parametrize(
    ("spec", "fields", "expected"),
    [
        ({}, {}, True),
        ({"when_reserved": "hold"}, {}, False),
        ({"argv": OTHER}, {}, False),
        ({"argv": ATTACHED}, {}, False),
        ({"pty": True}, {}, False),
        ({}, {"targets": [0, 1]}, False),
        ({}, {"adopted": True}, False),
    ],
)
def test_only_what_can_go_on_later_is_parked(spec: dict[str, Any], fields: dict[str, Any], *, expected: bool) -> None:
    """Descriptors of a pipeline are gone by then, and a terminal is somebody's."""
    assert may_park(row(spec, **fields)) is expected


@pytest.mark.parametrize(
    ("until_s", "expected"),
    [(None, True), (1000.0 + PARK_LEAST_S, True), (999.0 + PARK_LEAST_S, False), (900.0, False)],
)
def test_a_short_hold_is_cheaper_than_another_start(until_s: float | None, *, expected: bool) -> None:
    barred = ParkedPart(owner="window:a/5h", what="window_reserve", used=1, budget=0.6, until_s=until_s, since_s=1.0)
    assert is_long(barred, 1000.0) is expected


def verdict(subject: Row, end: Exit, **more: Any) -> Any:
    words = {"cause": None, "ran_s": 5.0, "now_s": 100.0, "chance": 0.5, "restartable": True}
    return judge(subject, end, **(words | more))


@pytest.mark.parametrize("end", [Exit(None, 15), Exit(None, 9), Exit(1, None), Exit(None, None)])
@pytest.mark.parametrize("stop", [None, "parked"])
def test_every_end_but_success_is_the_parking_that_was_meant(end: Exit, stop: str | None) -> None:
    """By its stop signal, by SIGKILL after its grace, by a failure just then, by a reboot (nobody knows how): whether
    the daemon that meant it has noted that it sent the signal or not."""
    subject = row(parking=True, barred=BARRED, stop_reason=stop, lifecycle="stopping" if stop else "running")
    found = verdict(subject, end, restartable=False)
    assert isinstance(found.event, machine.Parks)
    assert found.exit.reason == "parked"


def test_who_was_done_just_before_is_done() -> None:
    found = verdict(row(parking=True, barred=BARRED, stop_reason=None, lifecycle="running"), Exit(0, None))
    assert (type(found.event), found.exit.reason) == (machine.Exited, "done")
    again = row({"restart": "always"}, parking=True, barred=BARRED, stop_reason="parked", lifecycle="stopping")
    assert isinstance(verdict(again, Exit(0, None)).event, machine.Parks), "it is to run again anyway"


@pytest.mark.parametrize("reason", ["cancelled", "parent", "restarted", "wrapup", "timeout"])
def test_any_other_stop_is_what_it_says(reason: str) -> None:
    subject = row(parking=True, barred=BARRED, stop_reason=reason, lifecycle="stopping")
    found = verdict(subject, Exit(None, 15))
    assert (type(found.event), found.exit.reason) == (machine.Exited, reason)


def test_a_run_of_a_schedule_is_parked_as_any_other() -> None:
    """Its next time would begin the same work anew, beside that which waits."""
    spec = {"schedule": SchedulePart(cron="@hourly")}
    subject = row(spec, parking=True, barred=BARRED, stop_reason="parked", lifecycle="stopping")
    assert isinstance(verdict(subject, Exit(None, 15)).event, machine.Parks)


def test_the_users_word_counts_for_a_while() -> None:
    assert not in_front(row(), 10.0)
    assert in_front(row(in_front_until_s=11.0), 10.0)
    assert not in_front(row(in_front_until_s=10.0), 10.0)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"kind": "command", "argv": OTHER}, "a command keeps no conversation"),
        ({"argv": OTHER}, "only an agent with an adapter"),
        ({"when_reserved": "parks"}, "expected hold, park or model:NAME"),
    ],
)
def test_what_could_never_go_on_is_refused(spec: dict[str, Any], said: str) -> None:
    (flaw,) = flaws(row(spec).spec)
    assert said in str(flaw)
    assert flaw.field == "when_reserved"
    assert not list(flaws(row().spec))


# --- effects ----------------------------------------------------------------------------------------------------


class Conductor:
    """What Parking has of the rest: writes down what it is asked for. `full`: the disk takes no intent."""

    def __init__(self, *rows: Row, full: bool = False, kept: bool = True) -> None:
        self.processes = [Process(row) for row in rows]
        self.full, self.done = full, list[tuple[str, ...]]()
        self.recorder = self.table = self.launcher = self.files = self
        self.load = lambda id_: object() if kept else None

    def alive(self) -> list[Process]:
        return self.processes

    def promise(self, row: Row, kind: str, text: str, **detail: Any) -> None:
        if self.full:
            raise StorageError("the disk is full")
        self.done.append(("promise", kind))

    def event(self, kind: str, row: Row, text: str, **detail: Any) -> None:
        self.done.append(("event", kind))

    def change(self, row: Row) -> None:
        pass

    def changed(self, process: Process) -> None:
        self.done.append(("changed",))

    def stop(self, process: Process, grace_s: float | None, reason: str, by: str) -> None:
        self.done.append(("stop", reason, by))

    def apply(self, process: Process, event: machine.LifecycleEvent) -> None:
        self.done.append(("apply", type(event).__name__))


HOLD_OF_DAYS = Hold(
    number=1, id="p1", owner="window:claude/7d", what="window_reserve", used=0.9, budget=0.6, login="ab"
)
HELD = {"lifecycle": "running", "holds": ["budget"], "pid": 7}
WAITS = {"lifecycle": "parked", "parking": True, "barred": BARRED}


def with_parking(conductor: Conductor, do: Callable[[Parking, Process], None]) -> list[tuple[str, ...]]:
    async def go() -> None:
        do(Parking(cast("Any", conductor)), conductor.processes[0])

    asyncio.run(go())
    return conductor.done


def test_the_intent_is_written_before_anything_is_ended() -> None:
    """Killed in between, the next daemon takes the agent's end for its parking, and not for a failure."""
    conductor = Conductor(row(**HELD))
    done = with_parking(conductor, lambda parking, process: parking.held(process, HOLD_OF_DAYS))
    assert done == [("promise", "parking"), ("stop", "parked", "a usage window")]
    kept = conductor.processes[0].row
    assert kept.parking
    assert kept.barred is not None
    assert (kept.barred.login, kept.barred.until_s) == ("ab", None)


def test_without_an_intent_it_is_held() -> None:
    conductor = Conductor(row(**HELD), full=True)
    assert with_parking(conductor, lambda parking, process: parking.held(process, HOLD_OF_DAYS)) == []
    assert not conductor.processes[0].row.parking


@pytest.mark.parametrize(
    "fields",
    [
        {"holds": ["budget", "user"]},
        {"holds": []},
        {"wrapup": Wrapup(last=LastWordPart(message="x"), until_boot_s=1.0, within_s=1.0, by="x")},
        {"checking": True},
        {"lifecycle": "stopping"},
    ],
)
def test_who_is_paused_ends_or_has_nothing_held_is_not_parked(fields: dict[str, Any]) -> None:
    conductor = Conductor(row(**(HELD | fields)))
    assert with_parking(conductor, lambda parking, process: parking.held(process, HOLD_OF_DAYS)) == []


@pytest.mark.parametrize("at", ["generating", "tool", "question"])
def test_what_it_does_beside_is_waited_for(at: str) -> None:
    """A command cut in the middle would be half done, and a question gone under the person's hands."""

    def held(parking: Parking, process: Process) -> None:
        process.metered = "generating" if at == "generating" else None
        process.told = ("tool", "bash: make") if at == "tool" else (None, None)
        process.wants = "wants: x" if at == "question" else None
        parking.held(process, HOLD_OF_DAYS)
        assert not process.row.parking
        process.metered, process.told, process.wants = "queued", ("tool", "bash: make"), None
        parking.look(process)

    done = with_parking(Conductor(row(**HELD)), held)
    assert done == [("promise", "parking"), ("stop", "parked", "a usage window")]


def test_a_daemon_that_finds_an_intent_carries_it_out() -> None:
    found = Conductor(row(**HELD, parking=True, barred=BARRED))
    assert with_parking(found, lambda parking, process: parking.taken_over()) == [
        ("stop", "parked", "a usage window")
    ]
    undecided = Conductor(row(**HELD, barred=BARRED))
    done = with_parking(undecided, lambda parking, process: parking.taken_over())
    assert [step[0] for step in done] == ["promise", "stop"]


def test_room_wakes_the_parking_that_it_means_and_no_other() -> None:
    assert with_parking(Conductor(row(**WAITS)), lambda parking, process: parking.room(process, 5.0)) == [
        ("event", "unparked"),
        ("apply", "Unparked"),
    ]
    for fields, since_s in (({}, 4.0), ({"holds": ["user"]}, 5.0), ({"lifecycle": "queued"}, 5.0)):
        conductor = Conductor(row(**(WAITS | fields)))
        assert with_parking(conductor, lambda parking, process, at=since_s: parking.room(process, at)) == []  # type: ignore[misc]


def test_only_the_user_lets_it_go_on_and_not_above_its_share() -> None:
    share = ParkedPart(owner="window:claude/7d", what="window_share", used=0.4, budget=0.3, since_s=5.0)
    for barred, user, fault in (
        (BARRED, False, RefusedError),
        (share, True, ConflictError),
    ):
        conductor = Conductor(row(**(WAITS | {"barred": barred})))
        with pytest.raises(fault):
            with_parking(conductor, lambda parking, process, by=user: parking.let_go(process, user=by, by="x"))  # type: ignore[misc]
        assert conductor.done == []
    conductor = Conductor(row(**WAITS))
    done = with_parking(conductor, lambda parking, process: parking.let_go(process, user=True, by="by the user"))
    assert [step[-1] for step in done] == ["continued", "changed", "unparked", "Unparked"]
    assert in_front(conductor.processes[0].row, time.time() + 86400.0)


def test_without_its_environment_it_stays_and_says_so_once() -> None:
    conductor = Conductor(row(**WAITS), kept=False)

    def told(parking: Parking, process: Process) -> None:
        parking.room(process, 5.0)
        parking.room(process, 5.0)

    assert with_parking(conductor, told) == [("changed",)]
    found = conductor.processes[0].row
    assert "`aish start fix`" in (found.reason or "")
    assert found.barred is not None
    assert found.barred.stranded


HELD_LONG = HELD | {"barred": BARRED}
BEING_PARKED = {"lifecycle": "stopping", "parking": True, "barred": BARRED, "stop_reason": "parked", "pid": 7}


def test_a_word_while_it_is_being_parked_counts_as_soon_as_it_is() -> None:
    """The person was told that it goes on, and it stayed for days."""
    conductor = Conductor(row(**BEING_PARKED), row(**BEING_PARKED))

    def said(parking: Parking, process: Process) -> None:
        other = conductor.processes[1]
        parking.let_go(process, user=True, by="by the user")
        parking.switched(other, "answered by big from now on by the user")
        assert ("apply", "Unparked") not in conductor.done
        for each in conductor.processes:
            each.row.lifecycle = "parked"
            parking.look(each)

    done = with_parking(conductor, said)
    assert done[-4:] == [("event", "unparked"), ("apply", "Unparked")] * 2
    kept = Conductor(*(process.row for process in conductor.processes))
    assert with_parking(kept, lambda parking, process: parking.taken_over())[-1] == ("apply", "Unparked")


def test_a_pause_counts_over_a_word_until_it_is_lifted() -> None:
    conductor = Conductor(row(**(WAITS | {"wake": "by the user", "holds": ["user"]})))

    def looked(parking: Parking, process: Process) -> None:
        parking.look(process)
        assert conductor.done == []
        process.row.holds = []
        parking.look(process)

    assert with_parking(conductor, looked)[-1] == ("apply", "Unparked")


@pytest.mark.parametrize(
    ("changes", "expected"), [({}, False), ({"what": "window_share"}, True), ({"named": True}, True)]
)
def test_who_was_let_go_on_is_not_parked_before_the_gateway_knows(changes: dict[str, Any], *, expected: bool) -> None:
    barred = structs.replace(BARRED, **changes)
    conductor = Conductor(row(**HELD, barred=barred, in_front_until_s=time.time() + 60))
    assert bool(with_parking(conductor, lambda parking, process: parking.look(process))) is expected
    assert lets_go(barred) is not expected


def test_where_the_rule_itself_says_background_a_word_is_refused() -> None:
    """It would have been answered with success, and nothing would have followed."""
    conductor = Conductor(row(**(WAITS | {"barred": structs.replace(BARRED, named=True)})))
    with pytest.raises(ConflictError, match="by the rule itself"):
        with_parking(conductor, lambda parking, process: parking.let_go(process, user=True, by="x"))
    assert not in_front(conductor.processes[0].row, time.time())


def test_a_figure_that_wavers_parks_it_so_often_and_no_more() -> None:
    conductor = Conductor(row(**HELD_LONG))

    def wavers(parking: Parking, process: Process) -> None:
        for _ in range(PARKINGS_MOST + 2):
            process.row.parking = False
            parking.look(process)
        assert not process.row.parking
        process.row.parkings_boot_s = [each - PARKINGS_WITHIN_S for each in process.row.parkings_boot_s]
        parking.look(process)

    assert with_parking(conductor, wavers).count(("promise", "parking")) == PARKINGS_MOST + 1
    assert recent([-5.0, 100.0, 4000.0], 3650.0) == [100.0], "of another boot, and of longer ago"


def test_its_time_is_that_until_it_was_meant_to_be_parked() -> None:
    """Not that in which nobody looked; and its start is of a boot that is over, perhaps."""
    began_s = clock.boot_s() - 100.0
    conductor = Conductor(row(**HELD_LONG, start_ticks=int(began_s * clock.TICKS_PER_S), worked_s=50.0))
    with_parking(conductor, lambda parking, process: parking.look(process))
    kept = conductor.processes[0]
    assert kept.row.worked_then_s == pytest.approx(150.0, abs=5.0)
    kept.row.start_ticks = int((clock.boot_s() + 1e7) * clock.TICKS_PER_S)
    after(kept, machine.Parks())
    assert kept.row.worked_s == pytest.approx(150.0, abs=5.0)
    assert runs.ran_s(kept.row, clock.boot_s()) == kept.row.worked_s


class Anything:
    """Whatever is asked of it, it does nothing."""

    def __getattr__(self, name: str) -> Anything:
        return self

    def __call__(self, *words: object, **more: object) -> list[object]:
        return []


def after(process: Process, event: machine.LifecycleEvent) -> list[object]:
    """A run is over; who is looked at then."""
    looked: list[object] = []

    async def go() -> None:
        conductor = cast("Any", Anything())
        conductor.parking = SimpleNamespace(look=looked.append)
        Afterlife(conductor).recess(process, event)
        await asyncio.sleep(0)

    asyncio.run(go())
    return looked


@pytest.mark.parametrize(
    ("event", "stays"), [(machine.Parks(), True), (machine.Ended(1.0), True), (machine.Recurs(), False)]
)
def test_the_users_word_outlives_an_end_that_is_none(event: machine.LifecycleEvent, *, stays: bool) -> None:
    process = Process(row(**BEING_PARKED, in_front_until_s=11.0))
    assert after(process, event) == ([process] if isinstance(event, machine.Parks) else [])
    assert process.row.in_front_until_s == (11.0 if stays else None)


@pytest.mark.parametrize("reason", ["user", "memory"])
def test_who_is_let_go_on_is_looked_at(reason: Any) -> None:
    """The hold came while it was paused, and the gateway says it once: nobody would have parked it."""
    process = Process(row(**(HELD_LONG | {"holds": sorted(["budget", reason])})))
    looked: list[object] = []

    async def go() -> None:
        conductor = SimpleNamespace(
            sending=Anything(),
            changed=lambda process: None,
            parking=SimpleNamespace(look=looked.append),
            _loop=asyncio.get_running_loop(),
        )
        RealConductor.hold(cast("Any", conductor), process, reason, "lift")
        await asyncio.sleep(0)

    asyncio.run(go())
    assert looked == [process]


def test_who_waits_for_a_budget_now_is_not_parked_by_a_window_of_before() -> None:
    conductor = Conductor(row(**HELD_LONG))
    hold = Hold(number=2, id="p1", owner="p1", what="tokens", used=5, budget=5)

    def told(parking: Parking, process: Process) -> None:
        link = SimpleNamespace(conductor=SimpleNamespace(parking=parking, hold=lambda *words: False))
        GatewayLink._hold(cast("Any", link), process, hold)
        parking.look(process)

    assert with_parking(conductor, told) == []
    assert conductor.processes[0].row.barred is None


def test_it_is_ended_by_sigterm_whatever_ends_it_else() -> None:
    """A host takes SIGINT for a person who cancels the turn: then there would be none to go on with."""
    sent: list[int] = []
    sending = SimpleNamespace(reach=Anything(), send=lambda process, number: sent.append(number))
    for parking in (True, False):
        process = Process(row({"stop_signal": signal.SIGINT}, parking=parking))
        Sending.stop(cast("Any", sending), process)
    assert [number for number in sent if number != signal.SIGCONT] == [signal.SIGTERM, signal.SIGINT]


def test_a_stop_that_the_disk_did_not_take_is_no_parking() -> None:
    process = Process(row(**BEING_PARKED, wake="by the user"))

    async def names() -> list[str]:
        return [Wish("p1", 1, "cancelled", None).name]

    async def go() -> None:
        wishes = Wishes(cast("Any", SimpleNamespace(names=names)), cast("Any", Anything()))
        await wishes.take(cast("Any", {"p1": process}))

    asyncio.run(go())
    found = process.row
    assert (found.parking, found.wake, found.stop_reason) == (False, None, "cancelled")


@pytest.mark.parametrize("lifecycle", ["queued", "starting"])
def test_who_was_to_go_on_when_the_machine_went_down_is_parked_again(lifecycle: str) -> None:
    """It was lost for good, since nobody knew whether it had been started: its environment was gone."""
    process = Process(row(lifecycle="parked", parking=True, barred=BARRED, worked_then_s=9.0))
    after_unpark(process)
    process.row.lifecycle = lifecycle  # type: ignore[assignment]
    applied: list[object] = []
    daemon = cast("Any", Anything())
    daemon.reach = SimpleNamespace(tag=lambda row: "no-such-tag")
    daemon.apply = lambda process, event: applied.append(event)
    daemon.conductor = daemon

    async def go() -> None:
        daemon.parking = Parking(daemon)
        await Takeover(daemon)._unknown(process, same_estate=False)

    asyncio.run(go())
    assert applied == [machine.Parks()]
    assert machine.step(process.row.lifecycle, machine.Parks()) == machine.Step("parked", ("recess",))
    kept = process.row
    assert (kept.parking, kept.barred, kept.pid) == (True, BARRED, None)
    assert "is reserved" in (kept.reason or "")


def after_unpark(process: Process) -> None:
    async def go() -> None:
        Afterlife(cast("Any", Anything())).unpark(process)

    asyncio.run(go())
    assert not process.row.parking
    assert process.row.goes_on
