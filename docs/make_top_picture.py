"""Draw `aish top` without a terminal: a text transcript and an SVG picture.

    python docs/make_top_picture.py --text docs/top.txt --svg docs/top.svg            from the running daemon
    python docs/make_top_picture.py --view recorded.json --svg top.svg                from `aish top --once --json`

With a running daemon, --watch SECONDS collects views first, so that graphs have a past; --record keeps the last view.
Several --view files are shown as one history, the last one drawn.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from aish.errors import AishError, InternalError, UsageError
from aish.report import report
from aish.top.export import dump, load
from aish.top.once import text
from aish.top.picture import picture
from aish.top.ui import Ui
from aish.wire.message import Snapshot
from aish.wire.reply import View

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str]) -> int:
    options = parser().parse_args(argv)
    try:
        width, height = size(options.size)
        views = [read(path) for path in options.view] or watched(options.watch)
    except AishError as error:
        report("make_top_picture", error)
        return error.exit_status
    ui = Ui(interactive=False, now_s=views[-1].time_s, utc_offset_s=time.localtime().tm_gmtoff)
    for view in views:
        ui = replace(ui, history=ui.history.add(view))
    last = views[-1]
    if options.record:
        write(options.record, dump(last) + "\n")
    if options.svg:
        write(options.svg, picture(last, ui, width, height))
    if options.text:
        write(options.text, text(last, ui, width, height) + "\n")
    if not (options.record or options.svg or options.text):
        print(text(last, ui, width, height))
    return 0


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--view", action="append", default=[], metavar="FILE", help="a recorded view; again for more")
    made.add_argument("--watch", type=float, default=0.0, metavar="SECONDS", help="of the running daemon")
    made.add_argument("--size", default="120x32", metavar="COLUMNSxLINES")
    made.add_argument("--text", metavar="FILE", help="write the transcript there")
    made.add_argument("--svg", metavar="FILE", help="write the picture there")
    made.add_argument("--record", metavar="FILE", help="write the drawn view there, as JSON")
    return made


def size(words: str) -> tuple[int, int]:
    width, cross, height = words.partition("x")
    if not (cross and width.isdecimal() and height.isdecimal() and 0 < int(width) <= 500 and 0 < int(height) <= 300):
        raise UsageError(f"not a size: {words!r}", hint="write columns and lines, such as 120x32")
    return int(width), int(height)


def read(path: str) -> View:
    try:
        return load(Path(path).read_text(encoding="utf-8"), path)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error


def watched(seconds: float) -> list[View]:
    """Views of the running daemon, one at once and one a second for so long. Raises AishError."""
    from aish.client import connect

    views: list[View] = []
    with connect(start=False, program="top") as client:
        for reply in client.stream(Snapshot(every_s=1.0)):
            if not isinstance(reply, View):
                raise InternalError(f"the daemon answered {type(reply).__name__}, not a View")
            views.append(reply)
            if reply.time_s - views[0].time_s >= seconds:
                return views
    return views


def write(path: str, content: str) -> None:
    """Whole or not at all: a picture of the documentation is never half a picture."""
    fresh = f"{path}.new"
    Path(fresh).write_text(content, encoding="utf-8")
    os.replace(fresh, path)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
