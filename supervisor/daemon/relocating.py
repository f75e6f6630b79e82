"""The runtime folder was taken away (a logout does that), or is elsewhere by now: what we had there is made again."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from aish.config import folders
from aish.errors import AishError
from aish.supervisor.holder import wire as holder_wire

if TYPE_CHECKING:
    from aish.supervisor.daemon.daemon import Daemon


class Relocating:
    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    def moved(self, path: str) -> None:
        """Something is gone from the folder: it is made again, as far as we know it. `path` is where the holder is to
        be found now."""
        daemon = self.daemon
        if path and path != daemon.runtime_folder:
            self._move_to(path)
        try:
            folders.private(daemon.runtime_folder)
            moved = daemon.server is not None and daemon.server.listen_again(folders.daemon_socket())
            kept = daemon.launcher.files.restore(
                {process.id: process.launch for process in daemon.table.alive() if process.launch is not None}
            )
        except AishError as error:
            daemon.recorder.event("fault", text=str(error))
            return
        if moved or kept:
            text = "the runtime folder had been removed: sockets and captured environments are there again"
            daemon.recorder.event("runtime-folder", text=text)
        daemon.takeover.restart_unreachable()
        daemon.conductor.lives.call_again()
        daemon.prompt.removed()

    def _move_to(self, path: str) -> None:
        """Every part that has a path in the runtime folder is told the new one."""
        daemon = self.daemon
        os.environ[folders.RUNTIME_VARIABLE] = daemon.runtime_folder = path
        daemon.holding.path = os.path.join(path, holder_wire.SOCKET_NAME)
        daemon.launcher.files.folder = os.path.join(path, "environ")
        daemon.conductor.lives.notices.folder = os.path.join(path, "notify")
