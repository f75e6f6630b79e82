"""SIGKILL to daemon, holder, keeper, alone and in pairs, at random moments, in a thread of its own."""

from __future__ import annotations

import os
import random
import signal
import threading
import time

from aish.supervisor.holder import link, wire

VICTIMS = (
    *(("daemon",),) * 4,
    *(("holder",),) * 2,
    *(("keeper",),) * 2,
    ("daemon", "holder"),
    ("daemon", "keeper"),
    ("holder", "keeper"),
    ("daemon", "holder", "keeper"),
)
LEAST_S, MOST_S = 0.2, 4.0


class Killer(threading.Thread):
    """`kills` is what it did, by the monotonic clock; FOLDER/kills has it by the wall clock."""

    def __init__(self, rng: random.Random, folder: str) -> None:
        super().__init__(daemon=True)
        self.kills: list[tuple[float, tuple[str, ...]]] = []
        self._rng, self._folder = rng, folder
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(self._rng.uniform(LEAST_S, MOST_S)):
            victims = self._rng.choice(VICTIMS)
            stop_first = len(victims) > 1  # none may notice the other's death before its own
            pids = self._pids()
            if pids is None or not all(name in pids for name in victims):
                continue  # one of them is just being started
            for number in (signal.SIGSTOP, signal.SIGKILL) if stop_first else (signal.SIGKILL,):
                for name in victims:
                    _send(pids[name], number)
            self.kills.append((time.monotonic(), victims))
            with open(f"{self._folder}/kills", "a", encoding="ascii") as file:
                file.write(f"{time.time():.3f} {' '.join(victims)}\n")
            for name in victims:
                os.close(pids.pop(name))
            _close(pids)

    def orphaned(self, begin_s: float, end_s: float) -> bool:
        """Whether both who could be the parent of a process that lived then were killed: the second one always bears
        the name of keeper, since a holder whose keeper dies becomes the keeper, and the next holder is a stranger."""
        parents = 2
        for at, victims in self.kills:
            if begin_s <= at <= end_s and ("keeper" in victims or (parents == 2 and "holder" in victims)):
                parents -= len({"keeper", "holder"} & {*victims}) if parents == 2 else 1
        return parents <= 0

    def finish(self) -> None:
        self._over.set()
        self.join()

    def _pids(self) -> dict[str, int] | None:
        """Pidfds of the three, as the holder tells them; only of those with our own folder in their environment."""
        try:
            holder = link.HolderLink.connect(f"{self._folder}/run/aish")
            try:
                told = holder.call("hello", version=wire.VERSION, role=wire.CLIENT).body
            finally:
                holder.close()
        except (wire.HolderError, OSError):
            return None
        found: dict[str, int] = {}
        for name, key in {"daemon": "daemon_pid", "holder": "pid", "keeper": "keeper_pid"}.items():
            pid = told[key]
            try:
                fd = os.pidfd_open(pid)
                with open(f"/proc/{pid}/environ", "rb") as file:
                    ours = f"XDG_RUNTIME_DIR={self._folder}/run".encode() in file.read().split(b"\0")
            except (OSError, TypeError):
                continue
            if ours:
                found[name] = fd
            else:
                os.close(fd)
        return found


def _send(pidfd: int, number: int) -> None:
    try:
        signal.pidfd_send_signal(pidfd, number)
    except OSError:  # it ended just now
        return


def _close(pidfds: dict[str, int]) -> None:
    for fd in pidfds.values():
        os.close(fd)
