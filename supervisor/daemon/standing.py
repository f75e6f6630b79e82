"""How keeper and holder stand: whether each of them runs, is stopped or has ended, and who is why there is no answer.

Each is known by a pidfd from the moment it was greeted, so that a number which somebody else has got by now is not
taken for it.
"""

from __future__ import annotations

import os
import select
from typing import Final, Literal

from aish.client import standstill

State = Literal["runs", "stopped", "dead"]
STATES: Final[tuple[State, ...]] = ("runs", "stopped", "dead")
Role = Literal["keeper", "holder"]
HOLDER: Final = "holder"
KEEPER: Final = "keeper"
OVERLOADED: Final = "it hangs, or the machine is overloaded"


def blame(connected: bool, keeper: State, holder: State) -> tuple[Role, ...]:
    """Who is to be told to go on where nothing is answered; nobody: it hangs, or is just being replaced. Pure.

    While a connection is there it is the holder's. Where that is dead the keeper forks the next one; a holder whose
    keeper is dead becomes the keeper and does so."""
    match holder:
        case "stopped":
            return (HOLDER, KEEPER) if keeper == "stopped" else (HOLDER,)
        case "runs":  # it hangs, has just begun, or becomes the keeper
            return ()
        case "dead":
            return (KEEPER,) if keeper == "stopped" and not connected else ()  # connected: it is about to be missed


class Standing:
    """Of nobody until `know` is told."""

    def __init__(self) -> None:
        self._pids: dict[Role, int] = {}
        self._fds: dict[Role, int] = {}

    def know(self, holder: int, keeper: int) -> None:
        """They have just been told by the holder; 0: a release that does not tell."""
        self.close()
        self._know(HOLDER, holder)
        self._know(KEEPER, keeper)

    def _know(self, role: Role, pid: int) -> None:
        try:
            self._fds[role] = os.pidfd_open(pid)
        except (OSError, ValueError):
            return  # it died with its answer under way
        self._pids[role] = pid

    def of(self, role: Role) -> State:
        fd = self._fds.get(role)
        if fd is None or _ended(fd):
            return "dead"
        return "stopped" if standstill.stopped(self._pids[role]) else "runs"

    def live(self) -> bool:
        """Whether there is somebody from whom the next holder can come."""
        return self.of(KEEPER) != "dead" or self.of(HOLDER) != "dead"

    def blamed(self, *, connected: bool) -> str | None:
        """Why there is no answer, and what to do, as a sentence; None: nobody is stopped who should answer."""
        holder = self.of(HOLDER)
        if holder == "runs":  # asked before each start: the keeper need not be looked at
            return None
        roles = blame(connected, self.of(KEEPER), holder)
        return standstill.told({role: self._pids[role] for role in roles})

    def hangs(self, *, connected: bool) -> str | None:
        """The same where nobody is stopped, and there has been no answer for long. None: both are dead, and are about
        to be missed."""
        keeper, holder = self.of(KEEPER), self.of(HOLDER)
        if connected or (keeper == "dead" and holder != "dead"):
            return f"the holder (pid {self._pids.get(HOLDER)}) does not answer: {OVERLOADED}"
        if keeper == "dead":
            return None
        return f"the keeper (pid {self._pids[KEEPER]}) has not started another holder: {OVERLOADED}"

    def keeper_stopped(self) -> str | None:
        """The same of the keeper alone, whatever the holder does."""
        return standstill.told({KEEPER: self._pids[KEEPER]}) if self.of(KEEPER) == "stopped" else None

    def close(self) -> None:
        for fd in self._fds.values():
            os.close(fd)
        self._fds.clear()
        self._pids.clear()


def _ended(pidfd: int) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))
