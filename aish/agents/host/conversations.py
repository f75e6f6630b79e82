"""The last conversation of each agent in each folder, by the word of its program: what `--session last` goes on with.

A file of the state folder for each agent and folder; it outlives the process, its row and its transcript.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from typing import Final

from aish.agents.asked import LAST
from aish.config import folders, private_file
from aish.errors import StorageError, UsageError

KEPT_MOST: Final = 1000
"""Conversations: the oldest go."""
_BYTES_MAX: Final = 64 << 10
_FOLDER: Final = "conversations"


class Conversations:
    """Of one agent, which `adapter` runs, in the folder `cwd`."""

    def __init__(self, agent: str, adapter: str, cwd: str) -> None:
        self._who = {"agent": agent, "adapter": adapter, "folder": os.path.realpath(cwd)}
        key = "\0".join(self._who.values()).encode("utf-8", "surrogateescape")
        self._place = os.path.join(folders.state(), _FOLDER)
        self._path = os.path.join(self._place, hashlib.sha256(key).hexdigest()[:32])

    def wanted(self, session: str | None) -> str | None:
        """What `--session` names. Raises UsageError where there is no last one."""
        if session != LAST:
            return session
        found = self._read()
        if found is None:
            raise UsageError(
                f"@{self._who['agent']} has had no conversation in {self._who['folder']} that it could go on with",
                hint=f"without --session {LAST} it begins one; other folders have theirs",
            )
        return found

    def _read(self) -> str | None:
        try:
            with open(self._path, "rb") as stream:
                found = json.loads(stream.read(_BYTES_MAX))
        except (OSError, ValueError, RecursionError):
            return None  # there is none, or it is of no use: that is told
        session = found.get("session") if isinstance(found, dict) else None
        return session if isinstance(session, str) and session else None

    def is_called(self, session: str) -> None:
        """It is the last one now. Raises StorageError."""
        told = json.dumps({**self._who, "session": session, "time_s": time.time()})
        try:
            os.makedirs(self._place, mode=0o700, exist_ok=True)
            private_file.replace(self._path, told.encode(), draft=f"{self._path}.{os.getpid()}")
            self._prune()
        except OSError as error:
            raise StorageError(f"{self._path}: {error.strerror}") from error

    def _prune(self) -> None:
        with os.scandir(self._place) as entries:
            paths = [entry.path for entry in entries]
        if len(paths) > KEPT_MOST:
            for path in sorted(paths, key=_changed_s)[: len(paths) - KEPT_MOST * 9 // 10]:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)


def _changed_s(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0
