"""aish.toml from Python: `Project`, what a file declares. A call returns when it is done.

aish.project.aio has the same for asyncio and is made from this file by docs/make_aio.py.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from aish import store
from aish.client.asks import raise_first
from aish.project import bringing, declared, ending
from aish.project.bringing import Asked
from aish.project.turn import Turn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aish.client.blocking import Aish
    from aish.project.bringing import Outcome
    from aish.project.plan import Plan
    from aish.wire.part import ProcessPart


class Project:
    """The processes that an aish.toml declares: `file`, or the one of a folder that is named; None: as the verbs find
    it, here or in a folder above. It is read anew by each method that is about what it says.

        with Aish() as aish:
            Project(aish, "shop/aish.toml").up(timeout_s=60)

    A file with mistakes raises SourceError, the first one, with the others as its notes. So it is with processes: all
    are tried, then the first error is raised.
    """

    def __init__(self, aish: Aish, file: str | os.PathLike[str] | None = None) -> None:
        self._aish = aish
        self.path = declared.path_of(None if file is None else os.fspath(file))
        """Absolute and without links: what its processes are known by, as `project`."""

    def plan(self, *names: str, profiles: Sequence[str] = (), again: bool = False) -> Plan:
        """What `up` would do, and why, step by step; nothing is done. Its `stops` are done by `reload` alone, which
        takes no names."""
        return self._aish.carry(bringing.planned(declared.load(self.path), Asked(names, profiles, again)))

    def up(
        self,
        *names: str,
        profiles: Sequence[str] = (),
        again: bool = False,
        wait: bool = True,
        timeout_s: float | None = None,
    ) -> list[Outcome]:
        """Start what is not there, change what changed, leave the rest alone; with `wait` until all is ready. Only
        the entries that are named and what they need, else those without a profile or of one of these. `again`: what
        has ended successfully runs once more. Models of the store have to be there."""
        return self._bring(Asked(names, profiles, again), wait, timeout_s)

    def reload(
        self,
        *,
        profiles: Sequence[str] = (),
        again: bool = False,
        wait: bool = True,
        timeout_s: float | None = None,
    ) -> list[Outcome]:
        """The same, and end what is not declared any more."""
        return self._bring(Asked((), profiles, again, stops=True), wait, timeout_s)

    def down(self, *names: str, grace_s: float | None = None) -> list[ProcessPart]:
        """End them, or those that are named, who needs others first; returns when all have ended: the rows of those
        that ran. The file is not read, and may be gone."""
        return self._aish.carry(ending.down(self.path, names, grace_s))

    def ending(self, *names: str) -> list[ProcessPart]:
        """What `down` would end, in that order."""
        return self._aish.carry(ending.ending(self.path, names))

    def _bring(self, asked: Asked, wait: bool, timeout_s: float | None) -> list[Outcome]:
        found = declared.load(self.path)
        with Turn(self.path):
            outcomes, _ = self._aish.carry(bringing.act(found, asked, _stored))
        if wait:
            self._aish.carry(bringing.wait(outcomes, found, timeout_s))
        raise_first([outcome.error for outcome in outcomes if outcome.error is not None])
        return outcomes


def _stored(name: str) -> str:
    """Raises NotFoundError: what is not there is fetched by `aish model pull`, which takes its time."""
    return store.find(name).name
