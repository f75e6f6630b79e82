"""When the program's files have been replaced the daemon leaves, and the holder starts the one that they make now.

Else old code in memory would load new files one by one. Looked for when clients come; an installer that is still at
work is waited for, and what it has made is tried before anything is given up. Nothing that runs notices: a daemon may
always die.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from aish.supervisor.daemon import trial
from aish.supervisor.daemon.build import fingerprint, folders_mark

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

LOOK_S: Final = 2.0
"""Between two looks at the folders, and how long the files must stand still."""


class Upgrade:
    """`replaced` is called once, when the program is another one for good; `refused` for each that does not start,
    with why and which. `why_not` tries one."""

    def __init__(
        self,
        build: str,
        replaced: Callable[[str], None],
        refused: Callable[[str, str], None],
        why_not: Callable[[str], Awaitable[str | None]] = trial.why_not,
    ) -> None:
        self.build = build
        self.refused: str | None = None
        """Why the program on disk does not start; None: it is ours, or was not tried so far."""
        self._replaced, self._refused, self._why_not = replaced, refused, why_not
        self._refused_build = ""
        self._mark = folders_mark()
        self._looked_s = 0.0
        self._task: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()

    def look(self) -> None:
        """A client has come. Cheap."""
        now_s = self._loop.time()
        if self._task is not None or now_s - self._looked_s < LOOK_S:
            return
        self._looked_s = now_s
        try:
            mark = folders_mark()
        except OSError:
            return  # the installer is just taking it away
        if mark != self._mark or self.refused is not None:  # what is mended in place changes no folder
            self.look_closely()

    def look_closely(self) -> None:
        """At each file: also at what was changed where it is."""
        if self._task is None:
            self._task = asyncio.ensure_future(self._try())

    def alert(self) -> str | None:
        """What a person should know about it."""
        if self.refused is None:
            return None
        return f"the program on disk does not start: {self.refused}; the one before (build {self.build}) goes on"

    def differs(self) -> bool:
        """Whether the files are others than ours. A few milliseconds."""
        try:
            return fingerprint() != self.build
        except OSError:
            return True  # half there

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _try(self) -> None:
        try:
            while True:
                build = await self._still()
                if build == self.build:  # nothing but compiled files, or it was put back
                    self.refused, self._refused_build = None, ""
                    return
                if build == self._refused_build:
                    return
                try:
                    why = await self._why_not(build)
                    break
                except trial.ChangedError:
                    continue
        except OSError:
            return  # half there: the next client's look tries again
        finally:
            self._task = None
        if why is None:
            self._replaced(build)
        else:
            self.refused, self._refused_build = why, build
            self._refused(why, build)

    async def _still(self) -> str:
        """The fingerprint, when no file has changed for a while: an installer tells nobody when it is done. Raises
        OSError."""
        before = ""
        while True:
            self._mark = folders_mark()
            now = await asyncio.to_thread(fingerprint)
            if now in (before, self.build, self._refused_build):
                return now
            before = now
            await asyncio.sleep(LOOK_S)
