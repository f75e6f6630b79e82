"""The end of keeper and holder, when the controller wants it.

`quit`: what lives is waited for or killed, then both leave. `leave`: nothing is ended, what lives becomes init's. But
the end of a terminal's master would end the processes on it, so where one is drained both stay, without a name, a
daemon or a lock, until the last one is through.
"""

from __future__ import annotations

import os
import signal
import time

from . import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .holder import Holder
    from .peers import Peer

TERM_GRACE_S = 3.0  # how long the daemon may take after SIGTERM
QUIT_GRACE_S = 10.0  # when to give up on what SIGKILL does not end
TICK_S = 0.02
RETRY_S = 1.0  # until a keeper that does not read is told again


class Quitting:
    """A quit that waits for the last processes to end."""

    __slots__ = ("began", "forced", "peer", "seq")

    def __init__(self, peer: Peer, seq: int, forced: bool, began: float) -> None:
        self.peer = peer
        self.seq = seq
        self.forced = forced
        self.began = began


class Farewell:
    """The operations `quit` and `leave`. `due` is the monotonic time at which `tick` wants to be called, or None."""

    def __init__(self, holder: Holder) -> None:
        self.holder = holder
        self.quitting: Quitting | None = None

    @property
    def due(self) -> float | None:
        """When `tick` wants to be called."""
        if self.quitting is not None:
            return time.monotonic() + TICK_S
        return time.monotonic() + RETRY_S if self.holder.estate.leaving and not self._drained() else None

    @property
    def closing(self) -> bool:
        """Whether nothing new may start."""
        return self.quitting is not None or self.holder.estate.leaving

    def quit(self, peer: Peer, seq: int, message: dict[str, Any], fds: list[int]) -> None:
        """Refuse while something lives or is unacknowledged, unless forced; else begin the end."""
        forced = wire.flag(message, "force")
        live, unacknowledged = self._load()
        if self.closing:
            raise wire.Refusal("closing", "the holder is about to end")
        if (live or unacknowledged) and not forced:
            message_text = f"{live} live children, {unacknowledged} unacknowledged exits"
            raise wire.Refusal("busy", message_text, live=live, unacknowledged=unacknowledged)
        self.quitting = Quitting(peer, seq, forced, time.monotonic())
        self._end_daemon(signal.SIGTERM)

    def leave(self, peer: Peer, seq: int, message: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        """End nothing and be gone, as far as terminals allow. The keeper first: whatever dies from here on, nobody
        starts a daemon again."""
        holder, estate = self.holder, self.holder.estate
        if self.closing or holder.births:
            raise wire.Refusal(
                "closing" if self.closing else "busy", "the holder is about to end, or starts something"
            )
        try:
            wire.send(holder.control, wire.encode({"op": "leave"}))
        except OSError as error:
            raise wire.Refusal("busy", f"the keeper cannot be told: {error.strerror}") from None
        holder.ward.bye()
        estate.leaving = True
        estate.vanish()
        holder.loop.forget(estate.listener.fileno())
        for name in [name for name, entry in estate.store.items() if entry.log_fd is None]:
            estate.store.drop(name)
            holder.mirror(name)
        return {"behind": len(self._drained())}

    def _drained(self) -> list[str]:
        """The terminals that somebody still has open."""
        return [name for name, entry in self.holder.estate.store.items() if entry.log_fd is not None]

    def _load(self) -> tuple[int, int]:
        """(live children, unacknowledged exits), without the daemon."""
        children = [child for child in self.holder.children.values() if child.id[0] != "."]
        ended = sum(child.exit is not None for child in children)
        newborn = sum(id[0] != "." for id in self.holder.births)
        return len(children) - ended + newborn, ended

    def _end_daemon(self, sig: int) -> bool:
        """Signal the daemon unless it is who asked for the end; false if nothing of it is left to wait for."""
        pid = self.holder.ward.pid
        if pid is None or (self.quitting is not None and pid == self.quitting.peer.pid):
            return False
        os.kill(pid, sig)
        return True

    def tick(self, now: float) -> None:
        """Go on with a quit, or leave when the last terminal is through."""
        if self.holder.estate.leaving and not self._drained():
            try:
                self.holder.say_quit()
            except OSError:  # stopped, or dead: then we have become the keeper
                return
            os._exit(0)
        quitting = self.quitting
        if quitting is None:
            return
        if quitting.forced:
            self.holder.kill_everything()
        waited_s = now - quitting.began
        daemon_left = self._end_daemon(signal.SIGKILL if waited_s > TERM_GRACE_S else 0)
        live, unacknowledged = self._load()
        if not live and not daemon_left:
            self._leave(quitting)
        elif waited_s > QUIT_GRACE_S:
            self.quitting = None
            refusal = wire.Refusal("busy", "something does not end", live=live, unacknowledged=unacknowledged)
            quitting.peer.send({"seq": quitting.seq, **refusal.reply()})

    def _leave(self, quitting: Quitting) -> None:
        """The keeper first: once it knows, nobody starts another holder. Then the names, the answer, the end."""
        try:
            self.holder.say_quit()
        except OSError:  # it is stopped or dead: the next tick tries again, or we have become the keeper
            return
        self.holder.estate.vanish()
        quitting.peer.last_words({"seq": quitting.seq, "ok": True})
        os._exit(0)
