"""What is wanted of a process. `SpecPart` is journaled and shown; `LaunchPart` is private to the calling environment.

The split keeps secrets out of the journal: an environment may hold keys, so `LaunchPart` goes to a 0600 file of the
runtime folder and never into SQLite, events or `inspect`. Words of other systems (arguments, folders) are bytes.
"""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

from aish.wire.part import Part
from aish.wire.sandbox import SandboxPart

P = TypeVar("P", "LimitPart", "BudgetPart")

TOLD_CHARS: Final = 80
DELAY_S: Final = 0.1
LONGEST_S: Final = 30.0
"""The first and the longest delay before a restart, where they are not said."""


class LimitPart(Part, frozen=True, kw_only=True):
    """What the whole tree of a process may use; None: no limit."""

    memory_bytes: int | None = None
    """Resident memory with page cache, where control groups count it; else resident memory, watched."""
    cpus: float | None = None
    """Cores' worth of time: 1.5 is one and a half."""
    pids: int | None = None
    """Processes and threads."""
    read_bytes_per_s: int | None = None
    write_bytes_per_s: int | None = None
    """Of each disk."""
    on_oom: str = "kill"
    """At its limit of memory: "kill" ends it, reason "oom"; "hold" keeps it there until the limit is raised."""
    children: int | None = None
    """Supervised processes below it at a time, at whatever depth: what is one too many is refused."""
    depth: int | None = None
    """Levels of supervised processes below it: 1 is what it starts itself."""


class RestartPart(Part, frozen=True, kw_only=True):
    """How a restart policy goes about it: the first restart comes at once, each further one within `stable_s` waits
    twice as long, by a fifth more or less. More than `most` restarts within `window_s` are a crash loop."""

    delay_s: float = DELAY_S
    longest_s: float = LONGEST_S
    most: int | None = 8
    """None: never a crash loop."""
    window_s: float = 60.0
    stable_s: float = 60.0
    """A run of this length starts the count afresh."""

    @property
    def most_s(self) -> float:
        """The longest delay. Where that is not said, a first one that is longer is."""
        return max(self.longest_s, self.delay_s) if self.longest_s == LONGEST_S else self.longest_s


class ProbePart(Part, frozen=True, kw_only=True):
    """How it is found out whether a process does its job. One of `command`, `url`, `address`, `pattern`, `notify`."""

    command: list[bytes] = []
    """Run in its folder, with its environment: 0 is yes."""
    url: str | None = None
    """An HTTP GET that is answered with 200 to 399; `{port}` is the leased port."""
    address: str | None = None
    """HOST:PORT or unix:/PATH that accepts a connection."""
    pattern: str | None = None
    """A text that a line of its output holds; for readiness only, and once is for good."""
    notify: bool = False
    """It tells by itself: sd_notify(3), READY=1 for readiness, WATCHDOG=1 for life."""
    every_s: float = 1.0
    timeout_s: float = 5.0
    """Of one probe; for `notify` the time within which WATCHDOG=1 must come."""
    failures: int = 3
    """So many in a row mean that it does not do its job any more."""


class NeedPart(Part, frozen=True, kw_only=True):
    """Another process that this one waits for."""

    name: str
    until: str = "ready"
    """"started", "ready", or "completed": ended successfully."""
    timeout_s: float | None = None
    """Then it fails, and says so; None: it waits."""


class GroupPart(Part, frozen=True, kw_only=True):
    """Processes that fail together, as Erlang/OTP's supervisors have it (`strategy`), in the order of `place`.

    Only what the restart policy of a member wants again counts as its failure, or that it gave up; not a stop."""

    name: str
    strategy: str = "one_for_one"
    """What is restarted with the one that failed: "one_for_one" nothing, "rest_for_one" those behind it,
    "one_for_all" all."""
    place: int = 0
    """Started in this order, stopped in the opposite one; equal ones together."""


class SchedulePart(Part, frozen=True, kw_only=True):
    """When a process runs: not at once, but at these times. One that is still at it then is not started twice."""

    cron: str
    """Five fields as crontab(5) has them, or six, the first for seconds; or @hourly, @daily, @weekly …"""
    timezone: str | None = None
    """A name of the tz database; None: the machine's."""
    missed: str = "skip"
    """Times that went by while nobody could start it, or while it still ran: "skip" them, or run "once" for all."""


class SecretPart(Part, frozen=True, kw_only=True):
    """Where a secret is fetched from at each start. One of `file`, `command`, `keyring`; what it yields is never
    kept, shown or logged."""

    file: bytes | None = None
    """An absolute path; its text without the last line end."""
    command: list[bytes] = []
    """Its stdout without the last line end; run in the process's folder."""
    keyring: str | None = None
    """SERVICE/USER of the desktop's keyring."""

    def told(self) -> str:
        """Where it comes from, for people."""
        if self.file is not None:
            return f"file:{self.file.decode(errors='backslashreplace')}"
        if self.keyring is not None:
            return f"keyring:{self.keyring}"
        words = self.command[2:] if self.command[:2] == [b"sh", b"-c"] else self.command
        text = b" ".join(words).decode(errors="backslashreplace")
        return f"command:{text if len(text) <= TOLD_CHARS else text[: TOLD_CHARS - 1] + '…'}"


