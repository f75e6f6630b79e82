"""The runtime folder: when somebody takes it away, or what is in it, the holder makes it again and tells."""

from __future__ import annotations

import os
import time

from . import wire
from .estate import StartError
from .kernel import watch_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .holder import Holder

HOME_SETTLE_S = 0.2
HOMELESS_S = 2.0  # between tries where the runtime folder cannot be made


class Home:
    """`due` is the monotonic time at which `tick` wants to be called, or None."""

    def __init__(self, holder: Holder) -> None:
        self.holder = holder
        self.due: float | None = 0.0 if holder.estate.homeless() else None
        self._folder_watch: int | None = None
        self._watch()

    def _watch(self) -> None:
        self._folder_watch = watch_folder(self.holder.estate.dir_fd)
        if self._folder_watch is not None:
            self.holder.loop.watch(self._folder_watch, self._changed)

    def _changed(self, events: int) -> None:
        """Something in it was taken away; looked at when whoever does so may be through."""
        assert self._folder_watch is not None
        try:
            os.read(self._folder_watch, 65536)
        except BlockingIOError:
            return
        self.due = time.monotonic() + HOME_SETTLE_S

    def tick(self, now: float) -> None:
        """Be found again, if its time has come: clients, and the daemon, which has a socket there, too."""
        if self.due is None or now < self.due:
            return
        self.due = None
        if self.holder.farewell.closing:
            return
        estate = self.holder.estate
        if estate.homeless():
            self.holder.loop.forget(estate.listener.fileno())
            try:
                estate.return_home()
                told = wire.encode({"op": "home", "path": estate.options.runtime_dir})
                wire.send(self.holder.control, told, [estate.dir_fd, estate.listener.fileno(), estate.home_lock_fd])
            except (StartError, OSError):
                self.due = now + HOMELESS_S  # the folder above is gone, too: until the next login
            self.holder.loop.watch(estate.listener.fileno(), self.holder.accept)
            if self._folder_watch is not None:
                self.holder.loop.forget(self._folder_watch)
                os.close(self._folder_watch)
            self._watch()
        if self.due is None:
            self.holder.push(("home", ""), {"event": "home", "path": estate.options.runtime_dir})

    def close(self) -> None:
        """Stop looking."""
        if self._folder_watch is not None:
            os.close(self._folder_watch)
