"""A new process goes on from a checkpoint: what fork and restore share."""

from __future__ import annotations

import secrets
import sys
from typing import TYPE_CHECKING, NamedTuple

from aish.agents.checkpoints import going_on, rewinding, splitting
from aish.agents.checkpoints.splitting import Share
from aish.agents.checkpoints.taking import snapshot_of
from aish.cli import worktree
from aish.cli.output import print_json
from aish.client import launch
from aish.client.stage import not_started
from aish.errors import UsageError
from aish.report import clean
from aish.wire import budget
from aish.wire.message import BudgetQuery, Snapshot, Spawn
from aish.wire.part import TokensPart
from aish.wire.reply import Budgets, Started, View
from aish.worktree import starting

if TYPE_CHECKING:
    from argparse import Namespace

    from aish.agents.checkpoints.checkpoint import Checkpoint
    from aish.cli.arguments import Parser
    from aish.cli.boundary import Found
    from aish.client import Client
    from aish.wire.spec import LaunchPart, SpecPart


class Wish(NamedTuple):
    """`name` None: that of the other one, with a number where it is taken. `all`: of what is left of the budget."""

    verb: str
    name: str | None
    budget: str | None
    all: bool


def options(parser: Parser) -> None:
    parser.add_argument("--as", dest="name", metavar="NAME", help="what the new process is called")
    parser.add_argument("--budget", metavar="LIMITS", help="what it gets of what is left: 50k, or tokens=50k,usd=2")


def begin(client: Client, source: Found, wanted: Checkpoint, wish: Wish) -> Started:
    """Raises AishError; then there is no new process, and no worktree."""
    rewinding.check(wanted)
    spec, name = source.inspected.spec, source.inspected.process.name
    share = splitting.share(spec, _used(client, source), _asked(wish), all=wish.all, name=name)
    part = going_on.spec(spec, wanted, wish.name or name, share)
    surroundings = launch.capture()
    if wanted.worktree is None:
        return _spawned(client, source, part, surroundings, wish)
    tell = worktree.teller(f"aish {wish.verb}")
    start = snapshot_of(wanted.worktree)
    with starting.given(part, surroundings, named=wish.name is not None or wish.all, start=start, tell=tell) as given:
        return _spawned(client, source, given.part, given.launch, wish)


def _spawned(client: Client, source: Found, part: SpecPart, surroundings: LaunchPart, wish: Wish) -> Started:
    request = Spawn(
        token=secrets.token_hex(16),
        spec=part,
        launch=surroundings,
        rename=wish.name is None,
        budget_of=source.inspected.process.id,
    )
    return client.ask(Started, request)


def _asked(wish: Wish) -> Share | None:
    """Raises UsageError."""
    if wish.budget is None:
        return None
    asked = budget.parse(wish.budget, "--budget")
    if asked.wall_s is not None:
        raise UsageError("--budget wall is not split: each may run as long as it may")
    return Share(asked.tokens, asked.part)


def _used(client: Client, source: Found) -> dict[str, float]:
    """By the words of a budget, of the agent with all below it; what is promised to requests under way counts."""
    spec, row = source.inspected.spec, source.inspected.process
    if spec.budget_tokens is None and spec.budget is None:
        return {}
    if not source.over:
        lines = client.ask(Budgets, BudgetQuery(target=row.id)).lines
        return {line.word: (line.used or 0) + line.promised for line in lines if line.account == row.id}
    rows = {each.id: each for each in client.ask(View, Snapshot(all=True, figures=False)).processes}
    sums = dict.fromkeys(splitting.used_by(TokensPart()), 0.0)
    for each in rows.values():
        above, seen = each.id, set[str]()
        while above in rows and above != row.id and above not in seen:
            seen.add(above)
            above = rows[above].parent or ""
        if above == row.id and each.tokens is not None:
            sums = {word: value + splitting.used_by(each.tokens)[word] for word, value in sums.items()}
    return sums


def told(wish: Wish, started: Started, wanted: Checkpoint, wanted_options: Namespace) -> int:
    """The exit status."""
    if wanted_options.json:
        print_json(
            {"id": started.id, "name": started.name, "from": wanted.id, "turn": wanted.turn, "exact": wanted.exact}
        )
    if started.came_to_nothing:
        return not_started(f"aish {wish.verb}", started).code or 0
    if not wanted_options.json:
        print(f"{started.id}  {clean(started.name)}  from {wanted.id}, turn {wanted.turn}")
        for part, why in wanted.missing.items():
            print(clean(f"aish {wish.verb}: {part}: {why}"), file=sys.stderr)
    return 0