class SocketPart(Part, frozen=True, kw_only=True):
    """A socket that the supervisor opens, keeps open between runs and passes as sd_listen_fds(3) has it."""

    address: str
    """HOST:PORT or unix:/PATH; `{port}` is the leased port."""
    kind: str = "stream"
    """"stream" or "datagram"."""
    name: str | None = None
    """In LISTEN_FDNAMES; None: "unknown", as systemd.socket(5) has it."""
    backlog: int = 4096
    mode: int = 0o600
    """Of a Unix socket's file."""


class PricePart(Part, frozen=True, kw_only=True):
    """What a model costs: USD for a million tokens, and for an hour of answering (energy, a rented machine)."""

    input_usd: float = 0.0
    output_usd: float = 0.0
    cached_usd: float | None = None
    """Of input that was read from a cache; None: as other input."""
    written_usd: float | None = None
    """Of input that was written to a cache; None: as other input."""
    hour_usd: float = 0.0

    def told(self) -> str:
        """As people write it."""
        values = {name: getattr(self, field) for name, field in PRICES.items()}
        shown = {name: value for name, value in values.items() if value is not None and (value or name != "hour")}
        return " ".join(f"{name}={value:g}" for name, value in shown.items())


class BudgetPart(Part, frozen=True, kw_only=True):
    """What a process and all below it may ask of models, beside tokens in all (`budget_tokens`); None: no limit."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    usd: float | None = None
    requests: int | None = None
    requests_per_minute: int | None = None
    concurrent: int | None = None
    """Requests under way at a time."""
    context_tokens: int | None = None
    """Of one request, its answer included."""
    hard: bool = False
    """Refuse what would be held."""
    tokens_per_day: int | None = None
    """In a day, as the gateway has it: from midnight to midnight where it runs."""
    input_tokens_per_day: int | None = None
    output_tokens_per_day: int | None = None
    usd_per_day: float | None = None
    requests_per_day: int | None = None


class LastWordPart(Part, frozen=True, kw_only=True):
    """What a process that is wrapped up may still ask of models: a last message, within a grace."""

    message: str
    """What is added to its next request."""
    tokens: int | None = None
    budget: BudgetPart = BudgetPart(requests=1)


def laid_over(part: P | None, under: P | None) -> P | None:
    """What `part` says, and of the rest what `under` says; both of one type, whose defaults say nothing."""
    if part is None or under is None:
        return part or under
    usual = type(part)()
    said = {name: value for name in part.__struct_fields__ if (value := getattr(part, name)) != getattr(usual, name)}
    return msgspec.structs.replace(under, **said)


PRICES: Final = {
    "input": "input_usd",
    "output": "output_usd",
    "cached": "cached_usd",
    "written": "written_usd",
    "hour": "hour_usd",
}
"""As people write them."""


class RoutePart(Part, frozen=True, kw_only=True):
    """How the gateway reaches a model process."""

    url: str
    """An http base (`http://127.0.0.1:{port}/v1`; `{port}` is leased by the daemon at start), or `unix:PATH` of a
    socket. A remote one has an empty argv: there is nothing to run."""
    upstream_name: str | None = None
    """What the server itself calls the model; with a `*`, all of its models whose name fits."""
    digest: str | None = None
    """Manifest digest of a stored model."""
    context_tokens: int | None = None
    key_file: str | None = None
    key: SecretPart | None = None
    """Where else the gateway fetches the server's key; a command is run in the home folder, and again after five
    minutes or when the server refuses what it printed."""
    """A 0600 file whose first line is the upstream's key; only the gateway reads it."""
    dialect: str = "openai"
    """What the server speaks: see aish.model.dialect."""
    price: PricePart | None = None
    """None: what is known of its vendor's prices, and nothing for a server on this machine."""
    proxy: str | None = None
    """Address of the HTTP proxy in between; None: that of the environment."""
    ca_file: str | None = None
    """Certificates in PEM of authorities that count beside the system's."""
    login: str = "key"
    """Whose login the server is asked with: "key", ours if there is one, or "client", the client's own (of a
    subscription), which passes through untouched and is never kept."""
    concurrent: int | None = None
    """How many requests it is sent at a time, the others wait for their turn; None: as many as its server says that
    it serves at a time (llama.cpp), else all."""


class FailoverPart(Part, frozen=True, kw_only=True):
    """What becomes of a request to a model that fails before its first byte, beside going to another server of its
    name."""

    fallback: list[str] = []
    """Models that are asked in its place, in this order."""
    retries: int = 0
    """How often it is sent again to the same server, after a pause."""


