"""`aish forget`: ended processes leave the table, with their logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aish.cli.arguments import Parser, json_option
from aish.cli.each import each, for_each
from aish.client import connect
from aish.client.finding import recorded
from aish.errors import UsageError
from aish.model import state
from aish.wire.message import Forget, Snapshot
from aish.wire.reply import View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aish.wire.part import ProcessPart


def main(argv: list[str]) -> int:
    parser = Parser("forget", "Drop ended processes from the table, and their logs from the disk.")
    parser.add_argument("--ended", action="store_true", help="all that have ended")
    parser.add_argument("target", nargs="*", metavar="PROCESS", help="an id (p12) or a name, with or without @")
    json_option(parser)
    options = parser.parse_args(argv)
    names = options.target
    if options.ended:
        with connect(start=recorded(), program="forget") as client:
            rows = client.ask(View, Snapshot(all=True, figures=False)).processes
        names = names + _over(rows)
    elif not names:
        raise UsageError("which process?", hint="`aish forget --ended` drops all that have ended")
    if not names:
        return for_each("forget", names, lambda _: None, as_json=options.json)
    options.target = names
    return each("forget", options, lambda target: Forget(target=target), gone=True)


def _over(rows: Sequence[ProcessPart]) -> list[str]:
    """Ids of those that have ended, with all that is below them."""
    parents = {row.id: row.parent for row in rows}
    needed: set[str | None] = set()
    for row in rows:
        above = row.parent if row.lifecycle not in state.ENDED else None
        while above is not None and above not in needed:
            needed.add(above)
            above = parents.get(above)
    return [row.id for row in rows if row.lifecycle in state.ENDED and row.id not in needed]
