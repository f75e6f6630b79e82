"""Whether who waits for another process has mistyped its name: it would wait for ever, since any may still come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aish.errors import UnavailableError
from aish.model.nearest import nearest
from aish.report import clean
from aish.wire.message import Snapshot
from aish.wire.reply import View

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aish.client.connection import Client
    from aish.wire.reply import Started
    from aish.wire.spec import SpecPart


def doubts(client: Client, started: Started, spec: SpecPart) -> Iterator[str]:
    """A line for each name that no process has, and another one nearly. Only asks where it waits for others."""
    if started.state != "queued" or not spec.needs:
        return
    try:
        rows = client.ask(View, Snapshot(all=True, figures=False)).processes
    except UnavailableError:
        return  # it is advice, and nothing hangs on it
    names = {row.name for row in rows if row.id != started.id}
    for need in spec.needs:
        near = None if need.name in names else nearest(need.name, sorted(names))
        if near is not None:
            yield clean(f"no process is called {need.name} so far: did you mean {near}?")
