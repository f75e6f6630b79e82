"""From a plan to processes: everything is sent in start order, then waited for. Generators, as aish.client.asks."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from aish.client.call import Call, Together, ask
from aish.client.last_words import last_words
from aish.errors import AishError, ConflictError, NotFoundError, NotRunningError, UnavailableError
from aish.model import exit as exits
from aish.model import state
from aish.project import declared, specify
from aish.project import plan as planning
from aish.project.profile import chosen
from aish.project.specify import served
from aish.report import clean
from aish.wire import account, budget
from aish.wire.message import Amend, Down, Inspect, Limit, Restart, Serve, Snapshot, Spawn, Wait
from aish.wire.reply import Done, Inspected, Started, View, Waited
from aish.wire.spec import BudgetPart

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aish.client.call import Asks
    from aish.project.declared import Declared
    from aish.project.plan import Plan, Step
    from aish.wire.message import Message
    from aish.wire.part import ProcessPart

_DONE: Final = {
    planning.START: "started",
    planning.AGAIN: "started",
    planning.RESTART: "restarted",
    planning.AMEND: "amended",
    planning.KEEP: "kept",
    planning.STOP: "stopped",
}


class Asked(NamedTuple):
    """What is to be brought up: only these `names` and what they need, else what has no profile or one of these.

    `again`: what has ended successfully runs once more. `stops`: what is not declared any more ends."""

    names: Sequence[str] = ()
    profiles: Sequence[str] = ()
    again: bool = False
    stops: bool = False


class Outcome(msgspec.Struct):
    """What became of a step."""

    step: Step
    id: str | None = None
    state: str | None = None
    """The word that ps shows, when all was ready or waited for in vain."""
    error: AishError | None = None
    late: bool = False
    """It was not ready in time, and goes on."""

    @property
    def name(self) -> str:
        return self.step.name

    @property
    def what(self) -> str:
        """started, restarted, amended, kept, stopped; late, or failed."""
        if self.late:
            return "late"
        return "failed" if self.error is not None else _DONE[self.step.action]


def planned(found: Declared, asked: Asked) -> Asks[Plan]:
    """Where no supervisor runs, nothing is there yet. Raises UsageError, NotFoundError of profiles and names."""
    project = found.project
    try:
        rows = (yield from ask(View, Snapshot(all=True))).processes
    except NotRunningError:
        rows = []
    mine, _ = planning.current(project.path, rows)
    running = [name for name, row in mine.items() if row.lifecycle not in state.ENDED]
    taking = chosen(project, asked.profiles, asked.names, running)
    wanted = {name: each for name, each in found.wanted.items() if name in taking}
    specs = {}
    for name, each in wanted.items():
        if name in mine and mine[name].digest != each.spec.digest:
            specs[mine[name].id] = (yield from ask(Inspected, Inspect(target=mine[name].id))).spec
    return planning.plan(project.path, wanted, project.entries, rows, specs, again=asked.again)


def act(found: Declared, asked: Asked, stored: Callable[[str], str]) -> Asks[tuple[list[Outcome], Plan]]:
    """Plan and send, in a turn of aish.project.turn. `stored`: what the store calls a model that is to be served.

    Raises ConflictError, NotFoundError before anything is done; later errors are those of outcomes."""
    plan = yield from planned(found, asked)
    check_names(plan)
    ensure_models(plan, stored)
    yield from _budgeted(found)
    outcomes = (yield from _stopped(found, plan)) if asked.stops else []
    for level in plan.levels:
        outcomes += yield from _sent(level)
    yield from _stated(outcomes)
    return outcomes, plan


def _budgeted(found: Declared) -> Asks[None]:
    """What the file says of the project's budget counts before anything is started. Raises RefusedError."""
    values = found.project.budget
    tokens, part = values.get("tokens"), specify.budget_of(values)
    yield from ask(
        Done,
        Limit(
            target=account.PROJECT + found.project.path,
            tokens=None if tokens is None else str(tokens),
            budget=budget.told(part or BudgetPart()),
            anew=True,
        ),
    )


def check_names(plan: Plan) -> None:
    """Raises ConflictError before anything is done."""
    if not plan.taken:
        return
    others = [f"{name} is {row.id}" + (f" of {row.project}" if row.project else "") for name, row in plan.taken]
    raise ConflictError(
        "names are taken by processes that this file does not declare: " + ", ".join(others),
        hint=f"end them or give them other names: `aish stop {plan.taken[0][1].id}`",
    )


def ensure_models(plan: Plan, stored: Callable[[str], str]) -> None:
    """Models that are to be served are in the store. Raises NotFoundError."""
    for step in plan.steps:
        if step.wanted is not None and step.wanted.entry.stored_model and step.action != planning.KEEP:
            name = stored(step.name)
            if name != step.name:
                raise NotFoundError(f"the store calls the model {step.name} {name}", hint=f'write [models."{name}"]')


def _stopped(found: Declared, plan: Plan) -> Asks[list[Outcome]]:
    if not plan.stops:
        return []
    yield Call(Down(project=found.project.path, targets=[step.id or step.name for step in plan.stops]))
    return [Outcome(step, id=step.id) for step in plan.stops]


