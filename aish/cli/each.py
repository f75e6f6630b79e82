"""One request for each of several processes: all are tried, the first failure decides the exit status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aish.client import connect
from aish.errors import AishError
from aish.report import report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from aish.wire.message import Message


def each(verb: str, targets: Iterable[str], request: Callable[[str], Message]) -> int:
    status = 0
    with connect(start=False, program=verb) as client:
        for target in targets:
            try:
                client.request(request(target))
            except AishError as error:
                report(f"aish {verb}", error)
                status = status or error.exit_status
    return status
