"""`aish land`: what an agent did in its worktree comes to the branch that it began at; without a name, what could."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from aish.cli import worktree
from aish.cli.arguments import Parser, json_option
from aish.cli.output import age, print_json, print_table
from aish.client import launch
from aish.errors import UsageError
from aish.report import clean
from aish.worktree import landing, repository
from aish.worktree.listing import listed
from aish.worktree.parsing import counted
from aish.worktree.record import Records
from aish.worktree.residents import living, residents

if TYPE_CHECKING:
    from argparse import Namespace

HEADER = ("NAME", "AGENT", "STATE", "AHEAD", "BEHIND", "DIRTY", "INTO", "AGE", "FOLDER")


def main(argv: list[str]) -> int:
    parser = Parser(
        "land",
        "Bring home what an agent did in its git worktree: commit what it has not, merge with what the branch in\n"
        "your working tree is now, run the check there, and only then move that branch. Your uncommitted changes\n"
        "are never touched. Afterwards the worktree and its branch are removed. Exit status 1: the check failed.\n"
        "Without a name: the worktrees of the repository here.",
        "example: aish land @fixer --check 'pytest -q'",
    )
    parser.add_argument("target", nargs="?", metavar="PROCESS|NAME", help="who worked in it, or its own name")
    parser.add_argument("--check", metavar="COMMAND", help="has to end with 0, in the merged worktree (sh -c)")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--squash", action="store_true", help="as one commit")
    how.add_argument("--rebase", action="store_true", help="its commits anew, on top of the branch")
    parser.add_argument("-m", "--message", metavar="TEXT", help="of the commits that landing makes")
    parser.add_argument("--keep", action="store_true", help="leave worktree and branch as they are then")
    parser.add_argument("--running", action="store_true", help="also while it is at work there; implies --keep")
    json_option(parser)
    options = parser.parse_args(argv)
    if options.target is None:
        if options.check or options.squash or options.rebase or options.message or options.keep or options.running:
            raise UsageError("land which?", hint="`aish land` lists worktrees: aish land NAME")
        return _list(options)
    return _land(options)


def _land(options: Namespace) -> int:
    records, record = worktree.find(options.target)
    rows = residents(record.name, record.folder)
    if not options.running:
        hint = f"wait for its end (aish wait {record.name}), or --running lands what is there now"
        worktree.check_idle(rows, f"the worktree {record.name}", hint)
    tell = worktree.teller("aish land")
    how = landing.SQUASH if options.squash else landing.REBASE if options.rebase else landing.MERGE
    wish = landing.Wish(options.check, how, options.message, keep=options.keep or bool(living(rows)))
    try:
        landed = landing.land(records, record.name, wish, tell)
    except landing.CheckFailedError as failed:
        tell(f"the check has ended with {failed.status}: nothing is landed")
        tell(f"  {record.name} is merged in {record.folder}: mend it there, or discard it")
        if options.json:
            print_json({"landed": False, "name": record.name, "check": failed.status})
        return 1
    if options.json:
        print_json({"landed": True, **landed._asdict()})
    elif not landed.commits:
        print(f"{landed.name}: nothing to land, {landed.branch} has all of it")
    else:
        what = f"{counted(landed.commits, 'commit')}, {counted(landed.files, 'file')}"
        print(f"{landed.name}: {what} landed in {landed.branch} ({landed.commit[:9]})")
    return 0


def _list(options: Namespace) -> int:
    lines = listed(Records(repository.common_of(launch.folder())))
    if options.json:
        print_json([line._asdict() for line in lines])
    elif lines:
        home = os.path.expanduser("~")
        rows = [
            [
                line.name,
                clean(", ".join(line.agents)) or "-",
                line.state,
                *("-" if count is None else str(count) for count in (line.ahead, line.behind, line.dirty)),
                line.into or "-",
                age(line.made_s),
                "~" + line.folder.removeprefix(home) if line.folder.startswith(home + "/") else line.folder,
            ]
            for line in lines
        ]
        print_table(HEADER, rows, ("AHEAD", "BEHIND", "DIRTY", "AGE"))
    return 0
