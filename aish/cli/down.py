"""`aish down`: the processes of a project end, in stop order."""

from __future__ import annotations

import os
import sys

from aish.cli import declared
from aish.cli.arguments import Parser, json_option
from aish.cli.output import print_json, print_table
from aish.cli.up import look
from aish.config import project_file
from aish.errors import NotFoundError, UsageError
from aish.model.spec import MOST_GRACE_S
from aish.project import ending
from aish.project.declared import path_of
from aish.report import clean


def main(argv: list[str]) -> int:
    parser = Parser(
        "down",
        "End the project's processes, those first that need others; returns when they have ended.",
        "example: aish down web",
    )
    parser.add_argument("name", nargs="*", metavar="NAME", help="only these")
    declared.file_option(parser)
    parser.add_argument("--grace", type=float, metavar="SECONDS", help="how long to wait before SIGKILL")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be ended, in which order")
    json_option(parser)
    options = parser.parse_args(argv)
    if options.grace is not None and not 0 <= options.grace <= MOST_GRACE_S:
        raise UsageError(f"--grace {options.grace}: expected 0 to {MOST_GRACE_S:.0f} seconds")
    path = path_of(options.file)
    if options.dry_run:
        ended = look(ending.ending(path, options.name), "down")
    else:
        ended = look(ending.down(path, options.name, options.grace), "down")
    if not ended and not os.path.exists(path):
        raise NotFoundError(f"no such file: {options.file}", hint="and nothing runs that one of that name declared")
    if options.json:
        print_json([{"name": row.name, "id": row.id, "state": row.state, "exit": row.exit} for row in ended])
    elif ended:
        print_table(("NAME", "ID", "STATE"), [(row.name, row.id, row.state) for row in ended])
    else:
        print(clean(f"aish down: nothing of {project_file.shown(path)} runs"), file=sys.stderr)
    return 0
