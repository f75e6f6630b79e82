"""From a plan to processes: everything is sent in start order, then waited for. Shared by up and reload."""

from __future__ import annotations

import fcntl
import os
import secrets
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from aish.cli import declared
from aish.cli.model_running import last_words, stored_name
from aish.cli.output import print_json, print_table
from aish.client import connect
from aish.client.together import together
from aish.errors import AishError, ConflictError, NotFoundError, NotRunningError, UnavailableError
from aish.model import exit as exits
from aish.model import state
from aish.project import plan as planning
from aish.project.profile import chosen
from aish.project.specify import served
from aish.report import clean, report, told
from aish.wire.message import Amend, Down, Inspect, Restart, Serve, Snapshot, Spawn, Wait
from aish.wire.reply import Inspected, Started, View, Waited

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from aish.cli.declared import Declared
    from aish.client import Client
    from aish.project.plan import Plan, Step
    from aish.wire.message import Message
    from aish.wire.part import ProcessPart
    from aish.wire.reply import Reply

_DONE = {
    planning.START: "started",
    planning.AGAIN: "started",
    planning.RESTART: "restarted",
    planning.AMEND: "amended",
    planning.KEEP: "kept",
    planning.STOP: "stopped",
}


class Outcome(msgspec.Struct):
    """What became of a step."""

    step: Step
    id: str | None = None
    state: str | None = None
    error: AishError | None = None


def planned(client: Client | None, found: Declared, options: Namespace) -> Plan:
    """Without a client nothing runs yet. Raises UsageError, NotFoundError of profiles and names."""
    project = found.project
    rows = client.ask(View, Snapshot(all=True)).processes if client is not None else []
    mine, _ = planning.current(project.path, rows)
    running = [name for name, row in mine.items() if row.lifecycle not in state.ENDED]
    taking = chosen(project, options.profile, options.name, running)
    wanted = {name: each for name, each in found.wanted.items() if name in taking}
    specs = {
        mine[name].id: client.ask(Inspected, Inspect(target=mine[name].id)).spec
        for name, each in wanted.items()
        if client is not None and name in mine and mine[name].digest != each.spec.digest
    }
    return planning.plan(project.path, wanted, project.entries, rows, specs, again=options.again)


def dry(found: Declared, options: Namespace) -> Plan:
    try:
        with connect(start=False, program=options.verb) as client:
            return planned(client, found, options)
    except NotRunningError:
        return planned(None, found, options)


def act(found: Declared, options: Namespace) -> tuple[list[Outcome], Plan]:
    """Plan and send. One at a time for a project: a second `up` finds what the first one has started."""
    with _turn(found.project.path), connect(program=options.verb) as client:
        plan = planned(client, found, options)
        check_names(plan)
        ensure_models(plan)
        outcomes = _stopped(client, found, plan) if options.stops else []
        for level in plan.levels:
            outcomes += _sent(level, options.verb, client)
        _stated(outcomes, client)
    return outcomes, plan


@contextmanager
def _turn(path: str) -> Iterator[None]:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("aish: waiting for another `aish up` of this project", file=sys.stderr, flush=True)
            fcntl.flock(fd, fcntl.LOCK_EX)
        except OSError:
            pass  # a file system without locks: names are unique all the same
        yield
    finally:
        os.close(fd)


def check_names(plan: Plan) -> None:
    """Raises ConflictError before anything is done."""
    if not plan.taken:
        return
    others = [f"{name} is {row.id}" + (f" of {row.project}" if row.project else "") for name, row in plan.taken]
    raise ConflictError(
        "names are taken by processes that this file does not declare: " + ", ".join(others),
        hint=f"end them or give them other names: `aish stop {plan.taken[0][1].id}`",
    )


def ensure_models(plan: Plan) -> None:
    """Models that are to be served are in the store, the embedded one fetched if need be. Raises NotFoundError."""
    for step in plan.steps:
        if step.wanted is not None and step.wanted.entry.stored_model and step.action != planning.KEEP:
            name = stored_name(step.name)
            if name != step.name:
                raise NotFoundError(f"the store calls the model {step.name} {name}", hint=f'write [models."{name}"]')


