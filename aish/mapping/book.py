"""The log of a map: a head that says which, then a line of JSON for each end, so that a later one goes on from there.

What had begun and was not noted is found among the processes, by its labels: a run outlives whoever started it.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from typing import TYPE_CHECKING, Any

from aish.errors import ConflictError, InputError, StorageError

if TYPE_CHECKING:
    from typing import Self

LINE_BYTES = 1 << 20


class Book:
    """`path` None: nothing is kept. `mark` is that of the command. Locked against a second map with the same log.

    Raises StorageError, ConflictError, InputError for what is no such log."""

    def __init__(self, path: str | None, mark: str, *, resume: bool) -> None:
        self.id = secrets.token_hex(6)
        """What all processes of the map, and of those before with this log, have as a label."""
        self.statuses: dict[str, int] = {}
        """The last known end of an item."""
        self._fd: int | None = None
        if path is None:
            return
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            os.lockf(self._fd, os.F_TLOCK, 0)
        except BlockingIOError as error:
            raise ConflictError(
                f"{path} is the log of a map that runs", hint="wait for it, or name another"
            ) from error
        except OSError as error:
            raise StorageError(f"{path}: {error.strerror}") from error
        if not os.fstat(self._fd).st_size:
            self._write({"map": self.id, "mark": mark})
        elif not resume:
            raise ConflictError(f"{path} is there already", hint="--resume goes on with it; else name another")
        else:
            self._read(path, mark)

    def _read(self, path: str, mark: str) -> None:
        with open(path, "rb") as stream:
            for number, line in enumerate(stream, 1):
                if not line.endswith(b"\n"):
                    os.write(self._fd or 0, b"\n")  # a kill has left half a line
                    return
                self._take(f"{path}:{number}", _entry(line), mark, first=number == 1)

    def _take(self, place: str, entry: dict[str, Any] | None, mark: str, *, first: bool) -> None:
        if entry is None and not first:
            return  # half a line, that a kill had left
        if first:
            if entry is None or not isinstance(entry.get("map"), str) or not entry["map"].isalnum():
                raise InputError(f"{place}: this is no log of a map")
            if entry.get("mark") != mark:
                raise ConflictError(f"{place}: the log of another command", hint="each command has a log of its own")
            self.id = entry["map"]
        elif entry is not None:
            item, status = entry.get("item"), entry.get("status")
            if not isinstance(item, str) or not isinstance(status, int):
                raise InputError(f"{place}: this is no log of a map")
            self.statuses[item] = status

    def ended(self, item: str, process: str, status: int, seconds: float | None) -> None:
        """Raises StorageError."""
        self.statuses[item] = status
        if self._fd is not None:
            entry = {"item": item, "process": process, "status": status, "seconds": seconds}
            self._write({"time_s": round(time.time(), 3), **entry})

    def _write(self, entry: dict[str, Any]) -> None:
        try:
            os.write(self._fd or 0, (json.dumps(entry) + "\n").encode())
        except OSError as error:
            raise StorageError(f"the log of the map cannot be written: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line) if len(line) <= LINE_BYTES else None
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
