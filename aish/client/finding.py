"""When to try to reach the daemon, and what is done in between so that there is one. Without a wait of its own: the
blocking and the asynchronous connection sleep and try, each in its way."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from aish.config import folders
from aish.errors import NotRunningError, OutOfReachError, UnavailableError
from aish.model import sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

AGAIN_S: Final = 0.5
"""How often the holder is asked again for a daemon while none answers. Asking twice does no harm."""
PATIENCE_S: Final = 2.0
"""A daemon that keeps ending at its start is told of after so long."""
PAUSE_S: Final = 0.004
"""There is no event for 'a socket file accepts'; the whole start takes some 200 ms."""


def attempts(*, start: bool, patience_s: float) -> Iterator[float | None]:
    """So many seconds to sleep before each attempt; who reached it goes no further. None: no
    attempt, but `aish.client.bringup.start` is to be called.

    Raises NotRunningError (none runs, without `start`; OutOfReachError in a sandbox), UnavailableError (none gets up
    in time), StorageError.
    """
    yield 0.0
    from aish.client import bringup

    if _moved():
        yield 0.0
    if start:
        folders.private(folders.runtime())
        folders.private(folders.state())
    yield from _bring_up(start=start)
    ill = False
    met: set[int] = set()
    now_s = time.monotonic()
    deadline, again_s = now_s + patience_s, now_s + AGAIN_S
    pause_s = 0.0
    while now_s < deadline:
        yield pause_s
        pause_s = PAUSE_S
        if now_s > again_s:  # the daemon that the holder spoke of may have been leaving, and the holder with it
            again_s = now_s + AGAIN_S
            why = bringup.why_not(met) if now_s > deadline - patience_s + PATIENCE_S else None
            if why is not None and ill:  # twice in a row: it is no restart that we happened to see
                raise UnavailableError(f"the daemon does not start: {why}", hint=f"its log is {bringup.log_path()}")
            ill = why is not None
            if not _moved():
                yield from _bring_up(start=start)
        now_s = time.monotonic()
    raise UnavailableError(
        f"the daemon did not answer within {patience_s:.0f} s", hint=f"its log is {bringup.log_path()}"
    )


def outside() -> bool:
    """False in a sandbox that does not reach the supervisor: one that were started in there would know of nothing. It
    is for who wants to start something."""
    return sandbox.VARIABLE not in os.environ


def out_of_reach() -> OutOfReachError | None:
    """What is to be told of a supervisor that is not found; None: this is no sandbox that it would be hidden from."""
    profile = os.environ.get(sandbox.VARIABLE)
    if profile is None:
        return None
    lets = "ask from outside, or have the sandbox let it in: --sandbox-spawn, in a file `spawn: true`"
    return OutOfReachError(
        f"the supervisor is not reached from inside this sandbox ({profile})",
        hint="ask from outside: only bubblewrap could let it in" if sandbox.LANDLOCK in profile else lets,
    )


def recorded() -> bool:
    """Whether a supervisor has ever run here: the next one knows what was supervised, and has its logs."""
    return os.path.exists(os.path.join(folders.state(), folders.TABLE))


def _moved() -> bool:
    """Whether the supervisor of our state folder has its sockets elsewhere; then we look there from now on."""
    from aish.client import bringup

    there = bringup.elsewhere()
    if there is not None:
        os.environ[folders.RUNTIME_VARIABLE] = there
    return there is not None


def _bring_up(*, start: bool) -> Iterator[None]:
    """A daemon is on its way; without `start` only where a holder runs, which starts the next one by itself, and
    where all of them were killed: what lived through that is known to the next daemon alone."""
    from aish.client import bringup

    if not start and bringup.holder_runs():
        return
    if start or bringup.broke_off():
        yield None
    elif (why := out_of_reach()) is not None:
        raise why
    else:
        raise NotRunningError("the daemon is not running", hint="nothing is supervised; `aish spawn` starts it")
