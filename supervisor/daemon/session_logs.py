"""Whose a session's log is: files that programs write by themselves, found for processes that are observed.

A log is that of a process when
    one of its tree has it open, as far as /proc tells: Codex's releases hide that from everybody but root (prctl(2),
        PR_SET_DUMPABLE), so it is not enough
    its head names, as the session that it is a sub-agent of, one that is known to be the process's
    its head says that it began in the process's folder while the process ran, or the process was started to resume
        it, and all that holds for no other process that is observed, and nobody else is seen to have it open

What fits several is nobody's: a figure that may be another's is worse than none. Reads /proc and files: for a thread.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from aish.agents import rollout
from aish.supervisor.daemon import proc
from aish.supervisor.daemon.tags import everybody

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SLACK_S: Final = 2.0
"""A head tells when its program began with it: a little after the process did, by a clock that may be set."""
MOST_LOGS: Final = 512
"""Of one process: a session has one, and each of its sub-agents."""
_MOST_FDS: Final = 4096
_RESUMES: Final = b"resume"


@dataclass(slots=True, frozen=True)
class Wanted:
    """A process that is looked for. `known`: its logs so far, and the sessions that they are of."""

    id: str
    folder: bytes
    cwds: frozenset[str]
    words: tuple[bytes, ...]
    pids: tuple[int, ...]
    began_s: float
    ended_s: float | None
    known: dict[bytes, str]

    def ran(self, at_s: float) -> bool:
        return at_s >= self.began_s - SLACK_S and (self.ended_s is None or at_s <= self.ended_s + SLACK_S)


@dataclass(slots=True)
class Found:
    logs: dict[str, dict[bytes, str]] = field(default_factory=dict)
    """By process: what is new, and of which session."""
    unclear: dict[bytes, tuple[str, ...]] = field(default_factory=dict)
    """Logs that fit several processes, and which."""

    def add(self, id: str, path: bytes, session: str) -> None:
        self.logs.setdefault(id, {})[path] = session


class Finder:
    """Remembers heads: they never change."""

    def __init__(self) -> None:
        self._heads: dict[tuple[bytes, int], rollout.Head | None] = {}

    def find(self, wanted: Iterable[Wanted], *, everywhere: bool) -> Found:
        """New logs of these. `everywhere`: also in folders of earlier days, where a session that goes on has its."""
        wanted = list(wanted)
        found = Found()
        opened = _opened(wanted)
        known = {path for process in wanted for path in process.known}
        for folder in {process.folder for process in wanted}:
            there = [process for process in wanted if process.folder == folder]
            since_s = min(process.began_s for process in there)
            for path, status in _recent(folder, since_s - SLACK_S, everywhere=everywhere):
                if path not in known:
                    self._place(path, status, there, opened, found)
        return found

    def _place(
        self, path: bytes, status: os.stat_result, there: list[Wanted], opened: dict[bytes, set[str]], found: Found
    ) -> None:
        head = self._head(path, status)
        if head is None:
            return
        holders = opened.get(path)
        if holders is not None:
            for id in holders:
                found.add(id, path, head.id)
            return
        fits = [process for process in there if _is_child(head, process, found)]
        fits = fits or [process for process in there if _fits(head, process, status)]
        if len(fits) > 1:
            found.unclear[path] = tuple(process.id for process in fits)
        elif fits and not _open_elsewhere(path, fits[0].pids):
            found.add(fits[0].id, path, head.id)

    def _head(self, path: bytes, status: os.stat_result) -> rollout.Head | None:
        key = (path, status.st_ino)
        if self._heads.get(key) is None:  # the first line may not be whole yet
            if len(self._heads) > MOST_LOGS * 8:
                self._heads.clear()
            self._heads[key] = read_head(path)
        return self._heads[key]


def read_head(path: bytes) -> rollout.Head | None:
    """Of a file of ours; None where it has none so far."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with open(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.getuid():
            return None
        line, newline, _ = file.read(rollout.MOST_HEAD_BYTES).partition(b"\n")
    return rollout.head(line) if newline else None


