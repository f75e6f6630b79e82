"""What the daemon's file for prompts says: how many processes run, how many agents wait for the person."""

from __future__ import annotations

import os

_MOST_BYTES = 512


def figures(runtime_folder: str) -> dict[str, int]:
    """The file's words; none where no daemon keeps it true."""
    try:
        fd = os.open(
            os.path.join(runtime_folder, "prompt"), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        )
        try:
            if os.fstat(fd).st_uid != os.geteuid():
                return {}
            line = os.read(fd, _MOST_BYTES).decode("ascii", "replace")
        finally:
            os.close(fd)
    except OSError:
        return {}
    words = (word.partition("=") for word in line.split())
    values = {name: int(value) for name, _, value in words if value.isdecimal()}
    return values if os.path.isdir(f"/proc/{values.get('pid', 0)}") else {}
