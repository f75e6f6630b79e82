"""What the front says, beside results: one JSON object a line. Pure."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from aish.report import told
from aish.session import settings as bounds
from aish.shell.program import VERSION

if TYPE_CHECKING:
    from typing import Final

    from aish.errors import AishError
    from aish.session.request import Id
    from aish.session.settings import Settings

PROTOCOL: Final = 1


def ready(settings: Settings, shell: int, cwd: str) -> dict[str, Any]:
    """The first line."""
    return {
        "type": "ready",
        "protocol": PROTOCOL,
        "version": VERSION,
        "pid": os.getpid(),
        "shell_pid": shell,
        "cwd": cwd,
        "supervised": not settings.unsupervised,
        "process": None if settings.unsupervised else os.environ.get("AISH_ID"),
        "name": None if settings.unsupervised else os.environ.get("AISH_NAME"),
        "unsupervised_because": settings.unsupervised or None,
        "limits": {
            "line_bytes": bounds.LINE_BYTES,
            "queued": bounds.MOST_QUEUED,
            "timeout_s": settings.timeout_s or None,
            "grace_s": settings.grace_s,
            "output_bytes": settings.output_bytes,
            "most_output_bytes": bounds.MOST_OUTPUT_BYTES,
            "file_bytes": bounds.FILE_BYTES,
            "files": bounds.MOST_FILES,
            "files_bytes": bounds.MOST_FILES_BYTES,
            "open_outputs": bounds.MOST_OPEN,
            "patience_s": settings.patience_s,
        },
    }


def error(id: Id | None, fault: AishError) -> dict[str, Any]:
    """A request that was not done. It is the only answer to it."""
    return {"type": "error", "id": id, "error": told(fault)}


def done(id: Id | None, **more: Any) -> dict[str, Any]:
    return {"type": "done", "id": id} | more


def jobs(id: Id | None, *, running: Id | None, queued: list[Id], background: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "jobs", "id": id, "running": running, "queued": queued, "background": background}


def closed(id: Id | None, reason: str) -> dict[str, Any]:
    """The last line."""
    return {"type": "closed", "id": id, "reason": reason}
