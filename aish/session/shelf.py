"""Where a session keeps what its commands have written: a folder of its own, bounded in files and bytes.

It goes with the session; one whose front was killed is swept by the next session. A lock tells them apart: the kernel
lets go of it whatever has become of its holder.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
from typing import TYPE_CHECKING

from aish.config import folders
from aish.errors import AishError
from aish.session.settings import FILE_BYTES, MOST_FILES, MOST_FILES_BYTES

if TYPE_CHECKING:
    from typing import Final

_FOLDER: Final = "sessions"
_LOCK: Final = "lock"


class ShelfFile:
    """Whole output of one stream, up to a bound; `path` None: it could not be kept. Nothing here raises."""

    def __init__(self, shelf: Shelf, path: str | None, fd: int) -> None:
        self._shelf, self.path, self._fd = shelf, path, fd
        self.size_bytes = 0

    def write(self, data: bytes) -> None:
        room = min(len(data), FILE_BYTES - self.size_bytes)
        if self._fd < 0 or room <= 0 or not self._shelf.has_room(room):
            return
        view = memoryview(data)[:room]
        try:
            while view:
                written = os.write(self._fd, view)
                self.size_bytes += written
                view = view[written:]
        except OSError:
            self.close()  # the disk is full: it ends here

    @property
    def is_open(self) -> bool:
        return self._fd >= 0

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Shelf:
    """The folder is made when the first file is."""

    def __init__(self, keep: str | None = None) -> None:
        self._keep = keep
        self._folder: str | None = None
        self._lock = -1
        self._files: list[ShelfFile] = []

    def file(self, name: str) -> ShelfFile:
        """A new file; the oldest ones go for it where there are too many."""
        self._forget(len(self._files) - MOST_FILES + 1)
        path, fd = None, -1
        try:
            path = os.path.join(self.folder(), name)
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except (AishError, OSError):
            path = None
        file = ShelfFile(self, path, fd)
        self._files.append(file)
        return file

    def has_room(self, more_bytes: int) -> bool:
        """Whether so much may be written; the oldest files that are complete go for it."""
        while sum(file.size_bytes for file in self._files) + more_bytes > MOST_FILES_BYTES:
            if not self._forget(1):
                return False
        return True

    def _forget(self, count: int) -> bool:
        """Remove so many of the oldest; whether there were as many. An open one only where nothing else is left."""
        for _ in range(count):
            oldest = next((file for file in self._files if not file.is_open), None)
            if oldest is None:
                return False
            self._files.remove(oldest)
            if oldest.path is not None:
                with contextlib.suppress(OSError):
                    os.unlink(oldest.path)
        return True

    def folder(self) -> str:
        """Raises StorageError, OSError."""
        if self._folder is None:
            if self._keep is not None:
                self._folder = _new_folder(self._keep)
            else:
                parent = folders.private(os.path.join(folders.private(folders.state()), _FOLDER))
                self._folder = _new_folder(parent)
                self._lock = _locked(self._folder)
        return self._folder

    def close(self) -> None:
        for file in self._files:
            file.close()
        if self._lock >= 0:
            assert self._folder is not None
            shutil.rmtree(self._folder, ignore_errors=True)
            os.close(self._lock)
            self._lock = -1


def _new_folder(parent: str) -> str:
    os.makedirs(parent, mode=0o700, exist_ok=True)
    path = os.path.join(parent, f"{os.getpid()}-{secrets.token_hex(4)}")
    os.mkdir(path, 0o700)
    return path


def _locked(path: str) -> int:
    lock = os.open(os.path.join(path, _LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return lock


def sweep() -> None:
    """Remove what sessions have left that were killed."""
    parent = os.path.join(folders.state(), _FOLDER)
    try:
        names = os.listdir(parent)
    except OSError:
        return
    for name in names:
        path = os.path.join(parent, name)
        try:
            lock = os.open(os.path.join(path, _LOCK), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue  # it is being made, or is none of ours
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        except BlockingIOError:
            pass  # its session runs
        finally:
            os.close(lock)
