"""Which processes were handed back and live on, in a file beside the table: for a daemon that has lost the table.

They have the mark of our processes in their environment, and nothing else tells them from those that it has to find.
A line is the boot and the id; one that is started again is taken out.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from aish.config import private_file
from aish.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterable

NAME: Final = "handed-back"


class Survivors:
    def __init__(self, folder: str, boot_id: str) -> None:
        self._path = os.path.join(folder, NAME)
        self._boot_id = boot_id

    def ids(self) -> set[str]:
        """Of this boot: nothing outlives one. Empty where the file cannot be read."""
        try:
            with open(self._path, encoding="utf-8", errors="replace") as file:
                lines = [line.split() for line in file]
        except OSError:
            return set()
        return {line[1] for line in lines if len(line) == 2 and line[0] == self._boot_id}

    def add(self, ids: Iterable[str]) -> None:
        """Raises StorageError; then the file is as it was."""
        self._write(self.ids() | set(ids))

    def remove(self, id_: str) -> None:
        """Raises StorageError; then the file is as it was."""
        ids = self.ids()
        if id_ in ids:
            self._write(ids - {id_})

    def _write(self, ids: set[str]) -> None:
        lines = "".join(f"{self._boot_id} {id_}\n" for id_ in sorted(ids))
        try:
            private_file.replace(self._path, lines.encode())
        except OSError as error:
            raise StorageError(f"{self._path} cannot be written: {error.strerror}") from error
