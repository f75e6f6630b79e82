"""The transition tables: complete, and true to a few laws whatever happens in whatever order."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from aish.model import state
from aish.supervisor.daemon import machine, row, tables
from aish.supervisor.daemon.machine import LifecycleEvent, Step

EVENTS: tuple[LifecycleEvent, ...] = tables.EVENTS


def test_every_kind_of_event_is_tried() -> None:
    """A new event without a place in the list would be tested by nobody."""
    assert {type(event) for event in EVENTS} == set(get_args(LifecycleEvent))


@pytest.mark.parametrize("lifecycle", state.LIFECYCLES)
@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_every_pair_has_a_row(lifecycle: state.Lifecycle, event: LifecycleEvent) -> None:
    """A fall-through would return None or stay silent."""
    step = machine.step(lifecycle, event)
    assert isinstance(step, Step)
    assert step.state in state.LIFECYCLES
    if step.outcome != "moved":
        assert step.state == lifecycle
        assert step.effects == ()


@pytest.mark.parametrize("lifecycle", sorted(state.ENDED))
@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_nothing_rises_from_the_dead(lifecycle: state.Lifecycle, event: LifecycleEvent) -> None:
    """An ended process that a late message brings back would run with nobody's consent: only a person's word does."""
    after = machine.step(lifecycle, event)
    if event == machine.StartRequested():
        assert (after.state, after.effects) == ("queued", ("revive", "renew", "enqueue"))
    elif event == machine.StartRequested(later=True):
        assert (after.state, after.effects) == ("scheduled", ("revive", "renew", "schedule"))
    else:
        assert after.state in state.ENDED


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_a_stop_is_final(event: LifecycleEvent) -> None:
    """Stop during start, or a restart policy of 'always', must not resurrect (circus #935). Only a run of a schedule
    that took too long is followed by another, and only what a usage window stopped goes on: what tells these from a
    stop is aish.supervisor.daemon.verdict."""
    after = {machine.Recurs(): "scheduled", machine.Parks(): "parked"}.get(event, "stopping")
    assert machine.step("stopping", event).state in state.ENDED | {after, "stopping"}


def test_every_end_settles_once() -> None:
    """Each way into an ended state gives back devices, names and files, exactly once."""
    for lifecycle in state.LIFECYCLES:
        for event in EVENTS:
            step = machine.step(lifecycle, event)
            entered = step.state in state.ENDED and step.outcome == "moved"
            assert step.effects.count("settle") == (1 if entered else 0), (lifecycle, event)


def test_stop_during_start_is_remembered_until_it_is_there() -> None:
    first = machine.step("starting", machine.StopRequested())
    assert first == Step("stopping", ("grace",))
    assert machine.step("stopping", machine.Spawned()).effects == ("began", "stop-signal", "grace")


def test_stop_during_backoff_does_not_start_it_again() -> None:
    assert machine.step("backoff", machine.StopRequested()).state == "exited"
    assert machine.step("exited", machine.BackoffElapsed()).outcome == "ignored"


@pytest.mark.parametrize("waiting", ["scheduled", "queued", "backoff"])
def test_a_stop_while_it_waits_is_no_failure(waiting: state.Lifecycle) -> None:
    """Fault: one that waited in the queue became 'failed', so who looked for failures found his own stops."""
    assert machine.step(waiting, machine.StopRequested()) == Step("exited", ("settle",))
    assert machine.step(waiting, machine.StopRequested(at_once=True)) == Step("exited", ("settle",))


def test_readiness_is_complete_and_a_model_is_not_ready_before_its_probe() -> None:
    for ready in state.READY:
        for event in machine.READY_EVENTS:
            assert machine.ready_step(ready, event) in state.READY
        assert machine.ready_step(ready, "began-model") == "no"
        assert machine.ready_step(ready, "ended") == "unknown"
    assert machine.ready_step("yes", "probe-unknown") == "unknown"


def test_holds_are_complete_and_lifted_only_by_their_own_reason() -> None:
    for held in ((), ("user",), ("budget",), ("user", "budget"), state.HOLDS):
        for reason in state.HOLDS:
            for event in machine.HOLD_EVENTS:
                step = machine.hold_step(frozenset(held), reason, event)
                if event == "ended":
                    assert step.holds == frozenset()
                elif event == "put":
                    assert step.holds == frozenset(held) | {reason}
                else:
                    assert step.holds == frozenset(held) - {reason}
                assert step.changed == (step.holds != frozenset(held))


def test_a_process_held_twice_thaws_once_both_are_lifted() -> None:
    both = frozenset({"user", "operator"})
    assert machine.hold_step(both, "user", "lift").effect is None
    assert machine.hold_step(frozenset({"operator"}), "operator", "lift").effect == "thaw"


def test_a_spent_budget_does_not_stop_the_process_itself() -> None:
    assert machine.hold_step(frozenset(), "budget", "put").effect is None


def test_the_words_of_the_row_are_those_of_the_model() -> None:
    """row.py repeats them because msgspec needs them at run time."""
    assert set(get_args(row.Lifecycle)) == set(state.LIFECYCLES)
    assert set(get_args(row.Ready)) == set(state.READY)
    assert set(get_args(row.Hold)) == set(state.HOLDS)


class Life(RuleBasedStateMachine):
    """Any order of events: one process, and what its effects promised."""

    def __init__(self) -> None:
        super().__init__()
        self.state: state.Lifecycle = "queued"
        self.settled = 0
        self.stopped = False
        self.starts_after_stop = 0

    @rule(event=st.sampled_from(EVENTS))
    def happens(self, event: LifecycleEvent) -> None:
        before = self.state
        step = machine.step(before, event)
        self.state = step.state
        self.settled += step.effects.count("settle")
        if "revive" in step.effects:
            self.settled, self.stopped = 0, False  # another life
        elif before == "stopping" and event == machine.Recurs():
            self.stopped = False  # it was this run that was stopped
        elif before == "lost" and step.outcome == "moved":
            self.settled -= 1  # a status that came to light settles a second time, on purpose
        if self.stopped and "launch" in step.effects:
            self.starts_after_stop += 1
        if isinstance(event, machine.StopRequested) and step.outcome == "moved":
            self.stopped = True

    @invariant()
    def settled_exactly_when_ended(self) -> None:
        assert self.settled == (1 if self.state in state.ENDED else 0)

    @invariant()
    def never_started_after_a_stop(self) -> None:
        assert self.starts_after_stop == 0


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
