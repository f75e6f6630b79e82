"""What is supervised: shell scripts that write down each start, and of which it is known how they end."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field

from aish.model.exit import Exit

LINES = 60
"""What a writer writes, one line each 10 ms."""
FAILURES = 2
"""How often a flaky one fails before it succeeds."""


@dataclass
class Child:
    """One spawn: what it is, what was done to it, when (monotonic)."""

    kind: str
    script: str
    code: int
    """With which it ends by itself."""
    restart: str = "never"
    pty: bool = False
    id: str = ""
    name: str = ""
    began_s: float = 0.0
    ended_s: float | None = None
    lifecycle: str = ""
    touched: set[str] = field(default_factory=set)
    """Verbs that were used on it."""


def make(rng: random.Random, folder: str) -> Child:
    """The next one. Each appends "ID PID" to FOLDER/ran first, so that every start is known."""
    head = f'echo "$AISH_ID $$" >> {folder}/ran; '
    code = rng.randrange(1, 120)
    match rng.choice(("short", "short", "writer", "terminal", "sleeper", "flaky", "tree", "stubborn")):
        case "short":
            return Child("short", f"{head}exit {code}", code)
        case "writer":
            return Child("writer", f"{head}{_lines('sleep 0.01')}; exit {code}", code)
        case "terminal":
            return Child("terminal", f"{head}{_lines(':')}; exit {code}", code, pty=True)
        case "sleeper":
            return Child("sleeper", f"{head}exec sleep 86400", -15)
        case "flaky":
            count = f'n=$(grep -c "^$AISH_ID " {folder}/ran); [ "$n" -gt {FAILURES} ] && exit 0; exit 3'
            return Child("flaky", f"{head}{count}", 0, restart="on-failure")
        case "tree":
            return Child("tree", f"{head}setsid sleep 86400 & (sleep 86400 &) & exec sleep 86400", -15)
        case _:
            return Child("stubborn", f"{head}trap '' TERM; while :; do sleep 1; done", -9)


def _lines(pause: str) -> str:
    return f"i=0; while [ $i -lt {LINES} ]; do echo line $i; i=$((i+1)); {pause}; done"


def right_end(child: Child, end: Exit) -> bool:
    """Whether it may have ended so. Who was told to stop may also have been through before. Pure."""
    told = end.code if end.code is not None else -(end.signal or 0)
    if told == child.code:
        return True
    return "stop" in child.touched and told in (-15, -9)


def starts(folder: str) -> dict[str, list[int]]:
    """The pids of all starts, by id."""
    found: dict[str, list[int]] = {}
    if os.path.exists(f"{folder}/ran"):
        with open(f"{folder}/ran", encoding="ascii") as file:
            for line in file:
                id_, _, pid = line.strip().partition(" ")
                found.setdefault(id_, []).append(int(pid))
    return found
