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
from aish.supervisor.daemon import stop_order
from aish.supervisor.daemon.row import Row
from aish.wire.message import Down, Inspect, Snapshot
from aish.wire.reply import Inspected, View

if TYPE_CHECKING:
    from aish.client import Client
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
    parser.add_argument("--dry-run", action="store_true", help="only say what would be ended, in which order")
    json_option(parser)
    options = parser.parse_args(argv)
    if options.grace is not None and not 0 <= options.grace <= MOST_GRACE_S:
        raise UsageError(f"--grace {options.grace}: expected 0 to {MOST_GRACE_S} seconds")
    path = _path(options.file)
    try:
        ended = _down(path, options.name, options.grace, dry=options.dry_run)
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


def _down(path: str, names: list[str], grace_s: float | None, *, dry: bool) -> list[ProcessPart]:
    """Those that were ended, as they are now; with `dry` those that would be, in stop order. Raises NotFoundError."""
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
        if dry:
            return _in_stop_order(client, [row for row in mine.values() if row.id in ending])
        client.request(Down(project=path, grace_s=grace_s, targets=ending))
        rows = {row.id: row for row in client.ask(View, Snapshot(all=True)).processes}
    return [rows[id_] for id_ in ending if id_ in rows]


def _in_stop_order(client: Client, parts: list[ProcessPart]) -> list[ProcessPart]:
    by_id = {part.id: part for part in parts}
    rows = []
    for part in parts:
        spec = client.ask(Inspected, Inspect(target=part.id)).spec
        rows.append(Row(id=part.id, number=0, name=part.name, spec=spec, parent=part.parent, created_s=0.0))
    return [by_id[row.id] for level in stop_order.levels(rows) for row in level]
