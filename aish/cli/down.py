"""`aish down`: the processes of a project end, in stop order."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from aish.cli import declared
from aish.cli.arguments import Parser, json_option
from aish.cli.output import print_json, print_table
from aish.cli.wanted import MOST_GRACE_S
from aish.client import connect, launch
from aish.errors import NotFoundError, NotRunningError, UsageError
from aish.model import state
from aish.model.nearest import nearest
from aish.project.plan import current
from aish.wire.message import Down, Snapshot, View

if TYPE_CHECKING:
    from aish.wire.part import ProcessPart


def main(argv: list[str]) -> int:
    parser = Parser(
        "down",
        "End the project's processes, those first that need others; returns when they have ended.",
        "example: aish down web",
    )
    parser.add_argument("name", nargs="*", metavar="NAME", help="only these")
    declared.file_option(parser)
    parser.add_argument("--grace", type=float, metavar="SECONDS", help="how long to wait before SIGKILL")
    json_option(parser)
    options = parser.parse_args(argv)
    if options.grace is not None and not 0 <= options.grace <= MOST_GRACE_S:
        raise UsageError(f"--grace {options.grace}: expected 0 to {MOST_GRACE_S} seconds")
    path = _path(options.file)
    try:
        ended = _down(path, options.name, options.grace)
    except NotRunningError:
        ended = []  # nothing runs
    if options.json:
        print_json([{"name": row.name, "id": row.id, "state": row.state, "exit": row.exit} for row in ended])
    elif ended:
        print_table(("NAME", "ID", "STATE"), [(row.name, row.id, row.state) for row in ended])
    return 0


def _path(told: str | None) -> str:
    """A file that is gone still has processes."""
    if told is not None and not os.path.exists(os.path.join(launch.folder(), told)):
        return os.path.realpath(os.path.join(launch.folder(), told))
    return declared.path_of(told)


def _down(path: str, names: list[str], grace_s: float | None) -> list[ProcessPart]:
    """Those that were ended, as they are now. Raises NotFoundError."""
    with connect(start=False, program="down") as client:
        mine, _ = current(path, client.ask(View, Snapshot(all=True)).processes)
        for name in names:
            if name not in mine:
                near = nearest(name, mine)
                raise NotFoundError(f"{path} has no process {name}", hint=f"did you mean {near}?" if near else None)
        living = {row.id for row in mine.values() if row.lifecycle not in state.ENDED}
        ending = [row.id for row in mine.values() if row.id in living and (not names or row.name in names)]
        if not ending:
            return []
        client.request(Down(project=path, grace_s=grace_s, targets=ending))
        rows = {row.id: row for row in client.ask(View, Snapshot(all=True)).processes}
    return [rows[id_] for id_ in ending if id_ in rows]
