"""The log files of processes: STATE/logs/ID.out and ID.err, written by the child itself (O_APPEND), and their index,
ID.idx."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, Literal

from aish.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable

    Stream = Literal["out", "err"]

STREAMS: Final[tuple[Stream, Stream]] = ("out", "err")


class Logs:
    """Paths and descriptors; no log byte passes through the daemon.

    `opened` is told whose log is about to be written to, `closed` for whom a hook or probe has ended, which wrote to
    it, `removed` whose log is about to be removed.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.opened: Callable[[str], None] = _nobody
        self.closed: Callable[[str], None] = _nobody
        self.removed: Callable[[str], None] = _nobody

    def path(self, id_: str, stream: Stream) -> str:
        return os.path.join(self.folder, f"{id_}.{stream}")

    def index_path(self, id_: str) -> str:
        return os.path.join(self.folder, f"{id_}.idx")

    def append(self, id_: str, stream: Stream) -> int:
        """A descriptor for the child to write to; made if need be. Raises StorageError."""
        path = self.path(id_, stream)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            fd = os.open(path, flags, 0o600)
        except OSError as error:
            raise StorageError(
                f"cannot write the log {path}: {error.strerror}",
                hint="free some space, or point XDG_STATE_HOME elsewhere",
            ) from error
        self.opened(id_)
        return fd

    def read(self, id_: str, stream: Stream, *, coming: bool = False) -> int:
        """A descriptor to read from; of /dev/null where this stream has no log. `coming`: its process may still write
        one, so it is made if need be: who follows would else never see it. Raises StorageError."""
        return self._read(self.path(id_, stream), os.O_CREAT if coming else 0)

    def read_index(self, id_: str) -> int:
        """The same for its index, which may have to be made: who follows a silent process waits for it to grow."""
        logged = any(os.path.exists(self.path(id_, stream)) for stream in STREAMS)
        return self._read(self.index_path(id_), os.O_CREAT if logged else 0)

    def _read(self, path: str, make: int = 0) -> int:
        try:
            return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | make, 0o600)
        except FileNotFoundError:
            return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise StorageError(f"cannot read the log {path}: {error.strerror}") from error

    def size(self, id_: str, stream: Stream) -> int:
        try:
            return os.stat(self.path(id_, stream)).st_size
        except OSError:
            return 0  # not there yet

    def remove(self, id_: str) -> None:
        self.removed(id_)
        for path in (*(self.path(id_, stream) for stream in STREAMS), self.index_path(id_)):
            try:
                os.unlink(path)
            except OSError:
                continue  # it never had one, or the disk is read-only: the next clean-up finds it

    def last_number(self) -> int:
        """The highest number of a process that has a log: what a rebuilt table must stay above."""
        try:
            stems = [name.partition(".")[0] for name in os.listdir(self.folder)]
        except OSError:
            return 0
        return max((int(stem[1:]) for stem in stems if stem[:1] == "p" and stem[1:].isdecimal()), default=0)


def _nobody(id_: str) -> None:
    """Nobody wants to know."""
