"""The rows of gateway.db: a request, the sums of an account or a model, a named key, an event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from aish.supervisor.gateway.account import Today
from aish.supervisor.gateway.amounts import NONE, Amounts, Budget, What
from aish.wire.part import TokensPart

SUMMED: Final = (
    "input",
    "output",
    "requests",
    "estimated",
    "cached",
    "reasoning",
    "cost_usd",
    "unpriced",
    "observed",
)
COLUMNS: Final = (
    "number, time_s, epoch, process, name, kind, chain, model, dialect, endpoint, stream, input, output, estimated, "
    "status, first_token_s, seconds, bytes_in, bytes_out, agent, server, "
    "cached, written, reasoning, cost_usd, price, project, day, subscription"
)
"""Of a Row: the fields, in order."""
INSERTED: Final = f"({COLUMNS}) VALUES ({', '.join('?' * (COLUMNS.count(',') + 1))})"
"""What follows INSERT INTO and a table's name, for `Row.values`."""
OBSERVED: Final = "observed"
"""The endpoint of what did not come through the gateway: it was read in a session's log."""
DIED: Final = 0
"""Status of a request that ended with the gateway."""
HUNG_UP: Final = 499
"""Status of a request whose client went away."""


class Row(msgspec.Struct, array_like=True):
    """One request. `chain` is its process and the ancestors that it counts for, `server` the process of the model
    that it was routed to. `status` is the HTTP status of the answer, HUNG_UP or DIED; None while it is under way.

    New fields come last, with a default: rows that earlier versions wrote lack them."""

    number: int
    time_s: float
    epoch: int | None
    process: str
    name: str | None
    kind: str | None
    chain: tuple[str, ...]
    model: str
    dialect: str
    endpoint: str
    stream: bool = False
    input: int = 0
    output: int = 0
    estimated: bool = False
    status: int | None = None
    first_token_s: float | None = None
    seconds: float | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    agent: str | None = None
    server: str | None = None
    cached: int = 0
    written: int = 0
    reasoning: int = 0
    cost_usd: float | None = None
    """None: nobody knows the price."""
    price: str | None = None
    """What it was reckoned by."""
    project: str | None = None
    day: int | None = None
    """Whose budgets it counts for, by its number; None: it reserved nothing."""
    subscription: str | None = None
    """The account in whose usage windows it counts: see `aish.supervisor.gateway.windows.ledger.Account`."""

    @classmethod
    def of(cls, values: Sequence[Any]) -> Row:
        """From the columns."""
        row = cls(*values)
        row.chain = tuple(str(values[6]).split())
        row.stream, row.estimated = bool(row.stream), bool(row.estimated)
        return row

    def values(self) -> tuple[object, ...]:
        return (
            self.number, self.time_s, self.epoch, self.process, self.name, self.kind, " ".join(self.chain),
            self.model, self.dialect, self.endpoint, self.stream, self.input, self.output, self.estimated,
            self.status, self.first_token_s, self.seconds, self.bytes_in, self.bytes_out, self.agent,
            self.server, self.cached, self.written, self.reasoning, self.cost_usd, self.price, self.project,
            self.day, self.subscription,
        )  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Sums:
    """Cumulative figures of many requests: see aish.wire.part.TokensPart."""

    input: int = 0
    output: int = 0
    requests: int = 0
    estimated: int = 0
    cached: int = 0
    reasoning: int = 0
    cost_usd: float = 0.0
    unpriced: int = 0
    observed: int = 0

    def add(self, row: Row) -> None:
        tokens = row.input + row.output
        self.input += row.input
        self.output += row.output
        self.requests += 1
        self.estimated += tokens if row.estimated else 0
        self.cached += row.cached
        self.reasoning += row.reasoning
        self.cost_usd += row.cost_usd or 0.0
        self.unpriced += tokens if row.cost_usd is None else 0
        self.observed += tokens if row.endpoint == OBSERVED else 0

    def take(self, part: TokensPart) -> None:
        """Go on from these."""
        for name in SUMMED:
            setattr(self, name, getattr(part, name))

    def part(self) -> TokensPart:
        return TokensPart(**{name: getattr(self, name) for name in SUMMED})

    def values(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in SUMMED)


@dataclass(slots=True)
class AccountRow(Sums):
    """Of a process itself, and `spent` by it and everything below. An ended process stays as long as one below it
    lives: its budget still counts for that one."""

    id: str
    parent: str | None = None
    budget: Budget = NONE
    spent: Amounts = field(default_factory=Amounts)
    warned: dict[What, int] = field(default_factory=dict)
    project: str | None = None
    """The account of the project that it is of."""
    since_s: float | None = None
    """Of a project or the user: since when it is counted."""
    today: Today | None = None


@dataclass(slots=True)
class ServedRow(Sums):
    """Of all requests that were routed to a model's process. Kept as long as the process table: a request may be
    settled long after its model has ended."""

    id: str


@dataclass(slots=True)
class KeyRow:
    name: str
    hash: bytes
    created_s: float
    budget: Budget = NONE
    revoked_s: float | None = None
    nice: int = 0


@dataclass(slots=True, frozen=True)
class EventRow:
    """`body` is the message with number 0."""

    number: int
    body: bytes
