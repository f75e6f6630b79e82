"""The index of each log: STATE/logs/ID.idx, ten records a second while the process writes, none while it does not.

The kernel tells the first write (inotify), which is recorded at once; then the file is left alone for a tenth of a
second, and looked at again. When nothing has come meanwhile the watch is armed once more. So an idle process costs
nothing and a flood ten wakeups a second. A daemon that dies makes one interval wider: the next one records the sizes
that it finds.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

from aish.supervisor.daemon.inotify import Inotify
from aish.supervisor.daemon.logs import STREAMS
from aish.wire.log_index import INTERVAL_S, RECORD_BYTES, pack, unpack

if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.supervisor.daemon.logs import Logs


class _Kept:
    """What is known of one log."""

    __slots__ = ("ending", "id", "quiet_ns", "sizes", "time_ns", "timer", "watches", "written")

    def __init__(self, id_: str, time_ns: int, sizes: tuple[int, int], *, written: bool) -> None:
        self.id = id_
        self.time_ns, self.sizes = time_ns, sizes
        """Of the last record."""
        self.written = written
        """Whether that record is in the file: the first one is written with the second, or never."""
        self.watches: set[int] = set()
        self.quiet_ns: int | None = None
        """Since when a write would have been told: nothing was written from then on. None: it is not watched."""
        self.timer: asyncio.TimerHandle | None = None
        self.ending = False
        """Its process has ended: as soon as nothing more is written it is not watched any more."""


class LogIndex:
    """`grew` is called after a record was written; `since_ns` tells after which moment that happened which the kernel
    tells now."""

    def __init__(
        self,
        logs: Logs,
        grew: Callable[[str], None],
        since_ns: Callable[[], int],
        inotify: Inotify | None = None,
    ) -> None:
        self._logs, self._grew, self._since_ns = logs, grew, since_ns
        self._inotify = inotify or Inotify()
        self._loop = asyncio.get_running_loop()
        self._kept: dict[str, _Kept] = {}
        self._watched: dict[int, _Kept] = {}
        self._unwatched: set[str] = set()
        self._stalled = False
        self._closed = False
        if self._inotify.fd >= 0:
            self._loop.add_reader(self._inotify.fd, self._told)

    @property
    def unwatched(self) -> int:
        """How many logs the system had no watch for: they are looked at ten times a second."""
        return len(self._unwatched)

    def begin(self, id_: str) -> None:
        """Its log files are there, or one more of them, and somebody may write to them."""
        kept = self._kept.get(id_) or self._load(id_)
        kept.ending = False
        if kept.timer is None:
            kept.timer = self._loop.call_later(0, self._begun, kept)  # both files are opened in this turn

    def end(self, id_: str) -> None:
        """Its process has ended. What it left behind in a terminal's buffer, or a child of it, may still come."""
        kept = self._kept.get(id_)
        if kept is None:
            if self._sizes(id_) is None:
                return
            kept = self._load(id_)
        kept.ending = True
        self._look(kept)
        self._later(kept)

    def forget(self, id_: str) -> None:
        """Its files are about to be removed."""
        kept = self._kept.pop(id_, None)
        if kept is not None:
            self._drop(kept)

    def stalled(self) -> None:
        """This program stood still (SIGSTOP): what the kernel tells next may be as old. For a signal handler."""
        self._stalled = True
        self._loop.call_soon_threadsafe(self._awake)

    def close(self) -> None:
        self._closed = True
        for kept in self._kept.values():
            if kept.timer is not None:
                kept.timer.cancel()
        if self._inotify.fd >= 0:
            self._loop.remove_reader(self._inotify.fd)
        self._inotify.close()

    # --- when ---------------------------------------------------------------------------------------------------

    def _told(self) -> None:
        for number in self._inotify.told():
            if number is None:  # who was written to is not known any more
                for kept in list(self._kept.values()):
                    self._written(kept)
                continue
            found = self._watched.pop(number, None)
            if found is not None:
                found.watches.discard(number)
                self._written(found)

    def _written(self, kept: _Kept) -> None:
        if kept.timer is None:  # else it is looked at anyway
            self._look(kept)
            self._later(kept)

    def _later(self, kept: _Kept) -> None:
        if kept.timer is None:
            kept.timer = self._loop.call_later(INTERVAL_S, self._again, kept)

    def _begun(self, kept: _Kept) -> None:
        kept.timer = None
        self._rest(kept)

    def _again(self, kept: _Kept) -> None:
        kept.timer = None
        if self._look(kept):
            self._later(kept)
        elif kept.ending:
            self._kept.pop(kept.id, None)
            self._drop(kept)
        else:
            self._rest(kept)

    def _rest(self, kept: _Kept) -> None:
        """Until the kernel tells a write. What was written before the watch was there is not told: so it is looked
        once more."""
        armed = self._arm(kept)
        if self._look(kept) or not armed:
            self._later(kept)
        else:
            kept.quiet_ns = time.time_ns()

    def _arm(self, kept: _Kept) -> bool:
        """Watch its files; False where one of them cannot be."""
        self._unwatched.discard(kept.id)
        for stream in STREAMS:
            path = self._logs.path(kept.id, stream)
            number = self._inotify.watch(path)
            if number is not None:
                kept.watches.add(number)
                self._watched[number] = kept
            elif os.path.exists(path):
                self._unwatched.add(kept.id)
                return False
        return True

    def _drop(self, kept: _Kept) -> None:
        if kept.timer is not None:
            kept.timer.cancel()
            kept.timer = None
        self._unwatched.discard(kept.id)
        for number in kept.watches:
            self._watched.pop(number, None)
            self._inotify.forget(number)
        kept.watches.clear()

    def _awake(self) -> None:
        """After a stand-still: what was told meanwhile is taken as it is, then everything is as before."""
        if self._closed:  # the daemon leaves in the very turn in which it was let go on
            return
        self._told()
        self._stalled = False
        now_ns = time.time_ns()
        for kept in self._kept.values():
            if kept.quiet_ns is not None:
                kept.quiet_ns = now_ns

    # --- what ---------------------------------------------------------------------------------------------------

    def _look(self, kept: _Kept) -> bool:
        """Record the sizes if they have changed; whether they had.

        After a quiet time there are two records: the old sizes as of a moment ago, and the new ones, so that the
        interval does not reach back to the last time that it wrote.
        """
        quiet_ns, kept.quiet_ns = kept.quiet_ns, None
        sizes = self._sizes(kept.id)
        now_ns = time.time_ns()
        if sizes is None or sizes == kept.sizes:
            return False
        data = b"" if kept.written else pack(kept.time_ns, *kept.sizes)
        if quiet_ns is not None and not self._stalled:
            quiet_ns = max(quiet_ns, self._since_ns())
            if kept.time_ns < quiet_ns < now_ns:
                data += pack(quiet_ns, *kept.sizes)
        if not _append(self._logs.index_path(kept.id), data + pack(now_ns, *sizes)):
            return False  # the disk is full: one wider interval, when it is not any more
        kept.time_ns, kept.sizes, kept.written = now_ns, sizes, True
        self._grew(kept.id)
        return True

    def _load(self, id_: str) -> _Kept:
        """A log that was not kept: its last record is that of the daemon before us, else how it is now."""
        record = _last_record(self._logs.index_path(id_))
        if record is not None:
            time_ns, out, err = record
            kept = _Kept(id_, time_ns, (out, err), written=True)
        else:
            time_ns = time.time_ns()
            kept = _Kept(id_, time_ns, self._sizes(id_) or (0, 0), written=False)
        self._kept[id_] = kept
        return kept

    def _sizes(self, id_: str) -> tuple[int, int] | None:
        """None: it has no log files, or they were removed."""
        out, err = _size(self._logs.path(id_, "out")), _size(self._logs.path(id_, "err"))
        return None if out is None and err is None else (out or 0, err or 0)


def _size(path: str) -> int | None:
    try:
        return os.stat(path, follow_symlinks=False).st_size
    except OSError:
        return None


def _append(path: str, records: bytes) -> bool:
    """Behind the last whole record: half a one is what a full disk left."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:
        return False
    try:
        size = os.fstat(fd).st_size
        return os.pwrite(fd, records, size - size % RECORD_BYTES) == len(records)
    except OSError:
        return False
    finally:
        os.close(fd)


def _last_record(path: str) -> tuple[int, int, int] | None:
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - size % RECORD_BYTES - RECORD_BYTES))
            data = file.read(RECORD_BYTES)
    except OSError:
        return None
    return unpack(data) if len(data) == RECORD_BYTES else None
