"""`aish logs --stats`: how much a process has written, when, how fast, and what of it is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aish.cli.output import print_json, print_table
from aish.model import moment
from aish.model.size import format_bytes, format_count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aish.client.log_stats import LogStats, StreamStats

_WORDS: Final = ("stdout", "stderr")


def show(found: Sequence[LogStats], *, as_json: bool) -> None:
    rows = [_row(one) for one in found]
    if as_json:
        print_json(rows)
        return
    header = ("NAME", "OUT", "LINES", "ERR", "LINES ", "PER S", "FIRST", "LAST", "GIVEN BACK")
    print_table(header, [_cells(row) for row in rows], right=header[1:6] + header[8:])


def _row(one: LogStats) -> dict[str, object]:
    return {
        "process": one.name,
        "id": one.id,
        "stdout": _stream(one.stdout),
        "stderr": None if one.stderr is None else _stream(one.stderr),
        "bytes_per_s": one.bytes_per_s,
        "first": _iso(one.first_s),
        "last": _iso(one.last_s),
    }


def _stream(one: StreamStats) -> dict[str, int]:
    return {"bytes": one.size_bytes, "lines": one.lines, "given_back_bytes": one.given_back_bytes}


def _iso(moment_s: float | None) -> str | None:
    return None if moment_s is None else moment.iso(round(moment_s * 1e9))


def _cells(row: dict[str, object]) -> list[str]:
    cells = [str(row["process"])]
    given_back = 0
    for word in _WORDS:
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
