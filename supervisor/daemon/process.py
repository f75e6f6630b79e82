"""A process as the daemon knows it now: its row, and what needs no journal."""

from __future__ import annotations

import asyncio
import math
import os
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from aish.model.state import activity
from aish.model.usage import Usage
from aish.wire.spec import LaunchPart

if TYPE_CHECKING:
    from aish.model.state import Activity
    from aish.supervisor.daemon.row import Row
    from aish.supervisor.daemon.vigil import Reminder

_encode: Final = msgspec.msgpack.Encoder().encode

T = TypeVar("T")
_shared: dict[tuple[type, bytes], Any] = {}
_entries: dict[bytes, bytes] = {}
SHARED_MOST: Final = 256
ENTRIES_MOST: Final = 4096
_ALIKE: Final = (
    *("before", "after", "check", "ready", "live", "restarts", "limits", "labels"),
    *("needs", "sockets", "secrets", "secret_sources"),
)
_ALIKE_IN_ROW: Final = ("environ_names", "rlimits", "holds", "restarts_boot_s", "parkings_boot_s", "gpus", "targets")


def share(row: Row) -> None:
    """Processes of one shell have the same limits and names of variables: some 5 KB, needed once by all of them.
    Those of one kind have the same probes, hooks and limits, and all have much that is empty: another 2 KB.

    Nobody changes these values in place.
    """
    if len(_shared) > SHARED_MOST:
        _shared.clear()
    for name in _ALIKE_IN_ROW:
        setattr(row, name, once(getattr(row, name)))
    found = {name: getattr(row.spec, name) for name in _ALIKE}
    row.spec = msgspec.structs.replace(row.spec, **{name: once(value) for name, value in found.items()})


def once(value: T) -> T:
    """The first one that was like it, and of its type: what is all defaults is written alike."""
    first: T = _shared.setdefault((type(value), _encode(value)), value)
    return first


def shared(launch: LaunchPart) -> LaunchPart:
    """The same surroundings, made of what others have already: programs of one shell differ in a variable or two."""
    if len(_entries) > ENTRIES_MOST:
        _entries.clear()
    return LaunchPart(
        environ=[_entries.setdefault(entry, entry) for entry in launch.environ],
        umask=launch.umask,
        rlimits=once(launch.rlimits),
        nice=launch.nice,
    )


