"""`python -m aish.supervisor.daemon`: started by the holder, as its child. Its log is STATE/daemon.log.

With `--check BUILD` it only says whether it could be: see aish.supervisor.daemon.trial.
"""

from __future__ import annotations

import asyncio
import os
import resource
import sys
import time

from aish.client import bringup
from aish.config import folders
from aish.errors import AishError, ConflictError
from aish.supervisor.daemon import lock, trial
from aish.supervisor.daemon.daemon import Daemon
from aish.supervisor.daemon.turns import Turns
from aish.supervisor.holder import kernel
from aish.supervisor.holder.wire import HolderError


def main() -> int:
    os.umask(0o077)
    if sys.argv[1:2] == [trial.CHECK] and len(sys.argv) == 3:
        return trial.check(sys.argv[2])
    _raise_limits()
    try:
        boot_id = kernel.boot_id()
        folders.private(folders.runtime())
        held = lock.take(folders.private(folders.state()))
        turns = Turns()
        with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(turns)) as runner:
            legacy = runner.run(_run(boot_id, turns))
        os.close(held)
    except ConflictError:
        return 0  # another daemon serves this user
    except AishError as error:
        _say(f"{error}" + (f" ({error.hint})" if error.hint else ""))
        return error.exit_status
    return 0 if legacy is None else _launch(legacy)


async def _run(boot_id: str, turns: Turns) -> dict[str, int] | None:
    """Until the daemon is to leave; descriptors by name for the next one if keeper and holder have to be started."""
    daemon = Daemon(boot_id, turns)
    await daemon.begin()
    await daemon.left.wait()
    daemon.end()
    return daemon.legacy() if daemon.relaunch else None


def _launch(legacy: dict[str, int]) -> int:
    """New keeper and holder, with a new daemon: a holder takes nobody as its controller but its own child."""
    try:
        bringup.launch(legacy)
    except (HolderError, OSError) as error:
        _say(f"keeper and holder cannot be started again: {error}")
        return 1
    return 0


def _raise_limits() -> None:
    """As many descriptors as the system allows, no core file; children get theirs from what their client had."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))  # keys and secrets pass through here


def _say(text: str) -> None:
    kernel.say(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {text}")


if __name__ == "__main__":
    sys.exit(main())
