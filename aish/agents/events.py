"""What an agent does, for programs: one JSON object a line, on the descriptor that AISH_EVENTS_FD names.

Never the text itself: that goes to stdout. docs/reference/agent-files.md lists the kinds.
"""

from __future__ import annotations

import json
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Events:
    """`fd` None: nobody listens. A listener that leaves is forgotten; the agent goes on."""

    __slots__ = ("fd",)

    def __init__(self, fd: int | None) -> None:
        self.fd = fd

    def emit(self, kind: str, **detail: str | float | bool | None) -> None:
        if self.fd is None:
            return
        line = json.dumps({"time_s": round(time.time(), 3), "kind": kind, **detail}) + "\n"
        data = memoryview(line.encode())
        try:
            while data:
                data = data[os.write(self.fd, data) :]
        except OSError:  # nobody reads them any more, or cannot keep up: events are a service, not the work
            self.fd = None


def from_environment(environ: Mapping[str, str]) -> Events:
    """The stream that AISH_EVENTS_FD names if it is open and above stderr."""
    word = environ.get("AISH_EVENTS_FD", "")
    if not word.isdecimal() or len(word) > 6 or int(word) <= 2:
        return Events(None)
    try:
        os.fstat(int(word))
    except OSError:
        return Events(None)
    os.set_inheritable(int(word), False)
    return Events(int(word))
