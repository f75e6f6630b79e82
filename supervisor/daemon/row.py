"""The persistent half of a process: one row of the journal. No environment, no key, no secret is ever in it."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from aish.model import exit as exits
from aish.model.exit import Exit
from aish.model.state import ENDED, word
from aish.supervisor.daemon import machine
from aish.wire.part import ExitPart, ParkedPart, SessionPart, TokensPart, TrafficPart
from aish.wire.spec import LastWordPart, SpecPart

if TYPE_CHECKING:
    from aish.model.state import Activity

# The words of aish.model.state, which has no types at run time; msgspec checks what it reads by these.
Lifecycle = Literal[
    "scheduled", "queued", "starting", "running", "stopping", "backoff", "parked", "exited", "failed", "lost"
]
Ready = Literal["yes", "no", "unknown"]
Hold = Literal["user", "budget", "memory", "operator"]


ALIVE: Final = "handed back: it lives on without a supervisor"


class Wrapup(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """It is to say a last message, and is stopped at `until_boot_s`."""

    last: LastWordPart
    until_boot_s: float
    within_s: float
    by: str
    said: bool = False
    """It has had its last answer: it is left a moment to write it down."""


class Row(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What the journal keeps of a process. Times are seconds since the epoch; None: not yet, or unknown."""

    id: str
    number: int
    """The digits of the id; 0 or less for a part of aish itself."""
    name: str
    spec: SpecPart
    """As asked for, with current limits (`Limit` changes them here)."""
    next_spec: SpecPart | None = None
    """What it is to be from its next start on."""
    token: str | None = None
    parent: str | None = None
    lifecycle: Lifecycle = "queued"
    ready: Ready = "unknown"
    holds: list[Hold] = []
    paused_by: str | None = None
    """Who put the hold 'user': an id, or None for the user in person."""
    reason: str | None = None
    """Why it is queued, failed or was stopped, as a sentence."""
    thawing: bool = False
    """It is to go on, and whether its SIGCONT has been sent is not known yet."""
    grace_s: float | None = None
    """Grace that whoever stops it wants instead of its spec's."""
    wrapup: Wrapup | None = None
    barred: ParkedPart | None = None
    """The usage window that holds it, or by which it is parked."""
    parking: bool = False
    """It is to end for a while, for that: from the intent until it goes on, or ends for good."""
    goes_on: bool = False
    """It was parked: this run goes on with what the one before was at."""
    worked_s: float = 0.0
    """How long it had run before it was parked: that counts for how long it may run."""
    worked_then_s: float = 0.0
    """The same, when it was meant to be parked: what follows is no work, and its end perhaps seen after a reboot."""
    wake: str | None = None
    """Somebody let it go on while it was being parked, as a sentence: it does as soon as it is."""
    parkings_boot_s: list[float] = []
    """When it was parked lately."""
    in_front_until_s: float | None = None
    """So long it counts as in the foreground: the user's word."""
    stop_reason: str | None = None
    """Why it was asked to stop: a word of aish.model.exit, given to its exit."""
    created_s: float
    queued_boot_s: float | None = None
    """Since when it waits: seconds since boot, as all that is decided by time."""
    started_s: float | None = None
    ready_s: float | None = None
    """Since when it is ready, or was when its probe said so last."""
    ended_s: float | None = None
    pid: int | None = None
    start_ticks: int | None = None
    """Start time of `pid` in clock ticks since boot: with the boot's id it names the process for ever."""
    boot_id: str | None = None
    adopted: bool = False
    """Somebody else started it: it is no child of the holder, and nobody knows how to start it again."""
    before: tuple[int, int | None] | None = None
    """(pid, start_ticks) of the run before this one: its exit, told again, is not this one's."""
    exit: ExitPart | None = None
    checking: bool = False
    """It has ended with 0, and the command that decides success is asked."""
    concluded: tuple[str, str] | None = None
    """What it has told of this run's end: a word of aish.model.exit.TOLD, and a sentence."""
    cause: str | None = None
    """Why it is being ended as failed: a word of aish.model.exit."""
    made_by: str | None = None
    """The process that had it made, where that is not its parent: a model belongs to nobody."""
    begun_by: str | None = None
    """Who wanted this run: "the user", an id, or in words. None: nobody noted it."""
    next_by: str | None = None
    """Who wants the next one."""
    ended_by: str | None = None
    """Who had this run ended."""
    signalled: tuple[int, str] | None = None
    """The last signal that somebody sent through us in this run, and who."""
    runs_noted: int = 0
    """The number of the last run that is in the history."""
    again: bool = False
    """It is to be started again when it has been stopped."""
    group_wish: Literal["restart", "stop"] | None = None
    """What a failure in its group means for it, not begun yet."""
    group_restart: bool = False
    """It is being restarted with its group."""
    due_s: float | None = None
    """When its schedule starts it next."""
    last_due_s: float | None = None
    """The latest time of its schedule that is done with: no time is run twice."""
    preparing: bool = False
    """Its hook before the start, or what fetches its secrets, may run: the holder was not asked for it so far."""
    hook: tuple[str, int, int] | None = None
    """What is run around its runs, or was last: before, check or after; its pid and start_ticks."""
    after_due: ExitPart | None = None
    """The end of the run after which its hook is to be run, or is being run: nobody has noted that it is done."""
    unheard: bool = False
    """Its socket for sd_notify was lost and made again, and it has not been heard since: what it said may be lost."""
    was_ready: bool = False
    """Whether any of its runs was ever ready."""
    restarts_boot_s: list[float] = []
    """When it was started again lately."""
    restart_boot_s: float | None = None
    """When it is to be started again: in backoff."""
    restarts: int = 0
    runs: int = 0
    """Runs before the one that it is at."""
    gpus: list[str] = []
    """UUIDs of the devices promised to it."""
    port: int | None = None
    port_before: int | None = None
    """Of the run before: the next one gets it again if it is still free."""
    targets: list[int] = []
    """Numbers of the descriptors that its client passed."""
    terminal: bool = False
    """One of them is a terminal; of an adopted one: it has one."""
    logged: tuple[bool, bool] = (True, True)
    """Whether stdout and stderr go to log files."""
    umask: int = 0o022
    switched: str | None = None
    """The model that answers it, whatever it asks for."""
    nice: int = 0
    nice_limit: int | None = None
    """What `aish limit` set: its next runs have it, too, whatever they are started from. None: that decides."""
    rlimits: dict[str, tuple[int, int]] = {}
    environ_names: list[str] = []
    sessions: list[SessionPart] = []
    """Logs of its sessions, where it is observed."""
    sessions_in: bytes | None = None
    """The folder in which they are looked for."""
    sessions_run: tuple[int, int] | None = None
    """(pid, start_ticks) of the run that they are looked for, and when it began."""
    sessions_from_s: float | None = None
    sessions_open: bool = False
    """The gateway may not have read all of them yet."""
    sessions_known: bool = False
    """It has ended, and there are no others."""
    tokens: TokensPart | None = None
    context_tokens: int | None = None
    sandbox_tier: str | None = None
    """What holds its sandbox, in this run or the last one."""
    sandbox_open: list[str] = []
    """What of it cannot be kept from it there."""
    traffic: list[TrafficPart] = []
    """What passed through the egress proxy, host by host."""
    cpu_seconds: float | None = None
    """Of the last run that ended, as the kernel told its parent; None: unknown, or it runs."""
    max_rss_bytes: int | None = None

    @property
    def ended(self) -> bool:
        return self.lifecycle in ENDED

    @property
    def stands_still(self) -> bool:
        """Whether what holds it stops the process itself."""
        return machine.freezes(frozenset(self.holds), observed=self.spec.observe is not None)

    @property
    def stop_signal(self) -> int:
        """What asks it to end. One that is parked dies of it, whatever its spec says: a host takes SIGINT for the end
        of its turn, and that one is to go on."""
        return signal.SIGTERM if self.parking else self.spec.stop_signal

    @property
    def handed_back(self) -> bool:
        """It may live on, and is not ours any more: `aish off`."""
        return self.exit is not None and self.exit.reason == exits.HANDED_BACK

    def leave_pid(self) -> None:
        """Its run is over: what is still left of it is found by where it was."""
        if self.pid is not None:
            self.before = (self.pid, self.start_ticks)
        self.pid = self.start_ticks = None

    def word(self, activity: Activity | None) -> str:
        return word(self.lifecycle, self.ready, frozenset(self.holds), activity)


def exit_of(row: Row) -> Exit | None:
    """The exit as the model's type; None while it has not ended."""
    if row.exit is None:
        return None
    return Exit(row.exit.code, row.exit.signal, row.exit.reason)
