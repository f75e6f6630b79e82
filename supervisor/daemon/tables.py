"""The tables of machine.py as text: what docs/reference/states.md shows. Run as a module it prints the page."""

from __future__ import annotations

from typing import Final

from aish.model import state
from aish.supervisor.daemon import authority, machine
from aish.supervisor.daemon.machine import LifecycleEvent

EVENTS: Final[tuple[LifecycleEvent, ...]] = (
    machine.Admitted(),
    machine.Refused(),
    machine.Spawned(),
    machine.Adopted(),
    machine.SpawnFailed(),
    machine.Exited(),
    machine.Vanished(),
    machine.Ended(),
    machine.Recurs(),
    machine.Parks(),
    machine.Unparked(),
    machine.Looped(),
    machine.StopRequested(),
    machine.StopRequested(at_once=True),
    machine.LeaderEnded(),
    machine.GraceElapsed(),
    machine.Finished(),
    machine.StartRequested(),
    machine.StartRequested(later=True),
    machine.Due(),
    machine.BackoffElapsed(),
    machine.Missing(),
)

_INTRODUCTION: Final = """\
# States

Generated from the tables in `aish.supervisor.daemon.machine` and the words in `aish.model.state` by
`python -m aish.supervisor.daemon.tables`; a test compares. No other words are used anywhere.

A process has four values. The one word that ps, top and `--json` show is made of them by `aish.model.state.word`.

| value | words |
|---|---|
"""

_LIFECYCLE: Final = """\
In bold the state after the event, then the effects in order. `.`: nothing happens (a late timer, a report told
again). `!`: it cannot happen; it is recorded as a fault of aish and changes nothing.

"""
_EFFECTS: Final = """
Effects: launch (journal the intent, have the holder spawn it), began (note pid and times), stop-signal (its
stop signal to its group, then SIGCONT), kill (SIGKILL to its group), grace and backoff (arm the timer), again
(its restart policy starts it: counted), revive (its name is taken again), unpark (what was parked goes on), renew
(a run whose counts begin afresh), schedule (wait for its next time), enqueue (ask for admission), watch (a pidfd:
it lives outside the holder), recess (between two runs: give back devices and port), settle (ended for good: give
back everything).
"""
_AUTHORITY: Final = """
## Authority

Columns: what the target is to the caller. A request without a target counts as `self` for a supervised process; it
then sees or changes its own subtree only.

"""


def event_name(event: LifecycleEvent) -> str:
    name = type(event).__name__
    match event:
        case machine.StopRequested(at_once=True):
            return f"{name}, at once"
        case machine.StartRequested(later=True):
            return f"{name}, with a schedule"
        case _:
            return name


def lifecycle_table() -> str:
    """Rows: events; columns: states. A cell is the state after it and the effects; '.' ignored, '!' a fault."""
    lines = ["| event | " + " | ".join(state.LIFECYCLES) + " |", "|---" * (len(state.LIFECYCLES) + 1) + "|"]
    for event in EVENTS:
        cells = []
        for lifecycle in state.LIFECYCLES:
            step = machine.step(lifecycle, event)
            match step.outcome:
                case "ignored":
                    cells.append(".")
                case "fault":
                    cells.append("!")
                case "moved":
                    cells.append(" ".join([f"**{step.state}**", *step.effects]))
        lines.append(f"| {event_name(event)} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def ready_table() -> str:
    lines = ["| event | " + " | ".join(state.READY) + " |", "|---" * (len(state.READY) + 1) + "|"]
    for event in machine.READY_EVENTS:
        cells = [machine.ready_step(ready, event) for ready in state.READY]
        lines.append(f"| {event} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def hold_table() -> str:
    lines = ["| hold | put by | lifted by | the process itself | its requests |", "|---|---|---|---|---|"]
    who = {
        state.USER: ("`aish pause`", "`aish cont`"),
        state.BUDGET: (
            "the gateway, when a budget is spent or a usage window reserved",
            "a raised budget, another day, the window's next beginning",
        ),
        state.MEMORY: ("its limit of memory, with `--on-oom hold`", "a changed limit (`aish limit NAME memory=…`)"),
        state.OPERATOR: ("nobody yet: kept for GPU memory that a person has to free", "nobody yet"),
    }
    for hold in state.HOLDS:
        stands = "stands still (SIGSTOP)" if machine.freezes(frozenset({hold})) else "runs"
        if stands == "runs" and machine.freezes(frozenset({hold}), observed=True):
            stands = "runs; stands still where it is observed"
        lines.append(f"| {hold} | {who[hold][0]} | {who[hold][1]} | {stands} | wait |")
    return "\n".join(lines) + "\n"


def word_table() -> str:
    """Every word with the values that give it."""
    meanings: dict[str, list[str]] = {word: [] for word in state.WORDS}
    for lifecycle in state.LIFECYCLES:
        if lifecycle != state.RUNNING:
            meanings[lifecycle].append(f"lifecycle {lifecycle}")
    for hold in state.HOLDS:
        meanings[state.word(state.RUNNING, state.YES, frozenset({hold}), None)].append(f"running, held: {hold}")
    meanings[state.word(state.RUNNING, state.NO, frozenset(), None)].append("running, ready: no")
    for activity in (None, *state.ACTIVITIES):
        word = state.word(state.RUNNING, state.YES, frozenset(), activity)
        meanings[word].append(f"running, activity: {activity or 'not known'}")
    lines = ["| word | values |", "|---|---|"]
    lines += [f"| {word} | {'; '.join(values)} |" for word, values in meanings.items()]
    return "\n".join(lines) + "\n"


def authority_table() -> str:
    lines = ["| request | " + " | ".join(authority.RELATIONS) + " |", "|---" * (len(authority.RELATIONS) + 1) + "|"]
    for op in authority.ALLOWED:
        cells = ["yes" if authority.decide(op, related) else "" for related in authority.RELATIONS]
        lines.append(f"| {op} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def page() -> str:
    """docs/reference/states.md in full."""
    values = [
        ("lifecycle", state.LIFECYCLES),
        ("ready", state.READY),
        ("holds", state.HOLDS),
        ("activity", state.ACTIVITIES),
    ]
    return (
        _INTRODUCTION
        + "".join(f"| {name} | {', '.join(words)} |\n" for name, words in values)
        + "\n## The words that people see\n\n"
        + word_table()
        + "\n## Lifecycle\n\n"
        + _LIFECYCLE
        + lifecycle_table()
        + _EFFECTS
        + "\n## Readiness\n\nColumns: readiness before; cells: after.\n\n"
        + ready_table()
        + "\n## Holds\n\nA process is held while the set is not empty.\n\n"
        + hold_table()
        + _AUTHORITY
        + authority_table()
    )


if __name__ == "__main__":
    print(page(), end="")
