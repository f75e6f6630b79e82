"""Every reply of the daemon to a client, and the views inside them: see `aish.wire.message`."""

from __future__ import annotations

from aish.model.state import EXITED, FAILED
from aish.wire.mail import MailPart
from aish.wire.message import Message
from aish.wire.part import (
    BudgetLine,
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
    RequestPart,
    RunPart,
    SlotPart,
    TokensPart,
    TrafficPart,
    UsageRow,
    WindowPart,
    WindowRulePart,
)
from aish.wire.question import QuestionPart
from aish.wire.spec import LaunchNote, SpecPart


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

    @property
    def came_to_nothing(self) -> bool:
        """It could not be started, or was stopped before it was."""
        return self.state == FAILED or (self.state == EXITED and self.pid is None)


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
    sandbox_tier: str | None = None
    """What holds its sandbox: "bwrap" or "landlock"; None: it has none, or did not run yet."""
    sandbox_open: list[str] = []
    """What it can reach there all the same, for people."""
    traffic: list[TrafficPart] = []
    """With whom it has spoken through the egress proxy, in all its runs."""
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
    reason: str | None = None
    """Why it never ran, where it did not."""
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
    """Those that have ended, or are ready, in the order in which they were named; with `any` in that in which they
    did."""

    waited: list[Waited] = []
    timed_out: bool = False
    """It took too long; `waited` are those that had by then."""


class LogFiles(Message, frozen=True, kw_only=True):
    """Two descriptors are attached: stdout's log, stderr's log. `pty`: everything is in the first, and so it is with
    `ordered`, where nobody can tell which of the two a line is of."""

    id: str
    ended: bool
    name: str = ""
    pty: bool = False
    ordered: bool = False
    index: bool = False
    """A third one is attached: when the two files had which size (aish.wire.log_index)."""
    note: str | None = None
    """What is known of a model's server and is not in its log."""


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


class RequestList(Message, frozen=True, kw_only=True):
    requests: list[RequestPart]
    """Oldest first."""
    more: bool = False
    """There are others that were asked for: older ones, or with `after` newer ones."""


class TextsKept(Message, frozen=True, kw_only=True):
    """Whose texts are kept now."""

    accounts: list[str]
    changed: bool = False


class SlotKept(Message, frozen=True, kw_only=True):
    """`slot` None: `why` it is not kept. `told`: why the one that was to be used was not."""

    slot: SlotPart | None = None
    why: str = ""
    told: str = ""


class RequestText(Message, frozen=True, kw_only=True):
    """One request's text: the bodies as its client sent and got them, keys taken out. Nothing of headers."""

    number: int
    time_s: float
    process: str
    """Id of who asked, or "key:NAME"."""
    epoch: int | None = None
    """Of the process table; None: of a key."""
    model: str
    endpoint: str
    status: int | None = None
    asked: str
    answered: str
    asked_bytes: int
    """As they were: larger than the text, where that is cut."""
    answered_bytes: int


class Windows(Message, frozen=True, kw_only=True):
    windows: list[WindowPart]
    rules: list[WindowRulePart] = []


class Budgets(Message, frozen=True, kw_only=True):
    """Nearest first. `day` is the one that counts for limits of a day, as 2025-11-29; it ends at `day_ends_s`."""

    lines: list[BudgetLine]
    day: str = ""
    day_ends_s: float = 0.0
    tokens: TokensPart | None = None
    """What the process or key itself has used; every request that was answered is in it."""


class Answered(Message, frozen=True, kw_only=True):
    """`question` has its answer."""

    question: QuestionPart


class QuestionList(Message, frozen=True, kw_only=True):
    questions: list[QuestionPart]


class Sent(Message, frozen=True, kw_only=True):
    """A message is in the mail of `to`."""

    number: int
    to: str


class Mail(Message, frozen=True, kw_only=True):
    mail: MailPart | None


class MailList(Message, frozen=True, kw_only=True):
    mail: list[MailPart]


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
    | RequestList
    | TextsKept
    | SlotKept
    | RequestText
    | Windows
    | Budgets
    | Answered
    | QuestionList
    | Sent
    | Mail
    | MailList
    | Findings
    | HandedBack
)
