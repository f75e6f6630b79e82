"""What users do meanwhile: spawn, pause, continue, limit, stop, look. And what must hold right after each."""

from __future__ import annotations

import os
import random
import secrets
import time
from typing import TypeVar

from aish.client import connect, launch
from aish.errors import AishError, ConflictError, LimitError, UnavailableError
from aish.wire.message import Cont, Inspect, Limit, Message, Pause, Snapshot, Spawn, Stop
from aish.wire.reply import Done, Inspected, Started, View
from aish.wire.spec import LimitPart, SpecPart
from benches.soak.children import Child, make

R = TypeVar("R", bound=Message)

MOST_ALIVE = 40
PAUSE_S = 0.05
"""At most, between two requests: the kills are to meet processes of all ages."""
MOST_MADE = 1500
"""In one round: beyond 2,000 ended ones the table forgets the oldest, of which nothing could be checked any more."""
SEEN_S = 20.0
"""How long what was asked for may take to be seen: the daemon may be dying again and again."""


class Chaos:
    """`faults` is what did not hold, in words."""

    def __init__(self, rng: random.Random, folder: str) -> None:
        self.rng, self.folder = rng, folder
        self.children: list[Child] = []
        self.faults: list[str] = []
        self.counts: dict[str, int] = {}
        self.past: set[str] = set()
        """Ids of the rounds before."""
        self.events_to = 0
        """Up to which event these went."""
        self.client = connect(program="soak")
        self._surroundings = launch.capture()
        self._number = 0

    def run(self, until_s: float) -> None:
        """A round: until then, or until there are so many that they have to be looked through first."""
        while time.monotonic() < until_s and len(self.children) < MOST_MADE:
            alive = [child for child in self.children if child.ended_s is None]
            verb = self.rng.choice(("spawn", "spawn", "spawn", "pause", "limit", "stop", "stop", "look"))
            if (verb == "spawn" and len(alive) < MOST_ALIVE) or not alive:
                verb, child = "spawn", None
            else:
                child = self.rng.choice(alive)
            self.counts[verb] = self.counts.get(verb, 0) + 1
            time.sleep(self.rng.uniform(0.0, PAUSE_S))
            try:
                self._do("stop" if verb == "spawn" and child is not None else verb, child)
            except AishError as error:
                self.faults.append(f"{verb} {child.name if child else ''}: {type(error).__name__}: {error}")

    def looked_through(self, events_to: int) -> None:
        """The round is over, and what it made has been checked."""
        self.past |= {child.id for child in self.children}
        self.events_to = events_to
        self.children.clear()

    def _do(self, verb: str, child: Child | None) -> None:
        if child is None:
            self._spawn()
        elif verb == "pause":
            self._pause(child)
        elif verb == "limit":
            self._limit(child)
        elif verb == "stop":
            self._stop(child)
        else:
            self.look()

    def _spawn(self) -> None:
        child = make(self.rng, self.folder)
        self._number += 1
        child.name, child.began_s = f"{child.kind}-{self._number}", time.monotonic()
        limited = self.rng.random() < 0.2
        spec = SpecPart(
            argv=[b"/bin/sh", b"-c", os.fsencode(child.script)],
            cwd=os.fsencode(self.folder),
            name=child.name,
            restart=child.restart,
            pty=child.pty,
            grace_s=1.0,
            limits=LimitPart(memory_bytes=256 << 20, pids=100) if limited else None,
        )
        self.children.append(child)
        request = Spawn(token=secrets.token_hex(16), spec=spec, launch=self._surroundings)
        child.id = self.ask(Started, request).id

    def _pause(self, child: Child) -> None:
        """Held it stands still, let go it moves; by the kernel's word, and unless it has ended."""
        child.touched.add("pause")
        for request, still in ((Pause(target=child.id), True), (Cont(target=child.id), False)):
            try:
                self.ask(Done, request)
            except ConflictError:
                return  # it has ended, or not begun
            end = time.monotonic() + SEEN_S
            while (row := self._inspect(child)).process.lifecycle in ("running", "starting"):
                if _stands_still(row.process.pid) in (still, None):
                    break
                if time.monotonic() > end:
                    word = "moves" if still else "stands still"
                    self.faults.append(f"{child.name} ({child.id}) {word} after {type(request).__name__}")
                    break
                time.sleep(0.02)

    def _limit(self, child: Child) -> None:
        child.touched.add("limit")
        try:
            self.ask(
                Done,
                Limit(target=child.id, nice=str(self.rng.randrange(1, 10)), pids=str(self.rng.randrange(50, 99))),
            )
        except (ConflictError, LimitError, UnavailableError):
            return  # it has ended; or the daemon died meanwhile, which the message says

    def _stop(self, child: Child) -> None:
        child.touched.add("stop")
        try:
            self.ask(Done, Stop(target=child.id, grace_s=self.rng.choice((None, 0.0, 0.3))))
        except ConflictError:
            return  # it has ended

    def look(self) -> None:
        """Who has ended by now."""
        rows = {row.id: row for row in self.ask(View, Snapshot(all=True)).processes}
        for child in self.children:
            row = rows.get(child.id)
            if row is None:
                self.faults.append(f"{child.name} ({child.id}) is not in the table")
            elif row.lifecycle in ("exited", "failed", "lost") and child.ended_s is None:
                child.ended_s, child.lifecycle = time.monotonic(), row.lifecycle

    def stop_all(self) -> None:
        """To the end of everything that does not end by itself."""
        end = time.monotonic() + 60.0
        while True:
            self.look()
            alive = [child for child in self.children if child.ended_s is None]
            if not alive:
                return
            if time.monotonic() > end:
                self.faults += [f"{child.name} ({child.id}) does not end" for child in alive]
                return
            for child in alive:
                if child.kind in ("sleeper", "tree", "stubborn") or time.monotonic() > end - 30:
                    self._stop(child)
            time.sleep(0.1)

    def _inspect(self, child: Child) -> Inspected:
        return self.ask(Inspected, Inspect(target=child.id))

    def ask(self, expected: type[R], request: Message) -> R:
        """On a connection that is made anew where the daemon died during what may not be repeated."""
        try:
            return self.client.ask(expected, request)
        except UnavailableError:
            self.client.reconnect()
            raise


def _stands_still(pid: int | None) -> bool | None:
    """None: there is no such process any more."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            word = file.read().rpartition(")")[2].split()[0]
    except OSError:
        return None
    return None if word in "ZX" else word == "T" or _frozen(pid)


def _frozen(pid: int | None) -> bool:
    """By its control group: frozen before it could act on SIGSTOP it stands still in another state than T."""
    for place in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
        try:
            with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
                own = next((line[3:].strip() for line in file if line.startswith("0::")), "/")
            with open(f"{place}{own}/cgroup.events", encoding="ascii") as file:
                return "frozen 1" in file.read()
        except OSError:
            continue
    return False
