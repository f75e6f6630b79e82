"""What daemon and gateway say to each other, on the connection that the gateway opens with GatewayHello.

The daemon sends one Sync, then numbered Deltas. The gateway sends numbered, durable events and sends them again after
a reconnect until they are acknowledged; totals are cumulative, so a repeated event changes nothing.
"""

from __future__ import annotations

from aish.wire.door import Door, Doors, Shut
from aish.wire.message import (
    BudgetQuery,
    KeepText,
    KeyList,
    KeyNew,
    KeyRevoke,
    Limit,
    Message,
    RequestsQuery,
    SlotKeep,
    SlotUse,
    TextQuery,
    UsageQuery,
    WindowList,
    WindowSet,
    WindowUnset,
)
from aish.wire.part import ParkedPart, Part, SessionPart, TokensPart
from aish.wire.reply import Reply
from aish.wire.spec import BudgetPart, FailoverPart, LastWordPart, RoutePart


class Member(Part, frozen=True, kw_only=True):
    """A supervised process as the gateway knows it. `budget_tokens` counts for it and all below it."""

    id: str
    name: str
    kind: str
    agent: str | None = None
    """Of an agent: its own name, which several that run at the same time share (`name` then has a number)."""
    parent: str | None = None
    alive: bool = True
    budget_tokens: int | None = None
    budget: BudgetPart | None = None
    route: RoutePart | None = None
    """Set for a model: where its server listens (port filled in); `alive` and route: probe it until it is ready."""
    failover: FailoverPart | None = None
    """Of a model."""
    held: bool = False
    """Held by a person: its new requests wait."""
    project: str | None = None
    """The aish.toml that declares it, or one above it."""
    nice: int = 0
    """Its niceness: the weight of its requests where they wait for a place at a model."""
    last_word: LastWordPart | None = None
    """It is wrapped up."""
    observe: str | None = None
    sessions: list[SessionPart] = []
    """Of one that is observed: the logs of its sessions."""
    sessions_run: tuple[int, int] | None = None
    """Its (pid, start_ticks): of two short runs that follow each other, neither is taken for the other."""
    sessions_known: bool = False
    """It has ended, and there are no others: SessionsRead when they are read to the end."""
    when_reserved: str = "hold"
    """See aish.wire.spec.SpecPart."""
    parked: ParkedPart | None = None
    """It has ended until that window has room for it: to be told by Room."""
    switched: str | None = None
    """The model that answers it, whatever it asks for; vectors are still those of the model that was asked."""
    background: bool = False
    """Nobody waits for it at a terminal, or it is nice: see `aish.supervisor.daemon.foreground`."""


# daemon -> gateway


class Sync(Message, frozen=True, kw_only=True):
    """The whole truth: whoever is not in `members` is gone."""

    epoch: int
    number: int
    members: list[Member]
    default_model: str
    embedding_model: str
    stored_models: list[str] = []
    """Names that could be started on demand."""
    hosts: list[str] = []
    """What this machine is called by clients, as config.toml lists it."""
    acknowledged: int = 0
    used: dict[str, TokensPart] = {}
    """By process: the totals that Settled told, of a model those that Served told."""
    spent: dict[str, int] = {}
    """By process: tokens of it and of all below it. Both are for a gateway that has lost its own records."""


class Delta(Message, frozen=True, kw_only=True):
    number: int
    member: Member


class Ack(Message, frozen=True, kw_only=True):
    """Events up to `number` are persisted."""

    number: int


Question = (
    KeyNew
    | KeyList
    | KeyRevoke
    | UsageQuery
    | RequestsQuery
    | KeepText
    | TextQuery
    | Limit
    | BudgetQuery
    | WindowList
    | WindowSet
    | WindowUnset
    | SlotUse
    | SlotKeep
)
"""What only the gateway can answer. Limit: of what is no process."""


class Ask(Message, frozen=True, kw_only=True):
    """A client's question that only the gateway can answer; answered by Told with the same `number`.

    Limit comes here where its target is no process: a key, a project, the user.
    """

    number: int
    question: Question


class ServeFailed(Message, frozen=True, kw_only=True):
    """Who waits for the model waits in vain: it cannot be had (an answer to Need), or it ended without having been
    ready once."""

    model: str
    message: str
    hint: str | None = None


