"""The values inside messages: what is wanted, how a process stands, a device, a figure, an event.

Text that comes from the operating system (arguments, folders, environment) may hold any bytes, so it travels as
bytes. None: unknown or not applicable. Times are seconds since the epoch.
"""

from __future__ import annotations

import msgspec

from aish.model.state import EXITED, FAILED


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A value inside a message."""


class SessionPart(Part, frozen=True, kw_only=True):
    """The log of a session, which an observed process writes: what is in it from `from_s` on is used by that."""

    path: bytes
    session: str
    from_s: float


class ExitPart(Part, frozen=True, kw_only=True):
    code: int | None = None
    signal: int | None = None
    reason: str | None = None


class TokensPart(Part, frozen=True, kw_only=True):
    """Sums. `cached` are of the input, `reasoning` of the output; `estimated` are of both."""

    input: int = 0
    output: int = 0
    requests: int = 0
    estimated: int = 0
    cached: int = 0
    reasoning: int = 0
    cost_usd: float = 0.0
    unpriced: int = 0
    """Tokens whose price nobody knows: the cost is without them."""
    observed: int = 0
    """Of both: those that did not come through the gateway, but were read in logs of sessions."""


class SlotPart(Part, frozen=True, kw_only=True):
    """What a model's server had of a conversation that it has read, its KV slot, in a file that has its digest for a
    name; and what that fits: the weights, the context of a request and the build of the server."""

    sha256: str
    bytes: int
    tokens: int
    digest: str
    context_tokens: int
    build: str


class TrafficPart(Part, frozen=True, kw_only=True):
    """What passed through the egress proxy between a process and a host. `host` None: all others together."""

    host: str | None = None
    port: int | None = None
    connections: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0


class ParkedPart(Part, frozen=True, kw_only=True):
    """By which usage window a process is held, or ended for a while. `what`, `used` and `budget`: as Hold tells them,
    parts of the window. Times are seconds since the epoch."""

    owner: str
    login: str = ""
    """A mark of the login whose window it is; "": that of the model's key."""
    what: str
    used: float
    budget: float
    until_s: float | None = None
    """When the window begins anew, or the rule's hours end; None: nobody knows."""
    since_s: float
    named: bool = False
    """The rule over it says that this process is in the background: `aish cont` does not help."""
    stranded: bool = False
    """Its environment went with the machine's last start: it goes on when it is given another one."""


class ProcessPart(Part, frozen=True, kw_only=True):
    """One row of ps and top. None: unknown or not applicable. Times are seconds since the epoch."""

    id: str
    name: str
    kind: str
    state: str
    """The one word."""
    lifecycle: str
    ready: str = "unknown"
    holds: list[str] = []
    activity: str | None = None
    parent: str | None = None
    pid: int | None = None
    adopted: bool = False
    """It was started by somebody else: it has no log here, and cannot be started again."""
    argv: list[bytes] = []
    created_s: float
    started_s: float | None = None
    ended_s: float | None = None
    exit: ExitPart | None = None
    reason: str | None = None
    doing: str | None = None
    restarts: int = 0
    cpu_percent: float | None = None
    cpu_seconds: float | None = None
    rss_bytes: int | None = None
    vram_bytes: int | None = None
    vram_quota_bytes: int | None = None
    gpus: list[int] = []
    tokens: TokensPart | None = None
    tokens_per_s: float | None = None
    budget_tokens: int | None = None
    model: str | None = None
    labels: dict[str, str] = {}
    project: str | None = None
    """The aish.toml that declares it."""
    digest: str | None = None
    """Of what that file said about it."""
    due_s: float | None = None
    """When its schedule starts it next."""
    port: int | None = None
    """The leased one, which `{port}` stands for."""
    observe: str | None = None
    """What it uses of models is not metered by the gateway: it is observed, in logs of that kind."""
    sandbox: str | None = None
    """The profile of its sandbox."""
    parked: ParkedPart | None = None
    """It is ended for a while, or is being so."""
    sent_bytes: int | None = None
    """To hosts, through the egress proxy; None: it has no way out by that, so nothing of it is counted."""
    received_bytes: int | None = None

    @property
    def never_ran(self) -> bool:
        """It ended without a run: it was refused, could not be started, or was stopped before."""
        unseen = self.exit is None or (self.exit.code is None and self.exit.signal is None)
        return unseen and (self.lifecycle == FAILED or (self.lifecycle == EXITED and self.started_s is None))


class GpuProcessPart(Part, frozen=True, kw_only=True):
    pid: int
    process: str | None = None
    """Id of the supervised process it belongs to; None: a stranger."""
    vram_bytes: int | None = None
    sm_percent: float | None = None


class GpuPart(Part, frozen=True, kw_only=True):
    index: int
    uuid: str
    name: str
    driver: str
    memory_bytes: int
    used_bytes: int | None = None
    promised_bytes: int = 0
    utilisation_percent: float | None = None
    power_w: float | None = None
    power_limit_w: float | None = None
    temperature_c: float | None = None
    age_s: float | None = None
    """Age of the sample; None: never sampled."""
    error: str | None = None
    processes: list[GpuProcessPart] = []


class QueuePart(Part, frozen=True, kw_only=True):
    process: str
    name: str
    vram_bytes: int
    gpu_count: int = 1
    reason: str
    since_s: float


