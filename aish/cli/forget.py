"""`aish forget`: ended processes leave the table, with their logs."""

from __future__ import annotations

from aish.cli.arguments import Parser, json_option
from aish.cli.each import each, for_each
from aish.client import connect
from aish.client.finding import recorded
from aish.errors import UsageError
from aish.model import state
from aish.wire.message import Forget, Snapshot
from aish.wire.reply import View


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
        names = names + [row.id for row in rows if row.lifecycle in state.ENDED]
    elif not names:
        raise UsageError("which process?", hint="`aish forget --ended` drops all that have ended")
    if not names:
        return for_each("forget", names, lambda _: None, as_json=options.json)
    options.target = names
    return each("forget", options, lambda target: Forget(target=target), gone=True)