def _stopped(client: Client, found: Declared, plan: Plan) -> list[Outcome]:
    if not plan.stops:
        return []
    client.request(Down(project=found.project.path, targets=[step.id or step.name for step in plan.stops]))
    return [Outcome(step, id=step.id) for step in plan.stops]


def _sent(level: list[Step], verb: str, client: Client) -> list[Outcome]:
    outcomes = {step.name: Outcome(step, id=step.id) for step in level}
    requests: dict[str, Message] = {}
    for step in level:
        try:
            request = _request(step, client)
        except AishError as error:  # it has just been forgotten
            outcomes[step.name].error = error
        else:
            if request is not None:
                requests[step.name] = request
    for name, reply in together(requests, verb):
        _note(outcomes[name], reply)
    return list(outcomes.values())


def _note(outcome: Outcome, reply: Reply | AishError) -> None:
    if isinstance(reply, AishError):
        outcome.error = reply
        if isinstance(reply, UnavailableError) and reply.hint is None:
            reply.hint = _declaration(outcome.step)
    elif isinstance(reply, Started):
        outcome.id, outcome.state = reply.id, reply.state
        if reply.state == "failed":
            reason = reply.reason or "it did not start"
            outcome.error = UnavailableError(f"{reply.name} ({reply.id}): {reason}", hint=_declaration(outcome.step))


def _declaration(step: Step) -> str | None:
    """What it runs, and where that is said."""
    if step.wanted is None or not step.wanted.spec.argv:
        return None
    entry = step.wanted.entry
    place = f"{entry.document.shown}:{entry.document.line((*entry.at, 'command')) or 1}"
    return f"{place}: {clean(os.fsdecode(step.wanted.spec.argv[0]))}"


def _request(step: Step, client: Client) -> Message | None:
    wanted = step.wanted
    if wanted is None or step.action == planning.KEEP:
        return None
    spec = wanted.spec
    if wanted.entry.stored_model and step.action in (planning.START, planning.AGAIN):
        return Serve(model=step.name, vram_bytes=spec.vram_bytes, launch=declared.surroundings(wanted), spec=spec)
    if step.id is None:
        return Spawn(token=secrets.token_hex(16), spec=spec, launch=declared.surroundings(wanted))
    if wanted.entry.stored_model:
        spec = served(client.ask(Inspected, Inspect(target=step.id)).spec, spec)
    if step.action == planning.AMEND:
        return Amend(target=step.id, spec=spec)
    return Restart(target=step.id, launch=declared.surroundings(wanted), spec=spec)


def _stated(outcomes: list[Outcome], client: Client) -> dict[str, ProcessPart]:
    """Note the state that each is in; all rows, by id."""
    rows = {row.id: row for row in client.ask(View, Snapshot(all=True)).processes}
    for outcome in outcomes:
        row = rows.get(outcome.id or "")
        outcome.state = row.state if row is not None else outcome.state
    return rows


# --- waiting ----------------------------------------------------------------------------------------------------


def wait(outcomes: list[Outcome], found: Declared, options: Namespace) -> None:
    """Until all are ready, or have completed where another one needs that; errors and states go into `outcomes`."""
    completing = {
        need.name for each in found.wanted.values() for need in each.spec.needs if need.until == "completed"
    }
    waiting = {
        outcome.step.name: outcome
        for outcome in outcomes
        if outcome.error is None and outcome.id is not None and _waits(outcome.step)
    }
    requests: dict[str, Message] = {
        name: Wait(target=outcome.id or name, until="ended" if name in completing else "ready")
        for name, outcome in waiting.items()
    }
    deadline_s = None if options.timeout is None else time.monotonic() + options.timeout
    progress = _Progress(options.verb)
    for name, reply in together(requests, options.verb, deadline_s=deadline_s, silent=progress):
        outcome = waiting.pop(name)
        if isinstance(reply, AishError):
            outcome.error = reply
        elif isinstance(reply, Waited):
            _ended(outcome, reply, options.verb)
    with connect(program=options.verb) as client:
        rows = _stated(outcomes, client)
    for name, outcome in waiting.items():
        row = rows.get(outcome.id or "")
        why = f": {_why(row)}" if row is not None and _why(row) else ""
        outcome.error = UnavailableError(
            f"{name} ({outcome.id}) is {outcome.state} after {options.timeout:g} s{why}",
            hint=f"it goes on; its output: `aish logs {name}`",
        )