def _sent(level: list[Step]) -> Asks[list[Outcome]]:
    outcomes = {step.name: Outcome(step, id=step.id) for step in level}
    requests: dict[str, Message] = {}
    for step in level:
        try:
            request = yield from _request(step)
        except AishError as error:  # it has just been forgotten
            outcomes[step.name].error = error
        else:
            if request is not None:
                requests[step.name] = request
    answers = yield Together(requests)
    for name, reply in answers.items():
        _note(outcomes[name], reply)
    return list(outcomes.values())


def _note(outcome: Outcome, reply: object) -> None:
    if isinstance(reply, AishError):
        outcome.error = reply
        if isinstance(reply, UnavailableError) and reply.hint is None:
            reply.hint = _declaration(outcome.step)
    elif isinstance(reply, Started):
        outcome.id, outcome.state = reply.id, reply.state
        if reply.came_to_nothing:
            reason = reply.reason or "it did not start"
            outcome.error = UnavailableError(f"{reply.name} ({reply.id}): {reason}", hint=_declaration(outcome.step))


def _declaration(step: Step) -> str | None:
    """What it runs, and where that is said."""
    if step.wanted is None or not step.wanted.spec.argv:
        return None
    entry = step.wanted.entry
    place = f"{entry.document.shown}:{entry.document.line((*entry.at, 'command')) or 1}"
    return f"{place}: {clean(os.fsdecode(step.wanted.spec.argv[0]))}"


def _request(step: Step) -> Asks[Message | None]:
    wanted = step.wanted
    if wanted is None or step.action == planning.KEEP:
        return None
    spec = wanted.spec
    if wanted.entry.stored_model and step.action in (planning.START, planning.AGAIN):
        return Serve(model=step.name, vram_bytes=spec.vram_bytes, launch=declared.surroundings(wanted), spec=spec)
    if step.id is None:
        return Spawn(token=secrets.token_hex(16), spec=spec, launch=declared.surroundings(wanted))
    if wanted.entry.stored_model:
        spec = served((yield from ask(Inspected, Inspect(target=step.id))).spec, spec)
    if step.action == planning.AMEND:
        return Amend(target=step.id, spec=spec)
    return Restart(target=step.id, launch=declared.surroundings(wanted), spec=spec)


def _stated(outcomes: list[Outcome]) -> Asks[dict[str, ProcessPart]]:
    """Note the state that each is in; all rows, by id."""
    rows = {row.id: row for row in (yield from ask(View, Snapshot(all=True))).processes}
    for outcome in outcomes:
        row = rows.get(outcome.id or "")
        outcome.state = row.state if row is not None else outcome.state
    return rows


# --- waiting ----------------------------------------------------------------------------------------------------


def wait(outcomes: list[Outcome], found: Declared, timeout_s: float | None) -> Asks[None]:
    """Until all are ready, or have completed where another one needs that; errors and states go into `outcomes`."""
    completing = {
        need.name for each in found.wanted.values() for need in each.spec.needs if need.until == "completed"
    }
    waiting = {
        outcome.name: outcome
        for outcome in outcomes
        if outcome.error is None and outcome.id is not None and _waits(outcome.step)
    }
    requests: dict[str, Message] = {
        name: Wait(target=outcome.id or name, until="ended" if name in completing else "ready")
        for name, outcome in waiting.items()
    }
    answers = yield Together(requests, timeout_s)
    rows = yield from _stated(outcomes)
    for name, reply in answers.items():
        outcome = waiting.pop(name)
        if isinstance(reply, AishError):
            outcome.error = reply
        elif isinstance(reply, Waited):
            yield from _ended(outcome, reply, rows.get(reply.id))
    for name, outcome in waiting.items():
        row = rows.get(outcome.id or "")
        why = f": {why_of(row)}" if row is not None and why_of(row) else ""
        outcome.late = True
        outcome.error = UnavailableError(
            f"{name} ({outcome.id}) is {outcome.state} after {timeout_s or 0:g} s{why}",
            hint=f"it goes on; its output: `aish logs {name}`",
        )


def _waits(step: Step) -> bool:
    """One with a schedule is ready when it is there."""
    return step.wanted is not None and step.wanted.entry.section != "schedules"


def _ended(outcome: Outcome, waited: Waited, row: ProcessPart | None) -> Asks[None]:
    end = waited.exit
    step = outcome.step
    if end is None and waited.state not in ("failed", "lost"):
        return
    if end is not None and end.code == 0 and waited.state == "exited":
        return
    last = yield from last_words(waited.id)
    why = row.reason if row is not None and row.reason else None
    how = why or (f"signal {end.signal}" if end and end.signal else f"status {end.code if end else 'unknown'}")
    never_ran = end is not None and end.reason == exits.START
    outcome.error = UnavailableError(
        f"{step.name} ({waited.id}) has ended: {how}" + (f": {last}" if last else ""),
        hint=(_declaration(step) if never_ran else None) or f"its output: `aish logs {step.name}`",
    )


def why_of(row: ProcessPart | None) -> str:
    """What it is at, in a few words; '' where it is not there."""
    if row is None:
        return ""
    return row.reason or row.doing or row.state
