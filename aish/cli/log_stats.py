"""`aish logs --stats`: how much a process has written, when, how fast, and what of it is gone."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from aish.cli.output import print_json, print_table
from aish.client import follow
from aish.client.interleave import STREAMS
from aish.model import moment
from aish.model.size import format_bytes, format_count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aish.client.logreader import LogReader

RATE_S: Final = 60
_WORDS: Final = {1: "stdout", 2: "stderr"}


def show(logs: Sequence[tuple[str, str, LogReader, bool]], *, as_json: bool) -> None:
    """`logs`: name, id and log of each, and whether its streams are mixed: then both are counted as stdout."""
    rows: list[dict[str, object]] = []
    for name, id_, log, mixed in logs:
        row = {"process": name, "id": id_, **told(log, time.time_ns())}
        rows.append({**row, "stderr": None} if mixed else row)
    if as_json:
        print_json(rows)
        return
    header = ("NAME", "OUT", "LINES", "ERR", "LINES ", "PER S", "FIRST", "LAST", "GIVEN BACK")
    print_table(header, [_cells(row) for row in rows], right=header[1:6] + header[8:])


def told(log: LogReader, now_ns: int) -> dict[str, object]:
    """Lines are those that are still there."""
    records, sizes = log.records, log.sizes()
    streams: dict[str, object] = {}
    for stream in STREAMS:
        fd, size = log.tails[stream].fd, sizes[stream - 1]
        start = min(size, follow.data_start(fd, 0)) if size else 0
        lines = follow.newlines(fd, start, size) + _partial(fd, size)
        streams[_WORDS[stream]] = {"bytes": size, "lines": lines, "given_back_bytes": start}
    before = sum(records.sizes(records.until(now_ns - RATE_S * 10**9) - 1))
    first = next((number for number in range(len(records)) if any(records.sizes(number))), None)
    return {
        **streams,
        "bytes_per_s": (sum(sizes) - before) / RATE_S if len(records) else None,
        "first": None if first is None else moment.iso(records.times[first]),
        "last": moment.iso(log.changed_ns() if log.unindexed_at_end() else _last_ns(log)) if any(sizes) else None,
    }


def _last_ns(log: LogReader) -> int:
    """When the record was made that first had the files at their size."""
    records = log.records
    number = len(records) - 1
    while number > 0 and records.sizes(number - 1) == records.sizes(number):
        number -= 1
    return records.times[number]


def _partial(fd: int, size: int) -> int:
    return int(size > 0 and os.pread(fd, 1, size - 1) not in (b"\n", b"\0"))


def _cells(row: dict[str, object]) -> list[str]:
    cells = [str(row["process"])]
    given_back = 0
    for word in _WORDS.values():
        stream = row[word]
        if stream is None:
            cells += ["-", "-"]
            continue
        assert isinstance(stream, dict)
        cells += [format_bytes(stream["bytes"]), format_count(stream["lines"])]
        given_back += stream["given_back_bytes"]
    rate = row["bytes_per_s"]
    cells.append(format_bytes(round(rate)) if isinstance(rate, float) else "-")
    cells += [_clock(row["first"]), _clock(row["last"]), format_bytes(given_back)]
    return cells


def _clock(text: object) -> str:
    return text[:19].replace("T", " ") if isinstance(text, str) else "-"
