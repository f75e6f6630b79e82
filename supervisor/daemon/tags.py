"""Whose a process is where there are no control groups: an inherited variable that only we can have given.

AISH_TAG is an HMAC over id and epoch, so another supervisor's p12 is never taken for ours. A process that clears its
environment loses it; its session may still tell, and where that is left too nobody can. Who lost its parents is a
child of holder or keeper (both are subreapers), so only their unknown children and what is below the process itself
have to be looked at, unless both died.
"""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING, Final

from aish.supervisor.daemon import proc

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

VARIABLE: Final = "AISH_TAG"
ERRAND: Final = "AISH_ERRAND"
"""Which hook or probe it is, for those that are run for a process: an id as `errands` has it."""
ROUNDS: Final = 64
"""Looks until nothing is found any more: a fork bomb is a race that the capped side loses."""


def tag_of(pid: int) -> str | None:
    """The tag in the environment with which it was started; None: none, gone, or not ours to read."""
    return value_of(pid, VARIABLE)


def value_of(pid: int, name: str) -> str | None:
    """A variable's value there."""
    return values_of(pid, (name,)).get(name)


def values_of(pid: int, names: Sequence[str]) -> dict[str, str]:
    """The values of those of these variables that it was started with."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            environ = file.read(1 << 20)
    except OSError:
        return {}
    found: dict[str, str] = {}
    for entry in environ.split(b"\0"):
        name, _, value = entry.partition(b"=")
        word = name.decode("ascii", "replace")
        if word in names and word not in found:
            found[word] = value.decode("ascii", "replace")
    return found


def everybody() -> list[int]:
    """Every process of the machine that can be seen."""
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def below(roots: Iterable[int], children: Callable[[int], list[int]], seen: set[int]) -> Iterator[int]:
    """The roots and all their descendants not in `seen`; children are asked for when the next one is wanted."""
    todo = list(roots)
    while todo:
        pid = todo.pop()
        if pid not in seen:
            seen.add(pid)
            yield pid
            todo += children(pid)


def tree(
    tag: str, leader: int | None, session: int | None, reapers: Collection[int], known: Callable[[int], bool]
) -> Iterator[int]:
    """Pids of a process's tree: below its leader (None: it has ended), and of the orphans that `reapers` took in
    those with its tag or still in its session.

    `known` tells keeper, holder, daemon and the leaders of all supervised processes: these are no orphans.
    """
    children = proc.tree()
    seen: set[int] = set()
    for pid in below([] if leader is None else [leader], children, seen):
        if pid == leader or not known(pid):
            yield pid
    for reaper in reapers:
        for orphan in children(reaper):
            if orphan in seen or known(orphan):
                continue
            if tag_of(orphan) == tag or (session and proc.session(orphan) == session):
                yield from (pid for pid in below([orphan], children, seen) if not known(pid))


def members(
    tag: str, leader: int | None, session: int | None, reapers: Collection[int], known: Callable[[int], bool]
) -> list[int]:
    """The same, all of it."""
    return list(tree(tag, leader, session, reapers, known))


def stop(pids: Iterable[int], reapers: Collection[int]) -> None:
    """SIGSTOP to each as it is found, so before its children are: of what multiplies, less and less does.

    A number is signalled where, with its pidfd open, it is a child of one of these or of a reaper.
    """
    seen = set(reapers)
    for pid in pids:
        fd = _open(pid)
        if fd is None:
            continue
        place = proc.stat(pid)
        if place is not None and (place.parent in seen or not seen - set(reapers)):
            with contextlib.suppress(OSError):
                signal.pidfd_send_signal(fd, signal.SIGSTOP)
        seen.add(pid)
        os.close(fd)


def kill(pids: Callable[[], list[int]], number: int = signal.SIGKILL) -> int:
    """Signal everything that `pids` tells until it tells nobody new; how many there were.

    Through a pidfd that was open before the last look, so a number that changed hands meanwhile is not signalled.
    """
    done: set[int] = set()
    for _ in range(ROUNDS):
        found = {pid: fd for pid in pids() if pid not in done and (fd := _open(pid)) is not None}
        if not found:
            break
        still = set(pids())
        for pid, fd in found.items():
            if pid in still:
                try:
                    signal.pidfd_send_signal(fd, number)
                except OSError:
                    pass  # it ended
            os.close(fd)
            done.add(pid)
    return len(done)


def _open(pid: int) -> int | None:
    """A pidfd of a process that has not ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            if file.read().rpartition(b")")[2].split()[0] in b"ZX":
                return None
        return os.pidfd_open(pid)
    except (OSError, IndexError):
        return None
