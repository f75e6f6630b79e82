"""What the daemon does about logs: their index, and how much of them stays."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from aish.supervisor.daemon.logindex import LogIndex
from aish.supervisor.daemon.retention import Keep, Retention

if TYPE_CHECKING:
    from aish.supervisor.daemon.daemon import Daemon
    from aish.supervisor.daemon.process import Process


class LogKeeper:
    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self.retention = Retention(daemon.logs, self._keep, self._cannot)
        self.index = LogIndex(daemon.logs, self.retention.look, daemon.turns.since_ns)
        daemon.logs.opened, daemon.logs.removed = self.index.begin, self._removed
        daemon.logs.closed = self._closed
        signal.signal(signal.SIGCONT, lambda *_: self.index.stalled())

    def go_on(self) -> None:
        """With those of who runs, which the daemon before us watched; and with all that may have got too old."""
        for process in self._daemon.table:
            if process.row.pid is not None and not process.row.ended and not process.row.adopted:
                self.index.begin(process.id)
            self.retention.look(process.id)

    def ended(self, process: Process) -> None:
        """For good, or between two runs."""
        if process.row.pid is None or process.row.ended:
            self.index.end(process.id)

    def close(self) -> None:
        self.index.close()
        self.retention.close()

    def _keep(self, id_: str) -> Keep:
        """How much of its log is wanted: as its spec says, else as the configuration does; 0: all."""
        process = self._daemon.table.get(id_)
        if process is None:
            return Keep()
        spec, default = process.row.spec, self._daemon.settings
        size_bytes = default.log_bytes if spec.log_bytes is None else spec.log_bytes
        age_s = default.log_age_s if spec.log_age_s is None else spec.log_age_s
        return Keep(size_bytes or None, age_s or None)

    def _cannot(self) -> None:
        text = f"the file system of {self._daemon.logs.folder} gives no beginning of a file back: logs are kept whole"
        self._daemon.recorder.event("log-retention", text=text)

    def _closed(self, id_: str) -> None:
        """A hook or a probe has ended, which may have been the last that wrote."""
        process = self._daemon.table.get(id_)
        if process is not None:
            self.ended(process)

    def _removed(self, id_: str) -> None:
        self.index.forget(id_)
        self.retention.forget(id_)
