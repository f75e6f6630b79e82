"""The end of keeper and holder, when the controller wants it: what lives is waited for or killed, then both leave."""

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


class Quitting:
    """A quit that waits for the last processes to end."""

    __slots__ = ("began", "forced", "peer", "seq")

    def __init__(self, peer: Peer, seq: int, forced: bool, began: float) -> None:
        self.peer = peer
        self.seq = seq
        self.forced = forced
        self.began = began


class Farewell:
    """The operation `quit`. `due` is the monotonic time at which `tick` wants to be called, or None."""

    def __init__(self, holder: Holder) -> None:
        self.holder = holder
        self.quitting: Quitting | None = None

    @property
    def due(self) -> float | None:
        """When `tick` wants to be called."""
        return None if self.quitting is None else time.monotonic() + TICK_S

    @property
    def closing(self) -> bool:
        """Whether nothing new may start."""
        return self.quitting is not None

    def quit(self, peer: Peer, seq: int, message: dict[str, Any], fds: list[int]) -> None:
        """Refuse while something lives or is unacknowledged, unless forced; else begin the end."""
        forced = wire.flag(message, "force")
        live, unacknowledged = self._load()
        if self.quitting is not None:
            raise wire.Refusal("closing", "the holder is about to end")
        if (live or unacknowledged) and not forced:
            message_text = f"{live} live children, {unacknowledged} unacknowledged exits"
            raise wire.Refusal("busy", message_text, live=live, unacknowledged=unacknowledged)
        self.quitting = Quitting(peer, seq, forced, time.monotonic())
        self._end_daemon(signal.SIGTERM)

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
        """Go on with a quit."""
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
