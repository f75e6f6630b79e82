"""The last lines that a process wrote to stderr: most programs tell there why they give up."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from aish.client.call import Files
from aish.wire.message import Logs

if TYPE_CHECKING:
    from aish.client.call import Asks

_LINES_MOST: Final = 3
_BYTES_MOST: Final = 4096


def last_words(target: str) -> Asks[str]:
    """'' where it said nothing."""
    _, fds = yield Files(Logs(target=target))
    try:
        size_bytes = os.fstat(fds[1]).st_size if len(fds) > 1 else 0
        data = os.pread(fds[1], _BYTES_MOST, max(0, size_bytes - _BYTES_MOST)) if size_bytes else b""
    finally:
        for fd in fds:
            os.close(fd)
    lines = data.decode(errors="replace").splitlines()[-_LINES_MOST:]
    return " · ".join(line.strip() for line in lines if line.strip())
