"""What a daemon finds in its state folder: journal, epoch, secret. What is damaged is moved aside and told."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from aish.config import folders
from aish.errors import StorageError
from aish.supervisor.daemon.journal import CorruptError, Journal, move_aside, open_journal, salvage
from aish.wire import key

if TYPE_CHECKING:
    from aish.supervisor.daemon.row import Row


class StateFolder:
    """`alerts` are what a person should know about it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.alerts: list[str] = []
        self.rebuilt = False
        """The table was lost: it is made of what the holder knows."""
        self._journal_path = os.path.join(path, folders.TABLE)

    def journal(self, other_disk: str) -> tuple[Journal | None, list[Row], StorageError | None]:
        """The journal and its rows; a damaged one is moved aside. None at all where the disk refuses: then the rows
        are read from a copy on `other_disk`."""
        try:
            try:
                journal = open_journal(self._journal_path)
                return journal, journal.rows(), None
            except CorruptError as error:
                aside = move_aside(self._journal_path)
                self.alerts.append(f"{error}; it is kept as {aside}, the table was rebuilt from what runs")
                self.rebuilt = True
                return open_journal(self._journal_path), [], None
        except StorageError as error:
            rows = salvage(self._journal_path, other_disk)
            self.rebuilt = not rows
            return None, rows, error

    def reopened(self, epoch: int) -> Journal:
        """The journal, once its disk lets us: the one that was there, or a new one. Raises StorageError."""
        try:
            journal = open_journal(self._journal_path)
        except CorruptError:
            move_aside(self._journal_path)
            journal = open_journal(self._journal_path)
        if journal.fresh:
            journal.begin(epoch)
        return journal

    def epoch(self, journal: Journal | None, *, holder_lives: bool) -> int:
        """The table's epoch. It outlives a lost table by a file: what runs keeps its key, and no id comes twice."""
        if journal is not None and not journal.fresh:
            return journal.epoch
        path = os.path.join(self.path, "epoch")
        epoch = _read_number(path)
        if epoch is None or not holder_lives:
            epoch = max(int(time.time()), (epoch or 0) + 1)
        if journal is not None:
            journal.begin(epoch)
            try:
                fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
                with open(fd, "w", encoding="ascii") as file:
                    file.write(f"{epoch}\n")
            except OSError as error:
                self.alerts.append(f"{path}: {error.strerror}")
        return epoch

    def secret(self) -> bytes:
        """A damaged one is moved aside: better void keys than no daemon. Raises StorageError."""
        path = os.path.join(self.path, "secret")
        try:
            return key.load_secret(path)
        except key.DamagedSecretError as error:
            aside = f"{path}.damaged-{os.getpid()}"
            os.replace(path, aside)
            self.alerts.append(f"{error}; it is kept as {aside}. Keys of running processes are void: restart them")
            return key.load_secret(path)


def _read_number(path: str) -> int | None:
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None