class EventPart(Part, frozen=True, kw_only=True):
    """One journaled fact: `number` ascends; `kind` is one of aish.model.event.KINDS."""

    number: int
    time_s: float
    kind: str
    process: str | None = None
    name: str | None = None
    text: str = ""
    detail: dict[str, str | int | float | None] = {}


class HandedPart(Part, frozen=True, kw_only=True):
    """A process that `aish off` let go, or one that ended by it."""

    id: str
    name: str
    kind: str
    pid: int | None = None
    paused: bool = False
    """It stands still (SIGSTOP): SIGCONT to its process group lets it go on."""
    terminal: bool = False
    grouped: bool = False
    """It stays in its control group, with the limits of that."""
    gateway: bool = False
    """It has used the gateway, or cannot do without: its requests fail now."""


class RunPart(Part, frozen=True, kw_only=True):
    """One run of a process, over or (`ended_s` None) not."""

    number: int
    """1 is the first; one less is how often it had been started again by then."""
    started_s: float | None = None
    """None: it never ran, `reason` says why."""
    ended_s: float | None = None
    pid: int | None = None
    exit: ExitPart | None = None
    reason: str | None = None
    begun_by: str | None = None
    """Who wanted it: "the user", an id, or in words."""
    ended_by: str | None = None
    """Who had it ended; None: nobody, as far as is known."""
    cpu_seconds: float | None = None
    max_rss_bytes: int | None = None


class EvidencePart(Part, frozen=True, kw_only=True):
    """A line that an answer goes by. `source` is "event", "log", "machine", "gpu" or "table"; a line of a log has no
    time."""

    text: str
    source: str
    time_s: float | None = None


class CausePart(Part, frozen=True, kw_only=True):
    """What a rule found: its name, and how much it explains (0 to 100)."""

    rule: str
    weight: int


class KeyPart(Part, frozen=True, kw_only=True):
    name: str
    created_s: float
    budget_tokens: int | None = None
    budget: dict[str, str] = {}
    """What else is limited, as people write it."""
    tokens: TokensPart = TokensPart()
    revoked: bool = False
    nice: int = 0
    doing: str = ""
    """Its requests under way, and what one waits for."""


class BudgetLine(Part, frozen=True, kw_only=True):
    """One limit of a budget. `word` is one of aish.wire.budget: "usd", "tokens/day", "rpm"."""

    account: str
    """Whose it is: see aish.wire.account."""
    word: str
    most: float
    used: float | None = None
    """None: nothing adds up."""
    promised: float = 0.0
    """To requests under way."""
    hard: bool = False


class UsageRow(Part, frozen=True, kw_only=True):
    key: str
    """Process id, agent or model name, by the query."""
    name: str | None = None
    model: str | None = None
    tokens: TokensPart
    seconds: float = 0.0
    first_token_s: float | None = None
    """Mean time to first token."""
    failures: int = 0


class RequestPart(Part, frozen=True, kw_only=True):
    """One request to a model, as the gateway has recorded it."""

    number: int
    time_s: float
    """When it came."""
    process: str
    """Id of who asked, or "key:NAME"."""
    name: str | None = None
    agent: str | None = None
    project: str | None = None
    model: str
    server: str | None = None
    """Id of the model's process that was asked; None: nobody was."""
    dialect: str
    endpoint: str
    stream: bool
    status: int | None = None
    """Of HTTP; 499: its client hung up; 0: it ended with the gateway; None: it is under way, and its tokens are the
    most that it may take."""
    input: int
    output: int
    cached: int = 0
    reasoning: int = 0
    estimated: bool = False
    cost_usd: float | None = None
    """None: nobody knows its price."""
    price: str | None = None
    """What that was reckoned by."""
    first_token_s: float | None = None
    seconds: float | None = None
    bytes_in: int = 0
    bytes_out: int = 0


class WindowPart(Part, frozen=True, kw_only=True):
    """A usage window of a subscription, as it stands now. None: not known; nothing is after it began anew, until the
    vendor's next word."""

    account: str
    """The model of the route."""
    login: str = ""
    """A mark of the login, where clients bring their own."""
    window: str
    """5h, 7d, 7d_opus."""
    used: float | None = None
    """The part of it that is used: 1 is all."""
    resets_s: float | None = None
    length_s: float | None = None
    status: str | None = None
    """In the vendor's words."""
    seen_s: float
    source: str
    """"header": of an answer; "log": a session's."""
    reserve: float | None = None
    """What is kept for the foreground now: 0.4 is two fifths of it."""
    shares: dict[str, float | None] = {}
    """Who has a share now -> about which part of the window it has used; None: that cannot be told."""
    held: list[str] = []
    """Processes and keys that wait for it."""
    parked: list[str] = []
    """Processes that are ended until it has room."""


class WindowRulePart(Part, frozen=True, kw_only=True):
    """A rule over usage windows."""

    target: str
    """claude, claude/5h, claude#LOGIN/7d."""
    words: dict[str, str]
    """As it was typed: reserve, hours, days, share.SUBJECT, foreground, background."""
    holds: bool
    """It holds now: these are its hours."""
    windows: list[str] = []
    """Those that it is about, of what is known."""


class Finding(Part, frozen=True, kw_only=True):
    """One line of doctor: `level` is "ok", "warn" or "fail"."""

    level: str
    topic: str
    text: str
    hint: str | None = None
