"""Kept descriptors (log pipes, pty masters, listening sockets) by name, and the copying of pty masters to logs.

A pty that nobody reads stalls its child after a few KiB, so the holder reads; the daemon never has to.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

READ_BYTES = 65536
NAMES_MOST = 16384
EMPTY_READS = 1024


class Entry:
    """What one name holds. `log_fd` is set from `drain` on; `drained` says that the last slave was closed."""

    __slots__ = ("drained", "errno", "fds", "log_fd", "lost_bytes", "name")

    def __init__(self, name: str, fds: list[int], log_fd: int | None = None) -> None:
        self.name = name
        self.fds = fds
        self.log_fd = log_fd
        self.drained = False
        self.lost_bytes = 0  # at least: a holder that was killed took its last count with it
        self.errno: int | None = None  # of the last refused write

    def drain(self) -> bool:
        """Copy what the master has now to the log; true when nothing will ever come again.

        Bytes that the log refuses (disk full) are counted and dropped: the child must not stall.
        """
        self._copy()
        return self.drained

    def _copy(self) -> bool:
        """One read of the master; whether it had something."""
        assert self.log_fd is not None
        try:
            data = os.read(self.fds[0], READ_BYTES)
        except BlockingIOError:
            return False
        except OSError:  # EIO: every slave is closed
            data = b""
        if not data:
            self.drained = True
            return False
        view = memoryview(data)
        while view:
            try:
                count = os.write(self.log_fd, view)
            except OSError as error:
                self.errno = error.errno
                self.lost_bytes += len(view)
                break
            view = view[count:]
        return True

    def empty(self) -> None:
        """Copy what the master has, before it is closed: the last words of a process that has just ended.

        A read of a master takes in what was written to the slave before (n_tty(4) flushes first), so its EAGAIN
        means that there is nothing. Bounded, in case somebody goes on writing.
        """
        for _ in range(EMPTY_READS):
            if self.log_fd is None or self.drained or not self._copy():
                return

    def close(self) -> None:
        """Close everything."""
        while self.fds:
            os.close(self.fds.pop())
        self.stop()

    def stop(self) -> None:
        """Close the log; the master stays."""
        if self.log_fd is not None:
            os.close(self.log_fd)
            self.log_fd = None

    def told(self) -> dict[str, Any]:
        """What `names` says about it."""
        return {
            "name": self.name,
            "count": len(self.fds),
            "draining": self.log_fd is not None,
            "drained": self.drained,
            "lost_bytes": self.lost_bytes,
            "errno": self.errno,
        }

    def mirror(self) -> tuple[dict[str, Any], list[int]]:
        """The message and descriptors that make the keeper's copy the same."""
        return {"op": "store", **self.told()}, self.all_fds()

    def all_fds(self) -> list[int]:
        """What is kept, and the log."""
        return self.fds + ([] if self.log_fd is None else [self.log_fd])


class Store(dict[str, Entry]):
    """All entries by name. Replacing or dropping closes."""

    def put(self, entry: Entry) -> None:
        """Keep an entry, closing what its name held."""
        self.drop(entry.name)
        self[entry.name] = entry

    def drop(self, name: str) -> bool:
        """Close and forget a name; false if there was none."""
        entry = self.pop(name, None)
        if entry is not None:
            entry.close()
        return entry is not None

    def reflect(self, message: dict[str, Any], fds: list[int]) -> None:
        """The keeper's side of `Entry.mirror`; takes the descriptors."""
        self.put(_entry(message, fds))
        fds.clear()

    def state(self) -> list[dict[str, Any]]:
        """All of it for another program in this process."""
        return [{**entry.told(), "fds": entry.all_fds()} for entry in self.values()]

    @classmethod
    def inherited(cls, state: list[dict[str, Any]]) -> Store:
        """That program's side of `state`."""
        return cls({told["name"]: _entry(told, told["fds"]) for told in state})


def _entry(told: dict[str, Any], fds: list[int]) -> Entry:
    """An entry of which `told` and the descriptors are known, the log's last."""
    fds = list(fds)
    log_fd = fds.pop() if told["draining"] and fds else None
    entry = Entry(told["name"], fds, log_fd)
    entry.drained, entry.lost_bytes, entry.errno = told["drained"], told["lost_bytes"], told["errno"]
    return entry
