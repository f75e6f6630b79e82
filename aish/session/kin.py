"""Which processes belong to which command: by what is known of them and of their parents, by tag, group and session.

All of a session's processes are below its front, however they have left their parents: front and warden are
subreapers. So it only has to be told whose each is. A command's own are ended with it; those of an earlier one, a
server in the background say, must not be.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, NamedTuple

from aish.supervisor.daemon import proc, tags

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from typing import Final

VARIABLE: Final = "AISH_SESSION_RUN"
"""In the environment of what a command starts: the session's token and the number of the command."""
_MOST_DIGITS: Final = 18
"""Of a command's number: programs may write what they like into their environment."""
COMMAND_CHARS: Final = 200
_HOLDER: Final = b"/aish/supervisor/holder/__main__.py"
_HOLDER_WORDS: Final = 5
"""Interpreter and options before it."""

Key = tuple[int, int]
"""Process id and start: a number that was given away again is somebody else."""


class Row(NamedTuple):
    """A process as /proc has it."""

    pid: int
    parent: int
    group: int
    session: int
    start_ticks: int

    @property
    def key(self) -> Key:
        return self.pid, self.start_ticks


def parse_row(pid: int, text: bytes) -> Row | None:
    """From /proc/PID/stat (proc(5)); None: it has ended, whether its parent knows or not."""
    fields = text.rpartition(b")")[2].split()
    if len(fields) < 20 or fields[0] in b"ZX":
        return None
    return Row(pid, int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19]))


def assigned(
    rows: Sequence[Row],
    known: Mapping[Key, int],
    tagged: Mapping[Key, int],
    own: Collection[int],
    now: int,
) -> dict[Key, int]:
    """The command of each. `own`: groups and sessions of the shell and its parents, which tell nothing. `now`: the
    command that runs, or the last one. Pure."""
    groups: dict[int, int] = {}
    sessions: dict[int, int] = {}
    found: dict[Key, int] = {}
    by_pid: dict[int, int] = {}
    for row in sorted(rows, key=lambda row: row.key not in known):  # the known first: their groups tell of others
        number = next(
            (
                number
                for number in (
                    known.get(row.key),
                    by_pid.get(row.parent),
                    tagged.get(row.key),
                    groups.get(row.group),
                    sessions.get(row.session),
                )
                if number is not None
            ),
            now,
        )
        found[row.key] = by_pid[row.pid] = number
        if row.group not in own:
            groups.setdefault(row.group, number)
        if row.session not in own:
            sessions.setdefault(row.session, number)
    return found


class Kin:
    """What is known of a session's processes. `root` is the front."""

    def __init__(self, root: int, token: str) -> None:
        self._root, self._token = root, token
        self._known: dict[Key, int] = {}
        self._own = {root, os.getpgid(root), os.getsid(root)}
        """Front, wardens and shells, also those that are gone: each leads a group or session of this number."""
        self.rows: dict[int, list[Row]] = {}
        """Those of each command, when it was last looked."""

    def tag(self, number: int) -> str:
        """What VARIABLE says for a command."""
        return f"{self._token}.{number}"

    def look(self, shells: Iterable[int], now: int) -> dict[int, list[Row]]:
        """The processes of each command that has some, parents first."""
        self._own.update(pid for pid in shells if pid > 0)
        others = []
        for pid in below(self._root, self._own):
            if pid not in self._own and (row := _row(pid)) is not None:
                others.append(row)
        if not others:
            self._known, self.rows = {}, {}
            return {}
        tagged = {
            row.key: number for row in others if row.key not in self._known and (number := self._tag_of(row.pid))
        }
        found = assigned(others, self._known, tagged, self._own, now)
        self._known, self.rows = found, {}
        for row in others:
            self.rows.setdefault(found[row.key], []).append(row)
        return self.rows

    def _tag_of(self, pid: int) -> int | None:
        token, _, number = (tags.value_of(pid, VARIABLE) or "").rpartition(".")
        ours = token == self._token and number.isdecimal() and len(number) <= _MOST_DIGITS
        return int(number) if ours else None


def below(root: int, reapers: Collection[int]) -> Iterator[int]:
    """All that is below `root`, parents first; but no supervisor that a command has started and what that has: to
    outlive its starter is what it is for. It is a child of one of the reapers."""
    children = proc.tree()

    def ours(pid: int) -> list[int]:
        found = children(pid)
        return [child for child in found if not _is_supervisor(child)] if pid in reapers else found

    return tags.below([root], ours, set())


def _is_supervisor(pid: int) -> bool:
    words, _ = proc.command(pid)
    return any(word.endswith(_HOLDER) for word in words[:_HOLDER_WORDS])


def _row(pid: int) -> Row | None:
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return parse_row(pid, os.read(fd, 4096))
    except OSError:
        return None
    finally:
        os.close(fd)


def send(rows: Iterable[Row], number: int) -> int:
    """Signal processes, each through a pidfd that was open before it was seen to be still the same; how many."""
    sent = 0
    for row in rows:
        try:
            fd = os.pidfd_open(row.pid)
        except OSError:
            continue
        try:
            still = _row(row.pid)
            if still is not None and still.start_ticks == row.start_ticks:
                signal.pidfd_send_signal(fd, number)
                sent += 1
        except OSError:
            pass  # it ended
        finally:
            os.close(fd)
    return sent


def tops(rows: Sequence[Row]) -> list[tuple[Row, int]]:
    """Those whose parent is not among them, each with how many it is with all below it. Pure."""
    by_pid = {row.pid: row for row in rows}

    def top(row: Row) -> Row:
        while row.parent in by_pid:
            row = by_pid[row.parent]
        return row

    counts: dict[int, int] = {}
    for row in rows:
        first = top(row).pid
        counts[first] = counts.get(first, 0) + 1
    return [(by_pid[pid], count) for pid, count in counts.items()]


def command(pid: int, text: str | None) -> str:
    """Its words, shortened; `text`: what the shell calls it, which it may be a copy of."""
    words, _ = proc.command(pid)
    found = text or b" ".join(words).decode(errors="replace") or proc.name(pid) or "?"
    return found if len(found) <= COMMAND_CHARS else found[: COMMAND_CHARS - 1] + "…"
