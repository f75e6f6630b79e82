"""How a plan, its progress and what became of it are shown. Shared by up and reload."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final

from aish.cli.output import print_json, print_table
from aish.client import connect
from aish.config import project_file
from aish.errors import UnavailableError
from aish.project import bringing
from aish.project import plan as planning
from aish.report import clean, report, told
from aish.wire.message import Snapshot
from aish.wire.reply import View

if TYPE_CHECKING:
    from argparse import Namespace

    from aish.client.patience import Patience
    from aish.project.entry import Project
    from aish.project.plan import Plan, Step


LONG_S: Final = 10.0
"""Where nobody sits at a terminal, only what has been so for so long is said: a refused key, not each step."""


class Progress:
    """What is waited for, whenever that has changed and nothing else was said. `patience` looks."""

    def __init__(self, verb: str, patience: Patience) -> None:
        self.verb, self.patience = verb, patience
        self._seen: dict[str, tuple[str, float]] = {}
        """What each was at when it was last looked at, and since when."""
        self._said: dict[str, str] = {}

    def __call__(self, names: list[str]) -> None:
        self.patience.look()
        least_s = 0.0 if sys.stderr.isatty() else LONG_S
        try:
            with connect(program=self.verb) as client:
                rows = {row.name: row for row in client.ask(View, Snapshot()).processes}
        except UnavailableError:
            return  # who stands still is told when the time is over: it may go on until then
        for name in names:
            text, now_s = bringing.why_of(rows.get(name)) or "is awaited", time.monotonic()
            if name not in self._seen or self._seen[name][0] != text:
                self._seen[name] = text, now_s
            if self._said.get(name) != text and now_s - self._seen[name][1] >= least_s:
                self._said[name] = text
                print(clean(f"aish {self.verb}: {name}: {text}"), file=sys.stderr, flush=True)


def tell_plan(plan: Plan, project: Project, options: Namespace) -> int:
    steps = plan.steps if options.stops else [step for level in plan.levels for step in level]
    if options.json:
        print_json([_step(step) for step in steps])
    else:
        lines = [(_word(step), step.name, step.id or "-", step.reason) for step in steps]
        if lines:
            print_table(("STEP", "NAME", "ID", "WHY"), lines)
        else:
            _tell_none(project, options)
        tell_left(plan, options)
    if plan.taken:
        bringing.check_names(plan)
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


def _tell_none(project: Project, options: Namespace) -> None:
    """Silence would look like success to who has mistaken the file."""
    profiles = ", ".join(sorted(project.profiles))
    text = f"{project_file.shown(project.path)} declares nothing" + (" without a profile" if profiles else "")
    print(clean(f"aish {options.verb}: {text}"), file=sys.stderr)
    if profiles:
        print(clean(f"  --profile: {profiles}"), file=sys.stderr)


def tell(outcomes: list[bringing.Outcome], project: Project, options: Namespace) -> int:
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
        lines = [(each.name, each.id or "-", each.what, each.state or "-") for each in outcomes]
        if lines:
            print_table(("NAME", "ID", "WHAT", "STATE"), lines)
            sys.stdout.flush()
        else:
            _tell_none(project, options)
        for error in failed:
            report(f"aish {options.verb}", error)
    return 1 if failed else 0
