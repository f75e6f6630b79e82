"""Every message between a client and the daemon: requests, replies and the views inside them.

Text that comes from the operating system (arguments, folders, environment) may hold any bytes, so it travels as
bytes. docs/protocol.md is the prose. A change of meaning raises VERSION; a new optional field does not.
"""

from __future__ import annotations

from typing import Final

import msgspec

from aish.wire.part import (
    CausePart,
    EventPart,
    EvidencePart,
    ExitPart,
    Finding,
    GpuPart,
    HandedPart,
    KeyPart,
    ProcessPart,
    QueuePart,
    RunPart,
    UsageRow,
)
from aish.wire.spec import LaunchNote, LaunchPart, LimitPart, SpecPart

VERSION: Final = 1


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag=lambda name: name, omit_defaults=True):
    """Root of requests and replies; the class name is the tag."""


# --- requests ---------------------------------------------------------------------------------------------------


class Hello(Message, frozen=True, kw_only=True):
    """First on every connection."""

    version: int
    program: str = ""


class Spawn(Message, frozen=True, kw_only=True):
    """Start a process. `token` (32 hex digits, chosen by the client) makes it idempotent: the same token again, also
    to a later daemon, answers with the same process.

    `targets` are the numbers that the attached descriptors get in the child, in order. Where 0 is missing stdin is
    /dev/null; where 1 or 2 is missing it is the process's log, appended by the child itself.
    """

    token: str
    spec: SpecPart
    launch: LaunchPart
    targets: list[int] = []
    rename: bool = False
    """Where the name is taken, add -2, -3 … instead of refusing: several stages may run the same agent."""
    window: tuple[int, int] | None = None
    """Rows and columns that its terminal has from the start; None: 24 and 80."""


class Serve(Message, frozen=True, kw_only=True):
    """Have a stored model run; answers with the process that serves it, started now or before."""

    model: str
    vram_bytes: int | None = None
    launch: LaunchPart | None = None
    spec: SpecPart | None = None
    """What else is wanted of its process; command, folder, name, kind, model and route are the server's."""


class Adopt(Message, frozen=True, kw_only=True):
    """Take in a process that runs already: one of the same user, started by somebody else. `token` as in Spawn.

    `start_ticks` (proc(5), field 22) says which process was meant when `pid` was read; another one is refused.
    """

    token: str
    pid: int
    start_ticks: int | None = None
    name: str | None = None
    labels: dict[str, str] = {}
    limits: LimitPart | None = None
    stop_signal: int = 15
    grace_s: float = 10.0


class Snapshot(Message, frozen=True, kw_only=True):
    """Ask for a View now; with `every_s` one after another until the connection closes."""

    all: bool = False
    every_s: float | None = None
    labels: dict[str, str | None] = {}
    """Only those that have them; a value of None: whatever it is."""
    ended_since_s: float | None = None
    """Instead those that have ended since then, in seconds since the epoch."""
    figures: bool = True
    """Whether what they use is to be looked at first; else it is as of whenever somebody last looked."""


class Inspect(Message, frozen=True, kw_only=True):
    target: str


class History(Message, frozen=True, kw_only=True):
    """The runs of a process, newest first: the one that it is at, and the last ones that are over."""

    target: str
    last: int = 20


class Why(Message, frozen=True, kw_only=True):
    """Why a process is as it is: waits, is held, was ended, failed, was started again, is slow."""

    target: str


class Wait(Message, frozen=True, kw_only=True):
    """Answer when the target has ended ("ended") or is ready ("ready": answers also when it ended before; with
    `give_up` also when waiting does not mend why it is not)."""

    target: str
    until: str = "ended"
    timeout_s: float | None = None
    give_up: bool = False
    restarts: int | None = None
    """As the answer to Stop had it: answer also when it has been started again since, for then it had ended."""


class WaitMany(Message, frozen=True, kw_only=True):
    """`Wait` for several: until all of them have, or with `any` the first."""

    targets: list[str]
    until: str = "ended"
    any: bool = False
    timeout_s: float | None = None


class Signal(Message, frozen=True, kw_only=True):
    """Send a signal to the process group of the target."""

    target: str
    signal: int
    bare: bool = False
    """A signal and nothing else: what does not run yet is not stopped by it, but refused."""


class Stop(Message, frozen=True, kw_only=True):
    """Stop signal, then SIGKILL after the grace; `grace_s` 0 kills at once."""

    target: str
    grace_s: float | None = None


class Start(Message, frozen=True, kw_only=True):
    """Have an ended process run again: same id, name and logs, with the caller's surroundings."""

    target: str
    launch: LaunchPart


class Restart(Message, frozen=True, kw_only=True):
    """Stop it, then start it; an ended one is only started. Without `launch` with the surroundings that it had;
    with `spec` as that says from then on. Kind and name stay."""

    target: str
    launch: LaunchPart | None = None
    grace_s: float | None = None
    spec: SpecPart | None = None


