"""The desktop's keyring, asked by a program of its own: the `keyring` of the extra of that name."""

from __future__ import annotations

import importlib.util
import os
import sys

from aish.errors import UnavailableError


def lookup(entry: str) -> list[bytes]:
    """The command that prints what is at SERVICE/USER. Raises UnavailableError where there is none."""
    if importlib.util.find_spec("keyring") is None:
        raise UnavailableError("keyring is not installed: pip install 'aish-shell[keyring]'")
    service, _, user = entry.rpartition("/")
    words = [sys.executable, "-P", "-m", "keyring", "get", service, user]  # -P: nothing of the folder it runs in
    return [os.fsencode(word) for word in words]
