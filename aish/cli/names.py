"""The names that may stand behind an @."""

from __future__ import annotations

import os

from aish.agents import find as agents
from aish.client import connect
from aish.errors import AishError
from aish.store import names as stored
from aish.wire.message import Snapshot
from aish.wire.reply import View


def known() -> list[str]:
    """Agents seen from this folder, stored models, supervised processes. Starts nothing."""
    found = {*agents.names(os.getcwd()), *stored()}
    try:
        with connect(start=False, program="complete") as client:
            found.update(row.name for row in client.ask(View, Snapshot()).processes)
    except AishError:
        pass  # no daemon, or an unusable one: its names are not there to complete
    return sorted(found)
