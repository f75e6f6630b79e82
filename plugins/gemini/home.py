"""A home for Gemini CLI that is the person's in all but its login: links to what is in ~/.gemini, and settings of its
own that have theirs and our login.

Nothing else leads past a login that the person's settings name: those of the system have to be root's, and the
protocol's `authenticate` writes to the person's.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any, Final

FOLDER: Final = ".gemini"
SETTINGS: Final = "settings.json"
_COMMENT: Final = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', re.DOTALL)


def make(folder: str, theirs: str) -> str:
    """In `folder`, of the person's home `theirs`; its path."""
    home, source = os.path.join(folder, "home"), os.path.join(theirs, FOLDER)
    made = os.path.join(home, FOLDER)
    os.makedirs(made, mode=0o700)
    try:
        names = os.listdir(source)
    except OSError:
        names = []
    for name in names:
        if name != SETTINGS:
            os.symlink(os.path.join(source, name), os.path.join(made, name))
    try:
        with open(os.path.join(source, SETTINGS), encoding="utf-8") as file:
            text = file.read()
    except (OSError, ValueError):
        text = ""
    with open(os.path.join(made, SETTINGS), "x", encoding="utf-8") as file:
        json.dump(settings(text), file)
    return home


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
