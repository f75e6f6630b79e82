"""Python code that runs as a command of the shell: verbs, supervised stages, the editor of `read -e`."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import os
import sys
from contextlib import contextmanager

from aish.lang.ordinary_depth import ordinary
from aish.streams import fill

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def as_python_starts() -> Iterator[None]:
    """Without the signals that writing may bring: in the shell they have their default action, but Python code, and
    verbs are that, is written for an error instead. A daemon that dies must not end the shell that talks to it. And
    with no more room to recurse than other code counts on."""
    before = [(number, _signal.signal(number, _signal.SIG_IGN)) for number in (_signal.SIGPIPE, _signal.SIGXFSZ)]
    try:
        with ordinary():
            yield
    finally:
        for number, handler in before:
            _signal.signal(number, _signal.SIG_DFL if handler is None else handler)


def flush() -> None:
    """Write out what Python buffered."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass  # closed, or its reader is gone: the verb has told


def become(environment: dict[str, str]) -> None:
    """Have os.environ be the shell's exported variables, and 0 to 2 be taken: with `aish ps >&-` a socket of the
    verb's own must not become what it prints to."""
    fill()
    if os.environ != environment:
        os.environ.clear()
        os.environ.update(environment)
