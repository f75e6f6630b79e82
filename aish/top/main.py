"""`aish top`: the live view, or one frame of it."""

from __future__ import annotations

import argparse
import os
import sys
import time
from typing import TYPE_CHECKING, Final, NoReturn

from aish.errors import UsageError
from aish.model.nearest import nearest
from aish.top.ui import SORTS, Ui

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aish.top.feed import Connect
    from aish.wire.reply import View

MIN_EVERY_S: Final = 0.1
MAX_EVERY_S: Final = 3600.0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint="`aish top --help` lists what it takes")


def main(argv: list[str], connect: Connect | None = None) -> int:
    """The exit status. Raises AishError. `connect` stands in for aish.client.connect."""
    options = _parser().parse_args(argv)
    if options.json and not options.once:
        raise UsageError("--json prints one view: it needs --once", hint="aish top --once --json")
    connect = connect or _client()
    ui = Ui(
        sort=options.sort,
        every_s=options.every,
        utc_offset_s=time.localtime().tm_gmtoff,
        colour=not os.environ.get("NO_COLOR"),
        ascii_only=not speaks_unicode(os.environ),
    )
    if options.once:
        return _once(ui, _snapshot(connect, all_processes=options.all), as_json=options.json)
    if not sys.stdout.isatty():
        raise UsageError("top needs a terminal", hint="`aish top --once` and `aish top --once --json` need none")
    from aish.top.live import live, plain

    if os.environ.get("TERM", "dumb") == "dumb":
        return plain(_still(ui), connect, all_processes=options.all)
    return live(ui, connect, all_processes=options.all)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="aish top",
        description="Live view of processes, models, agents and GPUs. Press ? for the keys.",
        allow_abbrev=False,
    )
    parser.add_argument("--once", action="store_true", help="print one frame, sized to COLUMNS and LINES, and leave")
    parser.add_argument("--json", action="store_true", help="with --once: everything as JSON")
    parser.add_argument("--every", type=_every, default=1.0, metavar="SECONDS", help="time between two views (1)")
    parser.add_argument("-a", "--all", action="store_true", help="ended processes and aish's own as well")
    parser.add_argument("--sort", type=_sort, default="tree", metavar="KEY", help=f"one of {', '.join(SORTS)}")
    return parser


def _every(text: str) -> float:
    try:
        seconds = float(text.removesuffix("s"))
    except ValueError:
        seconds = -1.0
    if not MIN_EVERY_S <= seconds <= MAX_EVERY_S:
        raise argparse.ArgumentTypeError(f"{text!r}: expected {MIN_EVERY_S} to {MAX_EVERY_S:.0f} seconds")
    return seconds


def _sort(text: str) -> str:
    if text in SORTS:
        return text
    near = nearest(text, SORTS)
    raise argparse.ArgumentTypeError(
        f"unknown key {text!r}" + (f": did you mean {near}?" if near else f": there are {', '.join(SORTS)}")
    )


def speaks_unicode(environ: Mapping[str, str]) -> bool:
    """By the locale's own variables: Python pretends UTF-8 where the locale is C, the terminal may not."""
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        value = environ.get(name)
        if value:
            return "utf" in value.lower()
    return True  # nothing is said: terminals of today


def _client() -> Connect:
    from aish.client import connect

    return connect


def _still(ui: Ui) -> Ui:
    from dataclasses import replace

    return replace(ui, interactive=False)


def _snapshot(connect: Connect, *, all_processes: bool) -> View:
    from aish.errors import InternalError
    from aish.wire.message import Snapshot
    from aish.wire.reply import View

    client = connect(start=True, program="top")
    try:
        reply = client.request(Snapshot(all=all_processes))
    finally:
        client.close()
    if not isinstance(reply, View):
        raise InternalError(f"the daemon answered {type(reply).__name__}, not a View")
    return reply


def _once(ui: Ui, view: View, *, as_json: bool) -> int:
    if as_json:
        from aish.top.export import dump

        print(dump(view))
        return 0
    from aish.top.once import screen_size, text

    frame = text(view, _still(ui), *screen_size(), styled=sys.stdout.isatty() and os.environ.get("TERM") != "dumb")
    sys.stdout.buffer.write((frame + "\n").encode("ascii" if ui.ascii_only else "utf-8", "replace"))
    sys.stdout.flush()
    return 0
