"""History: one file in the state folder that nobody else can read; a line that begins with a space is not kept."""

from __future__ import annotations

import os

from prompt_toolkit.history import FileHistory, History, InMemoryHistory

from aish.config import folders
from aish.errors import StorageError


class PrivateHistory(FileHistory):
    """prompt_toolkit's file, mode 0600 from its first byte on."""

    def append_string(self, string: str) -> None:
        if string.strip() and not string.startswith(" "):
            super().append_string(string)

    def store_string(self, string: str) -> None:
        try:
            os.close(os.open(self.filename, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600))
            super().store_string(string)
        except OSError:
            pass  # a full disk must not come between the user and the command


def open_history() -> tuple[History, str | None]:
    """The history, and why it will not be kept (None where it will)."""
    try:
        path = os.path.join(folders.private(folders.state()), "history")
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        os.chmod(path, 0o600)
    except StorageError as error:
        return InMemoryHistory(), error.message
    except OSError as error:
        return InMemoryHistory(), f"{error.filename}: {error.strerror}"
    return PrivateHistory(path), None
