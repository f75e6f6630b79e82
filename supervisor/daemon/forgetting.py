"""Ended processes that are kept no longer, with all that was kept of them: rows, logs, environments, transcripts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aish.agents import keeping
from aish.config import texts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aish.supervisor.daemon.daemon import Daemon
    from aish.supervisor.daemon.process import Process

KEEP_ENDED: Final = 2000
"""Ended processes that stay in the table with their logs; beyond, the oldest are forgotten."""


class Forgetting:
    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    def tidy(self) -> None:
        """At the beginning: environments of processes that are gone, and ended processes beyond what is kept."""
        files = self.daemon.launcher.files
        for id_ in files.ids():
            process = self.daemon.table.get(id_)
            ended = process is not None and process.row.ended and process.row.after_due is None
            if process is None or (ended and process.row.spec.project is None):
                files.drop(id_)
        self.prune()

    def prune(self) -> None:
        """The oldest of those that have ended go, a tenth at a time, where there are more than are kept."""
        table = self.daemon.table
        if len(table) <= KEEP_ENDED:
            return
        ended = [process for process in table if process.row.ended and process.row.number]
        if len(ended) > KEEP_ENDED:
            ended.sort(key=lambda process: process.row.ended_s or 0.0)
            oldest = ended[: len(ended) - KEEP_ENDED * 9 // 10]
            self.forget([process for process in oldest if table.lives_below(process.id) is None])

    def forget(self, processes: Iterable[Process]) -> None:
        """Drop ended processes, their rows and their logs: on a full disk the logs are what makes room."""
        daemon = self.daemon
        processes = list(processes)
        daemon.handback.forget(processes)
        for process in processes:
            daemon.table.remove(process)
            daemon.launcher.files.drop(process.id)
            daemon.logs.remove(process.id)
            daemon.posting.forget(process)
            keeping.forget(daemon.state_folder, process.id, daemon.epoch)
            texts.forget(daemon.state_folder, process.id, daemon.epoch)
        daemon.recorder.forget([process.row for process in processes], daemon.table.next_number - 1)
        daemon.prompt.changed()
