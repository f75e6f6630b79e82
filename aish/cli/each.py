"""One act for each of several names: all are tried, the first failure decides the exit status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aish.cli.output import print_json
from aish.client import connect
from aish.errors import AishError
from aish.report import report, told
from aish.wire.message import Done
from aish.wire.plain import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from aish.wire.message import Message


def each(verb: str, targets: Iterable[str], request: Callable[[str], Message], *, as_json: bool = False) -> int:
    """A request to the daemon for each target; with `as_json` what came of each is printed as one list."""
    with connect(start=False, program=verb) as client:

        def act(target: str) -> object:
            reply = client.request(request(target))
            return {"changed": reply.changed} if isinstance(reply, Done) else plain(reply)

        return for_each(verb, targets, act, as_json=as_json)


def for_each(verb: str, names: Iterable[str], act: Callable[[str], object], *, as_json: bool = False) -> int:
    """`act` on each name. Its value is a mapping, or None, of what there is to tell in JSON beside the name."""
    status = 0
    rows: list[dict[str, object]] = []
    for name in names:
        row: dict[str, object] = {"target": name, "error": None}
        try:
            found = act(name)
            row |= found if isinstance(found, dict) else {}
        except AishError as error:
            if not as_json:
                report(f"aish {verb}", error)
            row["error"] = told(error)
            status = status or error.exit_status
        rows.append(row)
    if as_json:
        print_json(rows)
    return status
