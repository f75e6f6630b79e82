"""The gateway's log: one line each on stderr, which its supervisor appends to a file. Never a body, never a key."""

from __future__ import annotations

import logging
import sys
import time
import traceback


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


class OneLine(logging.Handler):
    """What libraries log, as one line: never their text, which may quote a request, only where it happened."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is None:
            log(record.name, f"{record.levelname.lower()} in {record.module}.{record.funcName}")
        else:
            log(record.name, place(error))


def place(error: BaseException) -> str:
    """The kind of an error and where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" in {frames[-1].name} ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return type(error).__name__ + where


def take_over_logging() -> None:
    """Libraries' warnings go to the log in our form."""
    logging.basicConfig(level=logging.WARNING, handlers=[OneLine()], force=True)
