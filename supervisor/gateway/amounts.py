"""What requests take, what a budget allows of it in all and in a day, and what a token costs. Values. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

MOST_BUDGET: Final = 1 << 62
"""Of tokens, requests, or picodollars (4.6 million dollars): with what is spent beside it, it fits the records."""
PICO: Final = 10**12

What = Literal["tokens", "input", "output", "pusd", "requests"]
SUMMED: Final[tuple[What, ...]] = ("tokens", "input", "output", "pusd", "requests")


class Amounts(msgspec.Struct):
    """What requests take. `pusd` are picodollars: prices of tokens are whole numbers of them."""

    tokens: int = 0
    input: int = 0
    output: int = 0
    pusd: int = 0
    requests: int = 0

    # Field by field: this is done several times for each request and account.

    def add(self, other: Amounts) -> None:
        self.tokens += other.tokens
        self.input += other.input
        self.output += other.output
        self.pusd += other.pusd
        self.requests += other.requests

    def take(self, other: Amounts) -> None:
        self.tokens -= other.tokens
        self.input -= other.input
        self.output -= other.output
        self.pusd -= other.pusd
        self.requests -= other.requests

    def beyond(self, other: Amounts) -> bool:
        """Whether it is more of anything."""
        return (
            self.tokens > other.tokens
            or self.input > other.input
            or self.output > other.output
            or self.pusd > other.pusd
            or self.requests > other.requests
        )

    def __add__(self, other: Amounts) -> Amounts:
        return Amounts(
            self.tokens + other.tokens,
            self.input + other.input,
            self.output + other.output,
            self.pusd + other.pusd,
            self.requests + other.requests,
        )


@dataclass(slots=True, frozen=True)
class Price:
    """Picodollars for a token."""

    input: int = 0
    output: int = 0


FREE: Final = Price()


@dataclass(slots=True, frozen=True)
class Most:
    """What may be taken of each; None: no limit."""

    tokens: int | None = None
    input: int | None = None
    output: int | None = None
    pusd: int | None = None
    requests: int | None = None

    def summed(self) -> Iterator[tuple[What, int]]:
        """What of the sums is limited, and to how much."""
        for name in SUMMED:
            most: int | None = getattr(self, name)
            if most is not None:
                yield name, most


@dataclass(slots=True, frozen=True)
class Budget(Most):
    """Sums in all, and those of a `day`; `per_minute` and `concurrent` are of requests, `context` of the tokens of
    one. None: no limit. A hard one refuses what a soft one holds."""

    per_minute: int | None = None
    concurrent: int | None = None
    context: int | None = None
    hard: bool = False
    day: Most | None = None

    @property
    def limits(self) -> bool:
        others = (self.per_minute, self.concurrent, self.context, self.day)
        return any(most is not None for most in others) or any(self.summed())

    @property
    def costs(self) -> bool:
        """Whether it limits money."""
        return self.pusd is not None or (self.day is not None and self.day.pusd is not None)


NONE: Final = Budget()
NO_SUMS: Final = Most()
