"""What must hold when all is over; looked at from outside: /proc, the files of the children, journal and logs."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable

from aish.model.exit import Exit
from aish.wire.message import Events, Inspect, Logs
from aish.wire.part import EventPart
from aish.wire.reply import EventList, Inspected, LogFiles
from benches.soak.chaos import Chaos
from benches.soak.children import FAILURES, LINES, Child, right_end, starts
from benches.soak.killer import Killer

ENDS = ("exited", "failed", "lost")
SWEPT_S = 15.0
_PROGRAMS = ("aish.supervisor.daemon", "supervisor/holder/__main__.py")


def broken(chaos: Chaos, killer: Killer, folder: str) -> list[str]:
    """Every broken promise of a round in a line. Everything has ended by now, and the daemon still runs."""
    ran = starts(folder)
    events = _events(chaos)
    ends = Counter(event.process for event in events if event.kind in ENDS)
    begun = Counter(event.process for event in events if event.kind == "started")
    found = [f"a fault was noted: {event.process} {event.text}" for event in events if event.kind == "fault"]
    for child in chaos.children:
        found += [f"{child.name} ({child.id}): {text}" for text in _of(chaos, child, ran.get(child.id, []), killer)]
        if ends[child.id] != 1:
            found.append(f"{child.name} ({child.id}): {ends[child.id]} ends in the journal")
        if begun[child.id] > len(ran.get(child.id, [])) + _never_there(chaos, child):
            found.append(f"{child.name} ({child.id}): begun {begun[child.id]} times, ran {ran.get(child.id)}")
    found += [f"lives although its process has ended: {text}" for text in _without_owner(folder)]
    known = {child.id for child in chaos.children}
    found += [f"ran and is not known: {id_}" for id_ in ran if id_ not in known and id_ not in chaos.past]
    chaos.looked_through(events[-1].number if events else chaos.events_to)
    return found


def _without_owner(folder: str) -> list[str]:
    """Who lives beside the supervisor's own three, once what was left behind had the time to be ended."""
    end = time.monotonic() + SWEPT_S
    while True:
        words = {pid: _words(pid) for pid in living(folder)}
        left = [f"{pid} {text}" for pid, text in words.items() if not any(part in text for part in _PROGRAMS)]
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.1)


def _of(chaos: Chaos, child: Child, pids: list[int], killer: Killer) -> Iterable[str]:
    row = chaos.ask(Inspected, Inspect(target=child.id)).process
    lost_may_be = killer.orphaned(child.began_s - 1, child.ended_s or child.began_s)
    if row.lifecycle == "lost":
        if not lost_may_be:
            yield "lost, although one of its parents lived"
    elif row.exit is None:
        yield f"{row.lifecycle} without an end"
    elif row.exit.code is None and row.exit.signal is None:
        if not ("stop" in child.touched and not pids) and not lost_may_be:
            yield f"{row.lifecycle} with an unknown end: {row.reason}"
    elif not right_end(child, Exit(row.exit.code, row.exit.signal)) and child.kind != "flaky":
        yield f"ended with {row.exit.code}, signal {row.exit.signal}; told to: {child.touched or 'nothing'}"
    runs = len(pids)
    if child.kind != "flaky" and runs > 1:
        yield f"started {runs} times: {pids}"
    if child.kind == "flaky" and runs > 1 + row.restarts:
        yield f"started {runs} times, with {row.restarts} restarts"
    if child.kind == "flaky" and not child.touched & {"stop"} and not lost_may_be and runs != FAILURES + 1:
        yield f"started {runs} times, not {FAILURES + 1}"
    if runs == 0 and "stop" not in child.touched and not lost_may_be:
        yield f"never ran, and is {row.lifecycle}"
    if child.kind in ("writer", "terminal") and runs:
        yield from _log(chaos, child, whole=row.exit is not None and row.exit.code == child.code)


def _log(chaos: Chaos, child: Child, *, whole: bool) -> Iterable[str]:
    """Its lines in order, none missing: all of them if it came to its end."""
    reply, fds = chaos.client.request_with_fds(Logs(target=child.id))
    assert isinstance(reply, LogFiles)
    texts = []
    for fd in fds:
        with open(fd, "rb") as file:
            texts.append(file.read().decode())
    wanted = "".join(f"line {number}\n" for number in range(LINES))
    got = texts[0].replace("\r\n", "\n")
    if (whole and got != wanted) or not wanted.startswith(got):
        yield f"its log has {len(got)} of {len(wanted)} bytes: …{got[-40:]!r}"


def _never_there(chaos: Chaos, child: Child) -> int:
    """A start that was stopped before its first line leaves none."""
    return 1 if "stop" in child.touched else 0


def _events(chaos: Chaos) -> list[EventPart]:
    found: list[EventPart] = []
    while True:
        page = chaos.ask(EventList, Events(since=found[-1].number if found else chaos.events_to)).events
        if not page:
            return found
        found += page


def in_log(folder: str) -> list[str]:
    """What daemon, holder and keeper wrote down about faults of their own."""
    path = f"{folder}/state/aish/daemon.log"
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8", errors="replace") as file:
        text = file.read()
    words = ("Traceback", "was destroyed", "never retrieved", ": fault")
    return [
        f"daemon.log: {word}: …{text[max(0, at - 300) : at + 1500]}" for word in words if (at := text.find(word)) >= 0
    ]


def left_behind(folder: str) -> list[str]:
    """Processes that outlived the shutdown."""
    return [f"left after the shutdown: {pid} {_words(pid)}" for pid in living(folder)]


def living(folder: str) -> list[int]:
    """Whose environment points into our folder, zombies and ourselves left out."""
    marker = f"XDG_RUNTIME_DIR={folder}/run".encode()
    found = []
    for name in os.listdir("/proc"):
        if not name.isdecimal() or int(name) == os.getpid():
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                if marker in file.read().split(b"\0"):
                    found.append(int(name))
        except OSError:
            continue
    return found


def _words(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode(errors="replace")[:200]
    except OSError:
        return "(gone)"
