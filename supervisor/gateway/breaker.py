"""Whether a server wants to be asked now, pure: a circuit breaker per server (M. Nygard, *Release It!*, 2007).

    closed      everything goes; failures in a row are counted
    open        it rests: nothing goes before `until_s`
    half-open   the rest is over, and one request (`trial`) tries; nothing else goes until its answer begins

This is about servers that are there and fail. Whether one is there at all is the probe's to say (probe.py); when the
probe finds it again, its breaker begins anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

MOST_FAILURES: Final = 5
"""So many in a row open it,"""
LEAST_ROW_S: Final = 1.0
"""if the first of them is so long ago: all that were under way when a server was started anew fail at once."""
REST_S: Final = 1.0
"""The first rest that a server did not ask for itself; each further one in a row is twice as long."""
LONGEST_REST_S: Final = 30.0
LONGEST_TOLD_S: Final = 300.0
"""Of a rest that the server asked for: after that one request may ask whether it still means it."""

State = Literal["closed", "open", "half-open"]


@dataclass(slots=True, frozen=True)
class Asked:
    """A request wants to go."""


@dataclass(slots=True, frozen=True)
class Began:
    """Its answer begins."""


@dataclass(slots=True, frozen=True)
class Answered:
    """It was answered to the end."""


@dataclass(slots=True, frozen=True)
class Failed:
    """It failed. `rest_s`: how long the server wants to be left alone, where it said so."""

    why: str
    status: int | None = None
    rest_s: float | None = None


@dataclass(slots=True, frozen=True)
class Dropped:
    """Its client went away, or it was never sent: nothing was learned."""


@dataclass(slots=True, frozen=True)
class Revived:
    """The probe found the server again."""


Event = Asked | Began | Answered | Failed | Dropped | Revived


@dataclass(slots=True, frozen=True)
class Breaker:
    """Times are on the caller's clock."""

    state: State = "closed"
    failures: int = 0
    """In a row."""
    since_s: float = 0.0
    """When the first of them was told."""
    rests: int = 0
    """In a row, without an answer in between: the next one is longer."""
    until_s: float = 0.0
    trial: int | None = None
    """The request that tries, while half-open."""
    why: str = ""
    status: int | None = None
    """What opened it."""

    def admits(self, now_s: float) -> bool:
        """Whether a request may go."""
        match self.state:
            case "closed":
                return True
            case "open":
                return now_s >= self.until_s
            case "half-open":
                return False

    def left_s(self, now_s: float) -> float:
        """How long it rests at least."""
        return max(0.0, self.until_s - now_s) if self.state != "closed" else 0.0


CLOSED: Final = Breaker()


def step(breaker: Breaker, event: Event, number: int, now_s: float) -> Breaker:
    """After an event of the request `number`. Asked where `admits` forbids it changes nothing."""
    mine = breaker.trial == number
    match breaker.state:
        case "closed":
            match event:
                case Asked() | Began() | Dropped():
                    return breaker
                case Answered() | Revived():
                    return CLOSED
                case Failed():
                    return _failed(breaker, event, now_s)
        case "open":
            match event:
                case Asked():
                    return replace(breaker, state="half-open", trial=number) if breaker.admits(now_s) else breaker
                case Failed():  # of one that went before it opened
                    return _longer(breaker, event, now_s)
                case Began() | Answered() | Dropped():
                    return breaker
                case Revived():
                    return CLOSED
        case "half-open":
            match event:
                case Asked():
                    return breaker
                case Began():  # the next rest is no shorter until one was answered to its end
                    return replace(breaker, state="closed", failures=0, trial=None) if mine else breaker
                case Answered():
                    return CLOSED if mine else breaker
                case Failed():
                    return _opened(breaker, event, now_s) if mine else _longer(breaker, event, now_s)
                case Dropped():  # the next one tries
                    return replace(breaker, state="open", trial=None) if mine else breaker
                case Revived():
                    return CLOSED


def _failed(breaker: Breaker, failed: Failed, now_s: float) -> Breaker:
    """One more in a row."""
    since_s = breaker.since_s if breaker.failures else now_s
    counted = replace(breaker, failures=min(breaker.failures + 1, MOST_FAILURES), since_s=since_s)
    enough = counted.failures == MOST_FAILURES and now_s - since_s >= LEAST_ROW_S
    return _opened(counted, failed, now_s) if enough or failed.rest_s is not None else counted


def _opened(breaker: Breaker, failed: Failed, now_s: float) -> Breaker:
    if failed.rest_s is None:
        rest_s = min(LONGEST_REST_S, REST_S * 2.0 ** min(breaker.rests, 16))
    else:
        rest_s = min(LONGEST_TOLD_S, failed.rest_s)
    return replace(
        breaker,
        state="open",
        rests=breaker.rests + 1,
        until_s=now_s + rest_s,
        trial=None,
        why=failed.why,
        status=failed.status,
    )


def _longer(breaker: Breaker, failed: Failed, now_s: float) -> Breaker:
    """It rests until the later of both times."""
    if failed.rest_s is None:
        return breaker
    until_s = now_s + min(LONGEST_TOLD_S, failed.rest_s)
    return replace(breaker, until_s=max(breaker.until_s, until_s))