class SpecPart(Part, frozen=True, kw_only=True):
    """The declared part of a process."""

    argv: list[bytes]
    program: bytes | None = None
    """What is executed, an absolute path; None: argv[0], looked up in PATH where it has no slash."""
    cwd: bytes = b"/"
    name: str | None = None
    """Unique among processes that have not ended; None: the program's."""
    kind: str = "command"
    vram_bytes: int | None = None
    """GPU memory on each of `gpu_count` devices; it waits until that is free."""
    gpu_count: int = 1
    budget_tokens: int | None = None
    """Input and output at the gateway, as the model server counts them, down its whole subtree."""
    budget: BudgetPart | None = None
    """What else it may ask of models, with all below it."""
    limits: LimitPart | None = None
    labels: dict[str, str] = {}
    """What people want to find it by."""
    project: str | None = None
    """The aish.toml that declares it, an absolute path."""
    digest: str | None = None
    """Of what that file said about it, environment included: whether it has changed since."""
    group: GroupPart | None = None
    schedule: SchedulePart | None = None
    sockets: list[SocketPart] = []
    kept_fds_most: int = 0
    """How many descriptors it may have kept between its runs (FDSTORE=1 of sd_notify(3))."""
    route: RoutePart | None = None
    failover: FailoverPart | None = None
    """Both of a model only."""
    observe: str | None = None
    """"codex": its requests do not pass the gateway (its login cannot be led there); what it uses is read in the logs
    of its sessions, after the fact."""
    when_reserved: str = "hold"
    """Where what is left of a usage window is reserved for others: "hold" its requests, "park" it until there is
    room (an agent that keeps its conversation), or "model:NAME" answers them instead."""
    model: str | None = None
    """The model that an agent uses (None: the default), or that a model process serves."""
    restart: str = "never"
    restarts: RestartPart | None = None
    ready: ProbePart | None = None
    """None: it is ready when it runs (a model: when it answers)."""
    live: ProbePart | None = None
    """When this fails it is ended and counts as failed, whatever its status: its restart policy decides."""
    needs: list[NeedPart] = []
    before: list[bytes] = []
    """A command before each start, in its folder and with its environment; if it fails, so does the start."""
    after: list[bytes] = []
    """A command after each end."""
    check: list[bytes] = []
    """Decides success when it has ended with 0: a task is done when this says so, not when the process does."""
    hook_timeout_s: float = 300.0
    """Of `before`, `after` and `check`, each."""
    start_timeout_s: float | None = None
    """Until it is ready; then it counts as failed."""
    run_timeout_s: float | None = None
    """Of one run; then it is stopped for good, reason "timeout"."""
    rights: str = "own"
    """"owner": it acts as the user, not as itself."""
    sandbox: SandboxPart | None = None
    """None: it reaches what its user does."""
    with_parent: bool = False
    """It belongs to the run of its parent that has started it, and is stopped when that is over; it has its parent's
    limits, and its sandbox, where it says nothing of them, and no key of the gateway."""
    secrets: list[str] = []
    """Provider key variables of the calling environment that it may see."""
    secret_sources: dict[str, SecretPart] = {}
    """Environment variable -> where its value is fetched at each start."""
    stop_signal: int = 15
    grace_s: float = 10.0
    """From the stop signal to SIGKILL."""
    oom_score_adj: int | None = None
    """-1000 to 1000, proc(5): who goes first when the machine has no memory left."""
    nice: int | None = None
    """-20 to 19; None: the niceness of the surroundings."""
    ionice: str | None = None
    """"idle", "best-effort:N" or "realtime:N", ionice(1)."""
    pty: bool = False
    log: str = "split"
    """"split": stdout and stderr have a file each. "ordered": both are in one file, in their exact order; which line
    is of which is not told then."""
    log_bytes: int | None = None
    """How much of its log stays, stdout and stderr together; None: as configured, 0: all."""
    log_age_s: float | None = None
    """How long it stays; None: as configured, 0: for ever."""


AMENDABLE: Final = frozenset(
    {
        "after",
        "before",
        "budget",
        "budget_tokens",
        "check",
        "digest",
        "failover",
        "grace_s",
        "group",
        "hook_timeout_s",
        "labels",
        "limits",
        "log_age_s",
        "log_bytes",
        "needs",
        "project",
        "restart",
        "restarts",
        "run_timeout_s",
        "schedule",
        "secret_sources",
        "stop_signal",
    }
)
"""Fields of SpecPart that may change without a restart: they act at once, or at the next start or end."""


class LaunchPart(Part, frozen=True, kw_only=True):
    """The caller's surroundings, captured so that a child starts as if the calling shell had forked it."""

    environ: list[bytes]
    """b"NAME=value" each."""
    umask: int = 0o022
    rlimits: dict[str, tuple[int, int]] = {}
    """Name ("NOFILE") -> (soft, hard); -1 is infinity."""
    nice: int = 0
    """Absolute: -20 to 19."""


class LaunchNote(Part, frozen=True, kw_only=True):
    """Names only."""

    environ_names: list[str] = []
    umask: int = 0
    nice: int = 0
    rlimits: dict[str, tuple[int, int]] = {}
