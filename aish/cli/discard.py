"""`aish discard`: an agent's worktree and branch go, whatever is in them. Its own verb: what throws work away is no
option of the one that keeps it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from aish.cli import worktree
from aish.cli.arguments import Parser, json_option
from aish.cli.each import for_each
from aish.errors import ConflictError
from aish.report import clean
from aish.worktree import recovery, removal
from aish.worktree.record import LANDING
from aish.worktree.residents import residents

if TYPE_CHECKING:
    from aish.worktree.record import Record
    from aish.worktree.removal import Lost

_SHOWN_MOST = 10


def main(argv: list[str]) -> int:
    parser = Parser(
        "discard",
        "Remove the git worktrees of agents, and their branches. What only they have (commits, changes) is told\n"
        "first; at a terminal you are asked, elsewhere it takes --yes. Files that git ignores go untold.",
        "example: aish discard @fixer",
    )
    parser.add_argument("target", nargs="+", metavar="PROCESS|NAME", help="who worked in it, or its own name")
    parser.add_argument("-y", "--yes", action="store_true", help="whatever is lost")
    json_option(parser)
    options = parser.parse_args(argv)

    def act(target: str) -> dict[str, object]:
        gone = discard(target, yes=options.yes)
        if not options.json:
            print(f"{target}: discarded" + (f", with {gone}" if str(gone) else ""))
        return {"commits": gone.commits, "files": gone.files}

    return for_each("discard", options.target, act, as_json=options.json)


def discard(target: str, *, yes: bool) -> Lost:
    """Raises ConflictError while somebody works in it, or where work would be lost."""
    records, record = worktree.find(target)
    with records.held(record.name):
        rows = residents(record.name, record.folder)
        worktree.check_idle(rows, f"the worktree {record.name}", f"stop it first: aish stop {record.name}")
        if record.state == LANDING:  # a landing that was cut off may have left half of it in the user's tree
            record = recovery.recovered(records, record, worktree.teller("aish discard"))
        lost = removal.lost(records, record)
        if str(lost) and not yes:
            _agreed(record, lost)
        removal.take_away(records, record)
    return lost


def _agreed(record: Record, lost: Lost) -> None:
    """Raises ConflictError."""
    for line in [*(f"  commit {commit}" for commit in lost.commits), *(f"  {path}" for path in lost.files)][
        :_SHOWN_MOST
    ]:
        print(clean(line), file=sys.stderr)
    if os.isatty(0) and os.isatty(2):
        print(f"{record.name}: throw {lost} away? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() in ("y", "yes"):
            return
    raise ConflictError(f"{record.name} has {lost} that nothing else has", hint="--yes throws them away")
