"""What a daemon finds in its state folder: journal, epoch, secret. What is damaged is moved aside and told."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, NamedTuple

from aish.config import folders
from aish.errors import StorageError
from aish.supervisor.daemon.journal import CorruptError, Journal, Salvage, move_aside, open_journal, salvage
from aish.supervisor.daemon.recorder import RING
from aish.wire import key

if TYPE_CHECKING:
    from collections.abc import Callable


class Found(NamedTuple):
    """The journal, and what was in it; without one, what could be saved of it, and why there is none."""

    journal: Journal | None
    kept: Salvage
    why_none: StorageError | None = None


class StateFolder:
    """`alerts` are what a person should know about it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.alerts: list[str] = []
        self.rebuilt = False
        """The table was lost: it is made of what the holder knows."""
        self._journal_path = os.path.join(path, folders.TABLE)
        self._epoch_path = os.path.join(path, "epoch")

    def journal(self, other_disk: str) -> Found:
        """The journal and what it has; a damaged one is moved aside. None at all where the disk refuses: then that is
        read from a copy on `other_disk`."""
        try:
            try:
                journal = open_journal(self._journal_path)
                if journal.fresh and _read_number(self._epoch_path) is not None:
                    self.alerts.append(f"{self._journal_path} was gone: the table was rebuilt from what runs")
                    self.rebuilt = True
                return Found(journal, Salvage(journal.rows(), next_number=journal.next_number()))
            except CorruptError as error:
                aside = move_aside(self._journal_path)
                self.alerts.append(f"{error}; it is kept as {aside}, the table was rebuilt from what runs")
                self.rebuilt = True
                return Found(open_journal(self._journal_path), Salvage())
        except StorageError as error:
            found = salvage(self._journal_path, other_disk, RING)
            self.rebuilt = not found.rows
            return Found(None, found, error)

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

    def epoch(self, journal: Journal | None, lives: Callable[[int], bool]) -> int:
        """The table's epoch. It outlives a lost table by a file: what runs keeps its key and is found by its mark,
        and no id comes twice. `lives`: whether anything of an epoch does."""
        if journal is not None and not journal.fresh:
            return journal.epoch
        path = self._epoch_path
        epoch = _read_number(path)
        if epoch is None or not lives(epoch):
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
            try:
                os.replace(path, aside)
            except OSError as failure:
                raise StorageError(f"{error}, and cannot be moved aside: {failure.strerror}") from error
            self.alerts.append(f"{error}; it is kept as {aside}. Keys of running processes are void: restart them")
            return key.load_secret(path)


def _read_number(path: str) -> int | None:
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None