class Amend(Message, frozen=True, kw_only=True):
    """Have a process be as `spec` says without a restart. Refused where more than AMENDABLE fields differ."""

    target: str
    spec: SpecPart


class Down(Message, frozen=True, kw_only=True):
    """Stop what belongs to a project, or those of it in `targets`, in stop order; answers when all have ended."""

    project: str
    targets: list[str] = []
    grace_s: float | None = None


class Pause(Message, frozen=True, kw_only=True):
    target: str


class Cont(Message, frozen=True, kw_only=True):
    target: str


class Limit(Message, frozen=True, kw_only=True):
    """Change limits, each as typed: "200k" sets, "+50k" raises, "none" lifts."""

    target: str
    tokens: str | None = None
    vram: str | None = None
    memory: str | None = None
    cpus: str | None = None
    pids: str | None = None
    read: str | None = None
    write: str | None = None
    """Bytes per second, of each disk."""
    nice: str | None = None


class Label(Message, frozen=True, kw_only=True):
    """Give a process labels, and take others away; all of it or nothing."""

    target: str
    set: dict[str, str] = {}
    unset: list[str] = []


class Forget(Message, frozen=True, kw_only=True):
    """Drop an ended process from the table, with its logs."""

    target: str


class Logs(Message, frozen=True, kw_only=True):
    """The log files of a process, as two read-only descriptors: stdout, stderr; with `index` a third one."""

    target: str
    index: bool = False


class Attach(Message, frozen=True, kw_only=True):
    """Be at the terminal of a process: an Attached now, one whenever a new run or the loss of the lease changes it,
    and Waited when the process has ended. Takes the connection for itself, and leaves the terminal with it.

    `write` asks for the lease to type and to set the window's size, which one connection at a time has; `take` takes
    it from who has it. `terminal` says for people where the client is.
    """

    target: str
    write: bool = False
    take: bool = False
    terminal: str = ""


class Events(Message, frozen=True, kw_only=True):
    """Journaled events after number `since`; with `follow` the stream goes on.

    What else is set must all be met; an empty list or map asks for nothing.
    """

    since: int = 0
    follow: bool = False
    target: str | None = None
    since_s: float | None = None
    """Seconds since the epoch."""
    kinds: list[str] = []
    names: list[str] = []
    """Of a process of such a name or id, also of one that is not in the table any more."""
    labels: dict[str, str | None] = {}
    """Of a process that has these now; a value of None: whatever it is."""
    last: int | None = None
    """Only so many, the newest, before what follows."""


class Gpus(Message, frozen=True, kw_only=True):
    """Devices, promises and queue."""


class KeyNew(Message, frozen=True, kw_only=True):
    name: str
    budget_tokens: int | None = None


class KeyList(Message, frozen=True, kw_only=True):
    pass


class KeyRevoke(Message, frozen=True, kw_only=True):
    name: str


class UsageQuery(Message, frozen=True, kw_only=True):
    """Sums of the gateway's own records; `by` is "process", "model" or "agent"."""

    by: str = "process"
    since_s: float | None = None
    """Seconds since the epoch."""


class Doctor(Message, frozen=True, kw_only=True):
    pass


class Shutdown(Message, frozen=True, kw_only=True):
    """End everything in stop order; refused while something runs unless `force`."""

    force: bool = False


class Off(Message, frozen=True, kw_only=True):
    """Hand everything back: the supervisor goes, what runs lives on."""


class GatewayHello(Message, frozen=True, kw_only=True):
    """The gateway's own connection: aish.wire.link is spoken after the Welcome."""

    pid: int
    alert: str | None = None
    """What a person should know of it, as long as it lives."""


Request = (
    Hello
    | Spawn
    | Serve
    | Adopt
    | Snapshot
    | Inspect
    | History
    | Why
    | Wait
    | WaitMany
    | Signal
    | Stop
    | Start
    | Restart
    | Amend
    | Down
    | Pause
    | Cont
    | Limit
    | Label
    | Forget
    | Logs
    | Attach
    | Events
    | Gpus
    | KeyNew
    | KeyList
    | KeyRevoke
    | UsageQuery
    | Doctor
    | Shutdown
    | Off
    | GatewayHello
)


# --- replies ----------------------------------------------------------------------------------------------------


class Welcome(Message, frozen=True, kw_only=True):
    version: int
    pid: int
    epoch: int
    caller: str | None = None
    """The id of the supervised process that the caller is or descends from; None: the user."""
    standing: str = "user"
    """As whom it acts: user (also a process with the rights of its owner), process, or nobody."""
    gateway_url: str = ""
    started_s: float = 0.0
    build: str = ""


class Failure(Message, frozen=True, kw_only=True):
    """`code` is a code of aish.errors; the client raises that class."""

    code: str
    message: str
    hint: str | None = None
    field: str | None = None


class Done(Message, frozen=True, kw_only=True):
    """Acknowledges a request that has nothing to tell; `changed` is False where it was so already."""

    changed: bool = True
    restarts: int | None = None
    """Of what was to stop: how often it had been started again by then."""