class Process:
    """`row` is journaled, the rest is lost with the daemon and found again."""

    __slots__ = (
        "backoff_timer",
        "device_use",
        "doing",
        "fds",
        "forks_refused",
        "grace_timer",
        "health_timer",
        "hopeless",
        "launch",
        "launch_timer",
        "launching",
        "log_from",
        "members",
        "metered",
        "oom_kills",
        "oom_tallied",
        "pidfd",
        "refused_s",
        "resend_timer",
        "rest",
        "row",
        "run_timer",
        "run_warning",
        "start_due_s",
        "tokens_per_s",
        "told",
        "trouble",
        "unheld",
        "usage",
        "waiting",
        "wants",
        "watch_fd",
        "watchdog_s",
        "window",
    )

    def __init__(self, row: Row) -> None:
        share(row)
        self.row = row
        self.launch: LaunchPart | None = None
        """Captured surroundings, until the run has begun and no other can follow."""
        self.fds: list[int] = []
        """Descriptors passed by the client, until the holder has them."""
        self.usage = Usage()
        self.members: frozenset[int] = frozenset()
        """PIDs of the last sweep: itself and its descendants."""
        self.oom_kills = 0
        """Of its control group, before this run."""
        self.oom_tallied: int | None = None
        """The same, as far as they are in the sum of all; None: a daemon before had it, and nobody has looked yet."""
        self.forks_refused = 0
        """The same, and what has been noted of this run."""
        self.unheld: list[str] | None = None
        """Limits that nothing holds, as was told; None: by a daemon before."""
        self.device_use: dict[str, int | None] = {}
        """VRAM by device UUID in the last sample."""
        self.refused_s = -math.inf
        """When it was last told that what is below it was refused another process, on the monotonic clock."""
        self.metered: Activity | None = None
        """What the gateway knows of its requests; `doing` is its word, or the supervisor's own."""
        self.doing: str | None = None
        self.told: tuple[Activity | None, str | None] = (None, None)
        """What it tells itself that it does."""
        self.wants: str | None = None
        """The oldest of its questions that wait for a person's answer."""
        self.tokens_per_s: float | None = None
        self.grace_timer: Reminder | None = None
        self.backoff_timer: asyncio.TimerHandle | None = None
        self.run_timer: asyncio.TimerHandle | None = None
        self.run_warning: asyncio.TimerHandle | None = None
        """How long a run may take."""
        self.health_timer: Reminder | None = None
        """From the stop signal to SIGKILL for one that does not do its job any more."""
        self.start_due_s: float | None = None
        """When it must be ready, on the vigil's clock."""
        self.watchdog_s: float | None = None
        """When it last said WATCHDOG=1, on the vigil's clock."""
        self.log_from: dict[str, int] = {}
        """Where in its logs the text of this run begins that was not looked at yet; never changed in place."""
        self.launching = False
        """The holder is being asked to start it: what its list says about it is older."""
        self.launch_timer: asyncio.TimerHandle | None = None
        """The disk refused to note down its start: the next try."""
        self.resend_timer: asyncio.TimerHandle | None = None
        """Set while its client is to send its descriptors again: it may not be started before."""
        self.waiting: list[asyncio.Future[None]] | None = None
        """For its next change."""
        self.pidfd: int | None = None
        """From its birth to its end; None where descriptors are few, or it had ended by then."""
        self.watch_fd: int | None = None
        """The same for a process that lives outside the holder: it is watched."""

        self.trouble: str | None = None
        """Of a model: why it is not ready, as the gateway found out."""
        self.hopeless: str | None = None
        """The same, where waiting does not mend it."""
        self.rest: tuple[float, str] | None = None
        """Of a model: until when (seconds since the epoch) its server is not asked, and why."""
        self.window: tuple[int, int] | None = None
        """Of its client's terminal, for its first run."""

    @property
    def id(self) -> str:
        return self.row.id

    @property
    def activity(self) -> Activity | None:
        return activity(self.metered, self.told[0], asks=self.wants is not None)

    @property
    def word(self) -> str:
        return self.row.word(self.activity)

    def shown(self, now_s: float) -> str | None:
        """What it is doing, or what keeps it from that."""
        if self.rest is not None and self.rest[0] > now_s and not self.row.ended:
            until_s, why = self.rest
            return f"rests for {math.ceil(until_s - now_s)} s: {why}"
        if self.trouble or self.row.holds or self.row.ended:
            return self.trouble or self.doing
        told, doing = self.told
        return self.wants or (doing if doing and told == self.activity else None) or self.doing

    def close_fds(self) -> None:
        while self.fds:
            os.close(self.fds.pop())

    def cancel_timers(self) -> None:
        for timer in (self.grace_timer, self.backoff_timer, self.launch_timer, self.resend_timer):
            if timer is not None:
                timer.cancel()
        self.grace_timer = self.backoff_timer = self.launch_timer = self.resend_timer = None

    def changed(self) -> None:
        """Wake who waits for this process to change."""
        waiting, self.waiting = self.waiting, None
        for waiter in waiting or ():
            if not waiter.done():
                waiter.set_result(None)

    async def change(self) -> None:
        """Until the next change."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting = [*(self.waiting or ()), waiter]
        try:
            await waiter
        finally:
            self._waits_no_more(waiter)

    def _waits_no_more(self, waiter: asyncio.Future[None]) -> None:
        if self.waiting is not None and waiter in self.waiting:
            self.waiting.remove(waiter)
