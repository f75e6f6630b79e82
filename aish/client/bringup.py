"""Starting keeper, holder and daemon where none runs."""

from __future__ import annotations

import os
import sys

from aish.config import folders
from aish.errors import UnavailableError
from aish.supervisor.holder import link


def log_path() -> str:
    """Where keeper, holder and daemon write what nobody else can be told."""
    return os.path.join(folders.state(), "daemon.log")


def start() -> None:
    """Make sure that a holder runs and has been asked for a daemon. Raises UnavailableError, StorageError."""
    argv = [sys.executable, "-m", "aish.supervisor.daemon"]
    try:
        link.launch(folders.runtime(), argv, log_path())
    except OSError as error:
        raise UnavailableError(
            f"cannot start the supervisor: {error.strerror or error}", hint=f"its log is {log_path()}"
        ) from error