class Started(Message, frozen=True, kw_only=True):
    """The answer to Spawn, Serve and Adopt: the intent is journaled and, if admitted, the holder has forked."""

    id: str
    name: str
    state: str
    pid: int | None = None
    reason: str | None = None
    """Why it is queued or failed; of an adopted one what could not be had, such as a limit that nothing holds."""
    existed: bool = False
    unheld: list[str] = []
    """Limits of its spec that nothing holds on this machine, as `Limit` calls them."""


class View(Message, frozen=True, kw_only=True):
    """Everything that ps and top show, at one moment."""

    time_s: float
    host: str
    cpu_percent: float | None = None
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None
    processes: list[ProcessPart] = []
    gpus: list[GpuPart] = []
    queue: list[QueuePart] = []
    alerts: list[str] = []
    gateway_url: str = ""
    daemon_pid: int = 0


class Inspected(Message, frozen=True, kw_only=True):
    """A process in full: never a key, an environment value or a secret."""

    process: ProcessPart
    spec: SpecPart
    launch: LaunchNote
    log_out: bytes | None = None
    log_err: bytes | None = None
    quota_tier: str | None = None
    """What holds the VRAM quota: "watchdog" or None."""
    limit_tier: str = "rlimits"
    """What its tree is held by: control groups "v2", "hybrid" or "v1", else "rlimits"; "watched": an adopted one that
    could not be put into a group."""
    stdout: bytes | None = None
    stderr: bytes | None = None
    """Of an adopted one: the file or terminal that it writes to; None: a pipe, nothing, or not ours to know."""
    unheld: list[str] = []
    """Limits of its spec that nothing holds on this machine."""
    children: list[str] = []
    attached: int = 0
    """Connections that are at its terminal."""
    events: list[EventPart] = []


class Runs(Message, frozen=True, kw_only=True):
    id: str
    name: str
    runs: list[RunPart]


class Explained(Message, frozen=True, kw_only=True):
    """For people a paragraph, with the lines that it goes by and the rules behind it, the strongest first."""

    id: str
    name: str
    state: str
    paragraph: str
    evidence: list[EvidencePart] = []
    causes: list[CausePart] = []
    knows_from_s: float | None = None
    """From when on this daemon knows what the machine looked like."""


class Waited(Message, frozen=True, kw_only=True):
    id: str
    state: str
    exit: ExitPart | None = None
    timed_out: bool = False
    hopeless: str | None = None
    """Why waiting for its readiness is in vain."""


class HandedBack(Message, frozen=True, kw_only=True):
    """What became of everything; the connection ends with the daemon."""

    living: list[HandedPart] = []
    ended: list[HandedPart] = []
    """What had not started, and what is aish's own."""
    behind: list[int] = []
    """Pids that stay until the last process with a terminal has ended: they read its output."""


class WaitedMany(Message, frozen=True, kw_only=True):
    """Those that have ended, or are ready, in the order in which they were named."""

    waited: list[Waited] = []
    timed_out: bool = False
    """It took too long; `waited` are those that had by then."""


class LogFiles(Message, frozen=True, kw_only=True):
    """Two descriptors are attached: stdout's log, stderr's log. `pty`: everything is in the first, and so it is with
    `ordered`, where nobody can tell which of the two a line is of."""

    id: str
    ended: bool
    pty: bool = False
    ordered: bool = False
    index: bool = False
    """A third one is attached: when the two files had which size (aish.wire.log_index)."""


class Attached(Message, frozen=True, kw_only=True):
    """With the lease (`writer`) one descriptor comes: the pty's master. A viewer gets none, and reads the log."""

    id: str
    name: str = ""
    writer: bool = False
    lease: str | None = None
    """Who has it, for people: "pid 4711 at /dev/pts/3"; None: nobody."""


class EventList(Message, frozen=True, kw_only=True):
    events: list[EventPart]
    until: int = 0
    """All up to this number were looked at: what to pass as `since` next."""
    more: bool = False
    """There may be more after it."""


class GpuList(Message, frozen=True, kw_only=True):
    gpus: list[GpuPart]
    queue: list[QueuePart]
    drivers: dict[str, str] = {}
    """Driver -> "ok" or why it has no devices."""


class KeyMade(Message, frozen=True, kw_only=True):
    """The only time that the key is shown."""

    name: str
    key: str
    base_url: str


class Keys(Message, frozen=True, kw_only=True):
    keys: list[KeyPart]


class UsageTable(Message, frozen=True, kw_only=True):
    by: str
    rows: list[UsageRow]


class Findings(Message, frozen=True, kw_only=True):
    findings: list[Finding]


Reply = (
    Welcome
    | Failure
    | Done
    | Started
    | View
    | Inspected
    | Runs
    | Explained
    | Waited
    | WaitedMany
    | LogFiles
    | Attached
    | EventList
    | GpuList
    | KeyMade
    | Keys
    | UsageTable
    | Findings
    | HandedBack
)
