"""The gateway's log: one line each on stderr, which its supervisor appends to a file. Never a body, never a key."""

from __future__ import annotations

import sys
import time


def log(topic: str, text: str) -> None:
    """One line: time, topic, what happened."""
    now_s = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now_s))
    line = f"{stamp}.{int(now_s * 1000) % 1000:03d}Z {topic}: {' '.join(text.split())}\n"
    try:
        sys.stderr.write(line)
        sys.stderr.flush()
    except OSError:
        pass  # a full disk under the log must not stop requests
