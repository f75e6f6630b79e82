"""When the program's files have been replaced the daemon leaves, and the holder starts the one that they make now.

Else old code in memory would load new files one by one. Looked for when clients come; an installer that is still at
work is waited for. Nothing that runs notices: a daemon may always die.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from aish.supervisor.daemon.build import fingerprint, folders_mark

if TYPE_CHECKING:
    from collections.abc import Callable

LOOK_S: Final = 2.0
"""Between two looks at the folders, and how long the files must stand still."""


class Upgrade:
    """`replaced` is called once, when the program is another one for good."""

    def __init__(self, build: str, replaced: Callable[[str], None]) -> None:
        self.build = build
        self._replaced = replaced
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
        if mark != self._mark:
            self._task = asyncio.ensure_future(self._await_stillness())

    async def _await_stillness(self) -> None:
        before = ""
        try:
            while True:
                self._mark = folders_mark()
                now = await asyncio.to_thread(fingerprint)
                if now == self.build:
                    return  # nothing but compiled files, or it was put back
                if now == before:
                    break
                before = now
                await asyncio.sleep(LOOK_S)  # an installer tells nobody when it is done
        except OSError:
            return  # half there: the next client's look tries again
        finally:
            self._task = None
        self._replaced(now)
