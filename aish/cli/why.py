"""`aish why`: a paragraph that tells why a process is as it is, then the evidence."""

from __future__ import annotations

import shutil
import textwrap
import time

from aish.cli.arguments import Parser, json_option, targets
from aish.cli.output import print_json, when
from aish.client import connect
from aish.client.finding import recorded
from aish.report import clean
from aish.wire.message import Why
from aish.wire.reply import Explained

WIDEST = 100


def main(argv: list[str]) -> int:
    parser = Parser(
        "why",
        "Tell why a process waits, is held, was ended, failed, was started again or is slow, and by what evidence.",
    )
    json_option(parser)
    targets(parser, many=False)
    options = parser.parse_args(argv)
    with connect(start=recorded(), program="why") as client:
        found = client.ask(Explained, Why(target=options.target))
    if options.json:
        print_json(found)
        return 0
    width = min(WIDEST, shutil.get_terminal_size().columns)
    print(textwrap.fill(clean(found.paragraph), width, break_long_words=False, break_on_hyphens=False))
    if found.evidence:
        print()
    now_s = time.time()
    times = [when(line.time_s, now_s) for line in found.evidence]
    wide = max(map(len, times), default=0)
    for at, line in zip(times, found.evidence, strict=True):
        print(f"  {at:<{max(wide, 8)}}  {line.source:<7}  {clean(line.text)}")
    return 0
