"""What the controller may ask about kept descriptors: store, fetch, drop, names, drain."""

from __future__ import annotations

import fcntl
import os
import resource
import stat

from . import wire
from .store import NAMES_MOST, Entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .holder import Holder
    from .peers import Peer

    Reply = dict[str, Any]


class Shelf:
    """The operations of `desk` that are about the store. They take the descriptors that they keep out of `fds`."""

    def __init__(self, holder: Holder) -> None:
        self.holder = holder

    def store(self, peer: Peer, seq: int, message: Reply, fds: list[int]) -> Reply:
        """Keep descriptors under a name, in place of what it held."""
        name = wire.name_of(message, "name")
        store = self.holder.estate.store
        if not fds:
            raise wire.Refusal("fds", "store needs at least one descriptor")
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if len(store) >= NAMES_MOST or max(fds) > most * 3 // 4:
            raise wire.Refusal(
                "full", f"{len(store)} names are kept, of at most {most} descriptors {max(fds)} in use"
            )
        self.holder.release(name)
        store.put(Entry(name, list(fds)))
        fds.clear()
        self.holder.mirror(name)
        return {}

    def _entry(self, message: Reply) -> Entry:
        name = wire.name_of(message, "name")
        entry = self.holder.estate.store.get(name)
        if entry is None:
            raise wire.Refusal("unknown-name", f"nothing is kept under {name}")
        return entry

    def fetch(self, peer: Peer, seq: int, message: Reply, fds: list[int]) -> None:
        """Duplicates of what a name holds."""
        entry = self._entry(message)
        peer.send({"seq": seq, "ok": True, "count": len(entry.fds)}, entry.fds)

    def drop(self, peer: Peer, seq: int, message: Reply, fds: list[int]) -> Reply:
        """Close what a name holds."""
        name = wire.name_of(message, "name")
        self.holder.release(name)
        dropped = self.holder.estate.store.drop(name)
        self.holder.mirror(name)
        return {"dropped": dropped}

    def names(self, peer: Peer, seq: int, message: Reply, fds: list[int]) -> Reply:
        """One page of the names, in their order."""
        after = message.get("after", "")
        if not isinstance(after, str):
            raise wire.Refusal("bad-request", "after: a name")
        store = self.holder.estate.store
        names: list[Reply] = []
        room = wire.PAGE_BYTES
        for name in sorted(name for name in store if name > after):
            row = store[name].told()
            room -= len(wire.encode(row)) + 1
            if room < 0:
                return {"names": names, "next": names[-1]["name"]}
            names.append(row)
        return {"names": names, "next": None}

    def drain(self, peer: Peer, seq: int, message: Reply, fds: list[int]) -> Reply:
        """Copy a terminal to a log from now on. A second drain of a name only changes the log."""
        entry = self._entry(message)
        if len(fds) != 1:
            raise wire.Refusal("fds", "drain needs one descriptor, the log's")
        flags = fcntl.fcntl(fds[0], fcntl.F_GETFL)
        if not stat.S_ISREG(os.fstat(fds[0]).st_mode) or not flags & os.O_APPEND or not flags & os.O_ACCMODE:
            raise wire.Refusal("bad-request", "the log must be a regular file, opened for writing with O_APPEND")
        if entry.drained:
            raise wire.Refusal("bad-request", f"{entry.name} is drained already: its last slave was closed")
        if entry.log_fd is None:
            if not os.isatty(entry.fds[0]):
                raise wire.Refusal("bad-request", f"{entry.name} is not a terminal")
            self.holder.watch_drain(entry.name)
        entry.stop()
        entry.log_fd = fds.pop()
        self.holder.mirror(entry.name)
        return {}
