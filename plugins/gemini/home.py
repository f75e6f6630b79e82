"""A home for Gemini CLI that is the person's in all but its login: links to what is in ~/.gemini, settings of its own
that have theirs and our login, and its own sessions.

Nothing else leads past a login that the person's settings name: those of the system have to be root's, and the
protocol's `authenticate` writes to the person's.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
from typing import Any, Final

FOLDER: Final = ".gemini"
SETTINGS: Final = "settings.json"
OWN: Final = (SETTINGS, "projects.json", "tmp", "history")
"""Settings, and where it keeps its sessions: it replaces projects.json, and would not write through a link."""
_COMMENT: Final = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', re.DOTALL)


def make(home: str, theirs: str) -> str:
    """`home`, of the person's home `theirs`. It stays, and with it the sessions that are gone on with; several turns
    may make it at once."""
    made, source = os.path.join(home, FOLDER), os.path.join(theirs, FOLDER)
    os.makedirs(made, mode=0o700, exist_ok=True)
    for name in _names(made):
        if os.path.islink(os.path.join(made, name)) and not os.path.exists(os.path.join(made, name)):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(made, name))
    for name in _names(source):
        if name not in OWN:
            with contextlib.suppress(FileExistsError):
                os.symlink(os.path.join(source, name), os.path.join(made, name))
    try:
        with open(os.path.join(source, SETTINGS), encoding="utf-8") as file:
            text = file.read()
    except (OSError, ValueError):
        text = ""
    _write(made, settings(text))
    return home


def confine(folder: str) -> None:
    """Settings for a sandbox, in the home that it has there. Its commands have no terminal: by Landlock none can be
    made, since that would be a word with all of the user's."""
    made = os.path.join(folder, FOLDER)
    os.makedirs(made, mode=0o700, exist_ok=True)
    _write(made, {"tools": {"shell": {"enableInteractiveShell": False}}})


def _write(made: str, found: dict[str, Any]) -> None:
    fd, path = tempfile.mkstemp(dir=made)
    with open(fd, "w", encoding="utf-8") as file:
        json.dump(found, file)
    os.replace(path, os.path.join(made, SETTINGS))


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def settings(theirs: str) -> dict[str, Any]:
    """What is in a settings file, which may have comments, with our login. Pure."""
    try:
        found = json.loads(_COMMENT.sub(lambda match: match[1] or "", theirs))
    except (ValueError, RecursionError):
        found = None
    found = found if isinstance(found, dict) else {}
    security = found.get("security")
    security = security if isinstance(security, dict) else {}
    auth = security.get("auth")
    auth = auth if isinstance(auth, dict) else {}
    return {**found, "security": {**security, "auth": {**auth, "selectedType": "gemini-api-key"}}}