FromDaemon = Sync | Delta | Ack | Ask | ServeFailed | Doors | Door | Shut
"""The last three are for the doors of sandboxes: aish.wire.door."""


# gateway -> daemon


class Hold(Message, frozen=True, kw_only=True):
    """The process's request waits: its budget, or that of `owner` above it, is spent."""

    number: int
    id: str
    owner: str
    what: str
    """Of what there is too little: see `aish.wire.spec.BudgetPart`, or "tokens"; of a window `aish.wire.window`."""
    used: float
    budget: float
    until_s: float | None = None
    """When it goes on by itself at the latest, as far as is known."""
    login: str = ""
    """Of a window: a mark of the login whose it is."""
    named: bool = False
    """Of a window: its rule says that this process is in the background, also where a person waits for it."""


class Release(Message, frozen=True, kw_only=True):
    """Nothing of the process waits for a budget any more. `raised`: a request went on, since there are tokens again;
    else those that waited were given up."""

    number: int
    id: str
    owner: str
    raised: bool = True
    why: str = ""
    """"raised", "day" (another one has begun), "window" (it has room), "wrapup" (a last message may be said) or
    "given-up"."""


class Warn(Message, frozen=True, kw_only=True):
    """80 % of a budget is used. `id` is an account: a process, or what aish.wire.account knows beside these."""

    number: int
    id: str
    what: str
    used: float
    budget: float


class OverPart(Part, frozen=True, kw_only=True):
    owner: str
    what: str
    """As in Hold."""
    budget: float
    over: float
    """How much more it is above its budget now."""
    used: float
    """By the request alone."""
    reserved: float


class Exceeded(Message, frozen=True, kw_only=True):
    """A server used more for a request than was reserved for it, and by that a budget is above its limit. Told once
    for each request; `id` is the account that asked."""

    number: int
    id: str
    request: int
    model: str
    overs: list[OverPart]
    """Nearest first."""


class LastSaid(Message, frozen=True, kw_only=True):
    """A process that is wrapped up has had its last answer, or asks for more than it may."""

    number: int
    id: str


class Settled(Message, frozen=True, kw_only=True):
    """Cumulative totals of a process after a request was settled."""

    number: int
    id: str
    model: str
    tokens: TokensPart


class Served(Message, frozen=True, kw_only=True):
    """Totals of what was routed to a model, whoever asked, and of its own probes: a model's row shows these."""

    number: int
    id: str
    tokens: TokensPart


class Readiness(Message, frozen=True, kw_only=True):
    """A model's probe: `ready` is "yes", "no" or "unknown" (stopped answering)."""

    number: int
    id: str
    ready: str
    context_tokens: int | None = None
    text: str = ""
    hopeless: bool = False
    """Waiting does not mend it: its key is refused, or it is no model server."""


class Resting(Message, frozen=True, kw_only=True):
    """A model's server is there and is not asked for a while: it wants that, or failed too often in a row."""

    number: int
    id: str
    until_s: float | None = None
    """Seconds since the epoch; None: it is asked again."""
    text: str = ""
    """What it did."""


class FellBack(Message, frozen=True, kw_only=True):
    """Requests to a model, or of a process, are answered by another one."""

    number: int
    id: str
    to: str | None = None
    """That model; None: it answers itself again."""
    text: str = ""
    """Why."""


class SessionsRead(Message, frozen=True, kw_only=True):
    """All that an observed process wrote before the end of that run is counted."""

    number: int
    id: str
    run: tuple[int, int] | None = None


class ActivityNote(Message, frozen=True, kw_only=True):
    """Not durable, not numbered: what a process does now."""

    id: str
    activity: str | None
    doing: str | None = None
    tokens_per_s: float | None = None


class Need(Message, frozen=True, kw_only=True):
    """Somebody asked for a stored model that does not run. Not durable."""

    model: str
    asked_by: str | None = None


class Told(Message, frozen=True, kw_only=True):
    number: int
    reply: Reply


class Room(Message, frozen=True, kw_only=True):
    """A usage window has room again for a process that is parked. Not durable: told again as long as that is so."""

    id: str
    since_s: float
    """Since when it was parked: another parking of it is not meant."""


Durable = (
    Hold | Release | Warn | Exceeded | LastSaid | Settled | Served | Readiness | Resting | FellBack | SessionsRead
)
"""Events: numbered, and told until they are acknowledged."""
FromGateway = Durable | ActivityNote | Need | Room | Told