def _waits(step: Step) -> bool:
    """One with a schedule is ready when it is there."""
    return step.wanted is not None and step.wanted.entry.section != "schedules"


def _ended(outcome: Outcome, waited: Waited, verb: str) -> None:
    end = waited.exit
    step = outcome.step
    if end is None and waited.state not in ("failed", "lost"):
        return
    if end is not None and end.code == 0 and waited.state == "exited":
        return
    with connect(program=verb) as client:
        rows = client.ask(View, Snapshot(all=True)).processes
        row = next((row for row in rows if row.id == waited.id), None)
        last = last_words(client, waited.id)
    why = row.reason if row is not None and row.reason else None
    how = why or (f"signal {end.signal}" if end and end.signal else f"status {end.code if end else 'unknown'}")
    never_ran = end is not None and end.reason == exits.START
    outcome.error = UnavailableError(
        f"{step.name} ({waited.id}) has ended: {how}" + (f": {last}" if last else ""),
        hint=(_declaration(step) if never_ran else None) or f"its output: `aish logs {step.name}`",
    )


class _Progress:
    """On a terminal: what is waited for, whenever that has changed and nothing else was said."""

    def __init__(self, verb: str) -> None:
        self._verb = verb
        self._said: dict[str, str] = {}

    def __call__(self, names: list[str]) -> None:
        if not sys.stderr.isatty():
            return
        with connect(program=self._verb) as client:
            rows = {row.name: row for row in client.ask(View, Snapshot()).processes}
        for name in names:
            text = _why(rows.get(name)) or "is awaited"
            if self._said.get(name) != text:
                self._said[name] = text
                print(clean(f"aish {self._verb}: {name}: {text}"), file=sys.stderr, flush=True)


def _why(row: ProcessPart | None) -> str:
    if row is None:
        return ""
    return row.reason or row.doing or row.state


# --- telling ----------------------------------------------------------------------------------------------------


def tell_plan(plan: Plan, options: Namespace) -> int:
    steps = plan.steps if options.stops else [step for level in plan.levels for step in level]
    if options.json:
        print_json([_step(step) for step in steps])
    else:
        lines = [(_word(step), step.name, step.id or "-", step.reason) for step in steps]
        if lines:
            print_table(("STEP", "NAME", "ID", "WHY"), lines)
        tell_left(plan, options)
    if plan.taken:
        check_names(plan)
    return 0


def _word(step: Step) -> str:
    return planning.START if step.action == planning.AGAIN else step.action


def _step(step: Step) -> dict[str, object]:
    return {"name": step.name, "id": step.id, "step": _word(step), "reason": step.reason}


def tell_left(plan: Plan, options: Namespace) -> None:
    if plan.stops and not options.stops:
        names = ", ".join(step.name for step in plan.stops)
        print(clean(f"aish {options.verb}: no longer declared, still there: {names}"), file=sys.stderr)
        print("  `aish reload` ends them", file=sys.stderr)


def tell(outcomes: list[Outcome], options: Namespace) -> int:
    """A line for each; errors on stderr. The exit status: 1 if one has failed."""
    failed = [outcome.error for outcome in outcomes if outcome.error is not None]
    if options.json:
        print_json(
            [
                _step(each.step)
                | {
                    "id": each.id,
                    "state": each.state,
                    "changed": each.step.action != planning.KEEP and each.error is None,
                    "error": None if each.error is None else told(each.error),
                }
                for each in outcomes
            ]
        )
    else:
        lines = [
            (each.step.name, each.id or "-", "failed" if each.error else _DONE[each.step.action], each.state or "-")
            for each in outcomes
        ]
        if lines:
            print_table(("NAME", "ID", "WHAT", "STATE"), lines)
            sys.stdout.flush()
        for error in failed:
            report(f"aish {options.verb}", error)
    return 1 if failed else 0
