"""What an agent was asked, said, did and was allowed: a file of one JSON object a line, 0600, beside its logs.

Every entry has `time_s` and `kind`: prompt, text, tool, output, result, thought, question, answer, session, end … A
line is written at once and whole, so that a reader who follows it never sees half a one, and a kill loses nothing
that was told.
"""

from __future__ import annotations

import json
import os
import time
from typing import Final

from aish.errors import StorageError

VARIABLE: Final = "AISH_TRANSCRIPT"
"""Names the file, for who runs in an agent's process; its tools do not get it."""
LINE_BYTES: Final = 1 << 20
"""Longer texts are cut, and say so."""


class Transcript:
    """Appends; `path` None: nobody keeps it. What the disk refuses is told once and lost: the work goes on."""

    def __init__(self, path: str | None) -> None:
        self.path = path
        self.failure: StorageError | None = None
        self._fd: int | None = None

    def write(self, kind: str, **detail: str | float | bool | None) -> None:
        if self.path is None or self.failure is not None:
            return
        entry = {"time_s": round(time.time(), 3), "kind": kind, **detail}
        data = _line(entry)
        try:
            if self._fd is None:
                self._fd = _opened(self.path)
            view = memoryview(data)
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError as error:
            self.failure = StorageError(f"the transcript cannot be written: {error.strerror}")

    @classmethod
    def of_environment(cls) -> Transcript:
        """That of this process, whose children will not find it."""
        return cls(os.environ.pop(VARIABLE, None))

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _opened(path: str) -> int:
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(path, flags, 0o600)
    size = os.fstat(fd).st_size
    if size and os.pread(fd, 1, size - 1) != b"\n":  # a kill, or a full disk, left half a line
        os.write(fd, b"\n")
    return fd


def _line(entry: dict[str, str | float | bool | None]) -> bytes:
    data = json.dumps(entry, ensure_ascii=False).encode("utf-8", "replace")
    if len(data) > LINE_BYTES:
        most = LINE_BYTES // (8 * max(1, len(entry)))
        cut = {key: value[:most] if isinstance(value, str) else value for key, value in entry.items()}
        data = json.dumps({**cut, "cut": True}, ensure_ascii=False).encode("utf-8", "replace")
    return data + b"\n"