def _is_child(head: rollout.Head, process: Wanted, found: Found) -> bool:
    sessions = {*process.known.values(), *found.logs.get(process.id, {}).values()}
    return head.parent is not None and head.parent in sessions


def _fits(head: rollout.Head, process: Wanted, status: os.stat_result) -> bool:
    if head.id.encode(errors="replace") in b" ".join(process.words):
        return process.ran(status.st_mtime)  # it was told to go on with it
    if head.cwd not in process.cwds:
        return False
    if head.began_s is not None and process.ran(head.began_s):
        return True
    return _RESUMES in b" ".join(process.words).split() and process.ran(status.st_mtime)


def folder(environ: Iterable[bytes]) -> bytes | None:
    """Where a Codex with these variables has its sessions."""
    variables = dict(entry.partition(b"=")[::2] for entry in environ)
    home = variables.get(b"CODEX_HOME") or os.path.join(variables.get(b"HOME") or b"", b".codex")
    return os.path.join(home, os.fsencode(rollout.FOLDER)) if home.startswith(b"/") else None


def surroundings(pids: Iterable[int], cwd: bytes, argv: Iterable[bytes]) -> tuple[frozenset[str], tuple[bytes, ...]]:
    """Folders that a process may have begun a session in, and all words of its tree."""
    words, cwds = list(argv), {cwd}
    for pid in pids:
        said, where = proc.command(pid)
        words += said
        if where != b"/":
            cwds.add(where)
    for word, after in zip(words, [*words[1:], b""], strict=True):
        if word in (b"-C", b"--cd") and after:
            cwds.add(os.path.join(cwd, after))
        elif word.startswith(b"--cd="):
            cwds.add(os.path.join(cwd, word.removeprefix(b"--cd=")))
    return frozenset(os.fsdecode(os.path.realpath(each)) for each in cwds), tuple(words)


# --- files ------------------------------------------------------------------------------------------------------


def _recent(folder: bytes, since_s: float, *, everywhere: bool) -> Iterator[tuple[bytes, os.stat_result]]:
    """Logs below YYYY/MM/DD that were written to since then."""
    days = _below(_below(_below([folder])))
    if not everywhere:
        days = [day for day, _ in sorted(((day, _changed_s(day)) for day in days), key=lambda pair: pair[1])[-3:]]
    for day in days:
        for entry in _entries(day):
            try:
                if rollout.name(os.fsdecode(entry.name)):
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode) and status.st_mtime >= since_s:
                        yield entry.path, status
            except OSError:
                continue  # it was moved away


def _below(folders: Iterable[bytes]) -> list[bytes]:
    return [
        entry.path
        for folder in folders
        for entry in _entries(folder)
        if entry.name.isdigit() and entry.is_dir(follow_symlinks=False)
    ]


def _changed_s(folder: bytes) -> float:
    try:
        return os.stat(folder).st_mtime
    except OSError:
        return 0.0


def _entries(folder: bytes) -> list[os.DirEntry[bytes]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


# --- who has them open ------------------------------------------------------------------------------------------


def _opened(wanted: Iterable[Wanted]) -> dict[bytes, set[str]]:
    """Logs that processes of these trees have open, by path: whose."""
    found: dict[bytes, set[str]] = {}
    for process in wanted:
        for pid in process.pids:
            for path in _files(pid):
                if path.startswith(process.folder) and rollout.name(os.fsdecode(os.path.basename(path))):
                    found.setdefault(path, set()).add(process.id)
    return found


def _open_elsewhere(path: bytes, pids: Iterable[int]) -> bool:
    """Whether somebody outside of the tree is seen to have it open."""
    own = {*pids, os.getpid()}
    return any(path in _files(pid) for pid in everybody() if pid not in own)


def _files(pid: int) -> list[bytes]:
    """What it has open; [] where it keeps that to itself."""
    folder = b"/proc/%d/fd" % pid
    found = []
    try:
        for name in os.listdir(folder)[:_MOST_FDS]:
            try:
                found.append(os.readlink(os.path.join(folder, name)))
            except OSError:
                continue
    except OSError:
        return []
    return found
