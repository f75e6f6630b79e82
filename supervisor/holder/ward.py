"""The holder's daemon: the one child that is started again when it dies."""

from __future__ import annotations

import os
import signal
import time

from . import birth, wire
from .journal import ack_line, bye_line
from .revival import Revival

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .holder import Answer, Holder
    from .journal import Child

DAEMON = ".daemon"  # its id in the journal: no client can name it


class Ward:
    """The daemon, and through `revival` when to start it next."""

    def __init__(self, holder: Holder) -> None:
        self.holder = holder
        self.revival = Revival()

    def resume(self) -> None:
        """Have it run, unless it does or an earlier holder was told that it leaves."""
        daemon = self.holder.children.get(DAEMON)
        if self.holder.estate.options.daemon_argv is not None and (
            daemon is None or (daemon.exit is not None and not daemon.said_bye)
        ):
            self.revival.wanted(time.monotonic())

    def tick(self, now: float) -> None:
        """Start it if its time has come."""
        if self.revival.due is not None and now >= self.revival.due:
            self.start(None)

    def ended(self, child: Child, status: int | None) -> None:
        """It has died."""
        self.holder.say(f"the daemon {child.pid} ended with wait status {status}")
        self.revival.ended(time.monotonic(), said_bye=child.said_bye, killed=status == signal.SIGKILL)

    def failed(self, failure: birth.Failure) -> None:
        """It could not be started."""
        self.holder.say(f"the daemon did not start: {failure.refusal().message}")
        self.revival.ended(time.monotonic())

    @property
    def pid(self) -> int | None:
        """The daemon's pid while it lives or is being born."""
        if DAEMON in self.holder.births:
            return self.holder.births[DAEMON].pid
        daemon = self.holder.children.get(DAEMON)
        return daemon.pid if daemon is not None and daemon.exit is None else None

    def start(self, answer: Answer | None) -> bool:
        """Start it if it does not run; `answer` hears how that went. False: it runs. Raises Refusal(spawn)."""
        estate = self.holder.estate
        argv = estate.options.daemon_argv
        assert argv is not None
        if answer is not None and DAEMON in self.holder.births:
            self.holder.births[DAEMON].answers.append(answer)
            return True
        if self.pid is not None or self.holder.farewell.closing:
            self.revival.due = None
            return False
        folder = f"{wire.RUNTIME_DIR_VARIABLE}=".encode()
        env = [pair for pair in estate.environment if not pair.startswith(folder)]
        env.append(folder + os.fsencode(estate.options.runtime_dir))
        self.revival.started(time.monotonic())
        if self.holder.children.pop(DAEMON, None) is not None:
            estate.journal.append(ack_line([DAEMON]))
        try:
            null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
            try:
                plan = birth.daemon_plan(argv, env, estate.limits)
                self.holder.begin(DAEMON, plan, [null, 1, 2], [] if answer is None else [answer])
            finally:
                os.close(null)
        except (wire.Refusal, OSError) as error:
            refusal = error if isinstance(error, wire.Refusal) else birth.Failure("fds", error.errno or 0).refusal()
            self.holder.say(f"the daemon did not start: {refusal.message}")
            self.revival.ended(time.monotonic())
            if answer is not None:
                raise refusal from None
        return True

    def bye(self) -> None:
        """The controller leaves on purpose."""
        daemon = self.holder.children.get(DAEMON)
        if daemon is not None and daemon.exit is None:
            daemon.said_bye = True
            self.holder.estate.journal.append(bye_line(DAEMON))
