"""`aish off`: the supervisor leaves and ends nothing; what runs lives on as ordinary processes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from aish.cli import shims
from aish.cli.arguments import Parser, json_option
from aish.cli.output import print_json
from aish.client import connect
from aish.client.departure import Departure
from aish.errors import NotRunningError, OutOfReachError
from aish.report import clean
from aish.wire.message import Off, Snapshot
from aish.wire.plain import plain
from aish.wire.reply import HandedBack, View

if TYPE_CHECKING:
    from aish.wire.part import HandedPart


def main(argv: list[str]) -> int:
    parser = Parser(
        "off",
        "Hand everything back: gateway, daemon, holder and keeper go, what runs lives on without a supervisor.",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")
    json_option(parser)
    options = parser.parse_args(argv)
    try:
        client = connect(start=False, program="off")
    except OutOfReachError:
        raise
    except NotRunningError:
        _show(None, options.json)
        return 0
    with client:
        if not options.yes and sys.stdin.isatty() and not _agreed(client.ask(View, Snapshot())):
            return 1
        with Departure(client.welcome.pid) as programs:
            try:
                told = client.ask(HandedBack, Off())
                _show(told, options.json)  # first: it is done, even if one of the programs stays
                programs.wait(told.behind)
            except KeyboardInterrupt:
                print("aish off: it goes on leaving; `aish ps` shows what is left", file=sys.stderr)
                raise
    return 0


def _show(told: HandedBack | None, as_json: bool) -> None:
    """What became of all, and of the shims; None: no supervisor ran."""
    undone = [f"{name}  is no shim any more: `aish shim {name}` makes it one again" for name in shims.remove_all()]
    if as_json:
        print_json({"ran": told is not None, "undone": undone, **(plain(told or HandedBack()))})
        return
    for line in [*(_lines(told) if told is not None else ["no supervisor runs"]), *undone]:
        print(clean(line))
    sys.stdout.flush()


def _agreed(view: View) -> bool:
    running = [process for process in view.processes if process.pid is not None and process.kind != "system"]
    waiting = len([process for process in view.processes if process.kind != "system"]) - len(running)
    also = f"; what waits ({waiting}) will not start" if waiting else ""
    print(f"What runs ({len(running)}) lives on, without restarts, probes, budgets and the retention of logs{also}.")
    print("Hand everything back? [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _lines(told: HandedBack) -> list[str]:
    lines = [_living(part) for part in told.living]
    for part in told.ended:
        lines.append(
            f"{part.name}  ended" if part.kind == "system" else f"{part.id}  {part.name}  ended: it does not run"
        )
    if told.behind:
        pids = " and ".join(map(str, told.behind))
        lines.append(
            f"keeper and holder ({pids}) stay until the last process with a terminal has ended: they read it"
        )
    return lines or ["nothing was supervised"]


def _living(part: HandedPart) -> str:
    notes = []
    if part.paused:
        notes.append(f"it stands still: `kill -CONT -{part.pid}` lets it go on")
    if part.gateway:
        notes.append("its requests to the gateway fail from now on")
    if part.terminal:
        notes.append("its terminal can be attached to no more")
    if part.grouped:
        notes.append("its control group and the limits of that stay")
    return f"{part.id}  {part.name}  lives on as pid {part.pid}" + "".join(f"; {note}" for note in notes)
