"""The process table in memory: by id, by name, by token, by pid, and the tree."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aish.errors import ConflictError, InputError, NotFoundError
from aish.model.name import KEY, RESERVED, is_id
from aish.model.nearest import nearest
from aish.supervisor.daemon import endpoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from aish.supervisor.daemon.endpoint import Endpoint
    from aish.supervisor.daemon.process import Process

GATEWAY_ID: Final = "gateway"
EGRESS_ID: Final = "egress"
OWN_IDS: Final = (GATEWAY_ID, EGRESS_ID)
"""Parts of aish that are supervised like the rest."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+-]{0,127}")
_UNFIT: Final = re.compile(r"[^A-Za-z0-9._:/+-]+")


def own_number(id_: str) -> int:
    """The number of one of them: none of a process, and each has its own, by which the journal keeps its row."""
    return -OWN_IDS.index(id_)


class Table:
    """Names are unique among processes that have not ended; ids are never given twice."""

    def __init__(self, next_number: int = 1) -> None:
        self.next_number = next_number
        self._processes: dict[str, Process] = {}
        self._alive: dict[str, Process] = {}
        self._names: dict[str, str] = {}
        self._tokens: dict[str, str] = {}
        self._pids: dict[int, str] = {}
        self._children: dict[str, set[str]] = {}

    def __iter__(self) -> Iterator[Process]:
        return iter(self._processes.values())

    def __len__(self) -> int:
        return len(self._processes)

    def get(self, id_: str) -> Process | None:
        return self._processes.get(id_)

    def alive(self) -> list[Process]:
        """All that have not ended, oldest first; the parts of aish itself too."""
        return list(self._alive.values())

    def by_token(self, token: str) -> Process | None:
        return self._processes.get(self._tokens.get(token, ""))

    def named(self, name: str) -> Process | None:
        """The process of that name that has not ended."""
        return self._processes.get(self._names.get(name, ""))

    def has_socket(self, place: Endpoint, but: str) -> str | None:
        """Which process, beside the one with the id `but`, has a socket opened there."""
        for process in self.alive():
            row = process.row
            theirs = (
                endpoint.read(part, row.port or 1) for part in row.spec.sockets if row.started_s and row.id != but
            )
            if any(endpoint.clash(place, each) for each in theirs):
                return f"{row.name} ({row.id})"
        return None

    def session(self, pid: int) -> str | None:
        """The id whose process has, or last had, that pid. What was handed back is a program like others."""
        id_ = self._pids.get(pid)
        process = self._processes.get(id_ or "")
        return None if process is not None and process.row.handed_back else id_

    def leader(self, pid: int, start_ticks: int) -> str | None:
        """The id whose process is that very process, by its start time."""
        process = self._processes.get(self._pids.get(pid, ""))
        if process is None or process.row.ended or process.row.start_ticks != start_ticks:
            return None
        return process.id

    def add(self, process: Process) -> None:
        """Enter a process, new or from the journal. Raises ConflictError on a taken name."""
        row = process.row
        if not row.ended:
            if row.name in self._names:
                raise ConflictError(f"the name {row.name} is taken by {self._names[row.name]}")
            self._names[row.name] = row.id
            self._alive[row.id] = process
        self._processes[row.id] = process
        self.next_number = max(self.next_number, row.number + 1)
        if row.token is not None:
            self._tokens[row.token] = row.id
        if row.parent is not None:
            self._children.setdefault(row.parent, set()).add(row.id)
        if row.pid is not None:
            self._pids[row.pid] = row.id

    def began(self, process: Process) -> None:
        """Its pid is known; an earlier process that had this number is not found by it any more."""
        if process.row.pid is not None:
            self._pids[process.row.pid] = process.id

    def ended(self, process: Process) -> None:
        """Its name may be taken again."""
        self._alive.pop(process.id, None)
        if self._names.get(process.row.name) == process.id:
            del self._names[process.row.name]

    def revive(self, process: Process) -> None:
        """An ended process is alive again. Its name must be free: see `free_for`."""
        self._names[process.row.name] = process.id
        self._alive[process.id] = process

    def free_for(self, process: Process) -> None:
        """Raises ConflictError where another one has its name by now."""
        owner = self._names.get(process.row.name)
        if owner is not None and owner != process.id:
            raise ConflictError(
                f"the name {process.row.name} is taken by {owner}", hint=f"stop it first: `aish stop {owner}`"
            )

    def remove(self, process: Process) -> None:
        """Forget an ended process."""
        row = process.row
        self.ended(process)
        del self._processes[row.id]
        if row.token is not None:
            self._tokens.pop(row.token, None)
        if row.parent in self._children:
            self._children[row.parent].discard(row.id)
        if not self._children.get(row.id):
            self._children.pop(row.id, None)
        if row.pid is not None and self._pids.get(row.pid) == row.id:
            del self._pids[row.pid]

    def children(self, id_: str) -> list[Process]:
        found = (self._processes.get(child) for child in self._children.get(id_, ()))
        return sorted((process for process in found if process is not None), key=lambda process: process.row.number)

    def subtree(self, id_: str) -> set[str]:
        """`id_` and all ids below it."""
        found = {id_}
        todo = [id_]
        while todo:
            for child in self._children.get(todo.pop(), ()):
                if child not in found:
                    found.add(child)
                    todo.append(child)
        return found

    def lives_below(self, id_: str) -> Process | None:
        """One below it that has not ended."""
        below = (self._alive.get(each) for each in sorted(self.subtree(id_)) if each != id_)
        return next((process for process in below if process is not None), None)

    def ancestors(self, id_: str) -> Iterator[str]:
        """Ids above `id_`, nearest first; also of forgotten ones as far as they are known."""
        seen = {id_}
        process = self._processes.get(id_)
        while process is not None and process.row.parent is not None and process.row.parent not in seen:
            seen.add(process.row.parent)
            yield process.row.parent
            process = self._processes.get(process.row.parent)

    def resolve(self, target: str, known: set[str] | None = None) -> Process:
        """The process meant by `p12`, `name`, `@p12` or `@name`; of ended ones of a name, the latest.

        Raises NotFoundError with the nearest name among the ids in `known` (None: all).
        """
        word = target.removeprefix("@")
        found = self.find(word)
        if found is not None:
            return found
        near = nearest(word, self._words(known))
        hint = f"did you mean {near}?" if near else "`aish ps --all` lists what there is"
        if not word:
            raise NotFoundError("no process was named", hint=hint)
        raise NotFoundError(f"no process is called {word[:80]}", hint=hint)

    def find(self, word: str) -> Process | None:
        """As `resolve`, without a complaint."""
        return self._processes.get(word) or self.named(word) or self._ended_named(word)

    def _ended_named(self, name: str) -> Process | None:
        found = None
        for process in self:
            if process.row.name == name:
                found = process
        return found

    def _words(self, known: set[str] | None) -> Iterable[str]:
        for process in self:
            if known is None or process.id in known:
                yield process.row.name
                yield process.id

    def new_name(self, wanted: str | None, program: str, *, number: bool) -> str:
        """The name for a new process: as wanted, or from its program's name made unique by a number.

        `number`: also a wanted name that is taken gets a number. Raises InputError (not a name), ConflictError.
        """
        if wanted is not None:
            check_name(wanted)
            if wanted not in self._names:
                return wanted
            if not number:
                raise ConflictError(
                    f"the name {wanted} is taken by {self._names[wanted]}",
                    hint=f"stop it first (`aish stop {wanted}`), or choose another name",
                )
            stem = wanted
        else:
            stem = _UNFIT.sub("-", program.rsplit("/", 1)[-1])[:64].strip("-.:/+_") or "process"
            if stem in RESERVED or is_id(stem):
                stem += "-1"
            if stem.startswith(KEY):
                stem = stem.replace(":", "-", 1)
            if stem not in self._names:
                return stem
        suffix = 2
        while f"{stem}-{suffix}" in self._names:
            suffix += 1
        return f"{stem}-{suffix}"


def check_name(name: str) -> None:
    """Raises InputError unless `name` may be a process's name."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"not a name: {name[:80]!r}",
            field="name",
            hint="letters, digits and . _ : / + - are allowed, 128 at most, beginning with a letter or digit",
        )
    if is_id(name):
        raise InputError(f"{name} looks like an id", field="name", hint="choose a name that is not p and a number")
    if name.startswith(KEY):
        raise InputError(
            f"{name[:80]} means a key at the gateway",
            field="name",
            hint=f"choose a name that does not begin with {KEY}",
        )
    if name in RESERVED:
        raise InputError(f"the name {name} is aish's own", field="name", hint="choose another name")
