"""What a failed attempt means, pure: whether another one may mend it, where, after which pause, and who is told.

    failure                                    another server  the same again      probe  breaker
    no connection                              yes             once, or `retries`  yes    counts
    no answer in time, a cut, a reply that     yes             `retries`           yes    counts
    is none, 500, 502, 503, 504
    408, 409                                   yes             `retries`           no     counts
    429, 529                                   yes             `retries`           no     counts
    429, 503, 529 with Retry-After             yes             `retries`           no     opens until then
    every other status of 400 to 499           no              no                  no     counts as an answer
    our key is refused (401, 403)              no              no                  yes    nothing is learned

"No" to another server: it would say the same, or a person has to mend it; the client is told. The statuses are those
of the vendors' own clients (openai-python and anthropic-sdk-python, `_should_retry`), for which 409 is a lock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from aish.errors import AishError, StorageError, UpstreamError
from aish.supervisor.gateway.dialects import openai

if TYPE_CHECKING:
    from collections.abc import Mapping

RETRIED: Final = (408, 409, 429, 500, 502, 503, 504, 529)
_RESTS: Final = (429, 503, 529)
"""With Retry-After they mean: I am here, and do not want to be asked before."""
_BUSY: Final = (408, 409, 429, 529)
"""The server is there, whatever it says."""
MAY_WORK: Final = 504
"""Who answers this may have a server behind it that is still at work."""
LONGEST_PAUSE_S: Final = 20.0
"""A server that wants a longer one is not waited for."""
PAUSE_S: Final = 0.5
MOST_PAUSE_S: Final = 8.0


MOST_CHARS: Final = 120
"""Of what a server says, where people see it."""


class _Words(msgspec.Struct):
    message: str = ""


class _Body(msgspec.Struct):
    error: _Words | str


class AnsweredError(UpstreamError):
    """The server answered with an error: `told` is its status and `body` its words as the client gets them, `said`
    the same as anybody may hear them."""

    def __init__(
        self,
        server: str,
        told: int,
        body: bytes,
        headers: Mapping[str, str],
        *,
        said: bytes | None = None,
        rest_s: float | None = None,
    ) -> None:
        words = _message(body if said is None else said)
        super().__init__(f"the server of {server} answered {told}" + (f": {words}" if words else ""), status=told)
        self.told, self.body, self.headers, self.rest_s = told, body, headers, rest_s


def _message(body: bytes) -> str:
    """The words of an error in any dialect."""
    try:
        error = msgspec.json.decode(body, type=_Body).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    text = error if isinstance(error, str) else error.message
    return " ".join(text[: 4 * MOST_CHARS].split())[:MOST_CHARS]


class UntakenError(UpstreamError):
    """The server never took the request: no connection, or one that was closed at the same moment."""


class KeyRefusedError(UpstreamError):
    """The server does not take the key that aish has for it."""


@dataclass(slots=True, frozen=True)
class Failure:
    """A failed attempt, before anything of it was passed on. `why` is a clause: "its server answered 529"."""

    error: AishError
    why: str
    status: int | None
    """What the server answered with; None: it gave no answer."""
    elsewhere: bool
    """Another server may do better."""
    untaken: bool
    doubts: bool
    """Whether the server is there at all is in doubt."""
    rest_s: float | None
    """How long it wants to be left alone."""

    @property
    def told(self) -> int:
        """The status that the record of the attempt has."""
        if self.status is not None:
            return self.status
        return openai.failure(self.error)[0]


def judge(error: UpstreamError, server: str) -> Failure:
    """`server`: the name of the model whose server it is."""
    why = clause(str(error), server)
    if isinstance(error, KeyRefusedError):
        return Failure(error, why, None, elsewhere=False, untaken=False, doubts=True, rest_s=None)
    status = error.told if isinstance(error, AnsweredError) else None
    if status is None:
        untaken = isinstance(error, UntakenError)
        return Failure(error, why, None, elsewhere=True, untaken=untaken, doubts=True, rest_s=None)
    elsewhere = status in RETRIED
    rest_s = error.rest_s if isinstance(error, AnsweredError) and status in _RESTS else None
    doubts = status >= 500 and status not in _BUSY and rest_s is None
    return Failure(error, why, status, elsewhere=elsewhere, untaken=False, doubts=doubts, rest_s=rest_s)


def unusable(error: StorageError) -> Failure:
    """Its key or its authorities cannot be had: nothing was sent, and a person has to mend it."""
    return Failure(error, str(error), None, elsewhere=True, untaken=False, doubts=True, rest_s=None)


def clause(text: str, server: str) -> str:
    """What is told of a server, as a part of a sentence about its model."""
    own = f"the server of {server} "
    return f"its server {text.removeprefix(own)}" if text.startswith(own) else text


@dataclass(slots=True)
class Patience:
    """How often the same server is asked again: so many `retries` are left."""

    retries: int
    once: bool = True
    """A request that was never taken may be sent once more for nothing."""
    pauses: int = 0

    def pause_s(self, failure: Failure, chance: float) -> float | None:
        """How long to wait before the next try, None for no more. `chance` is in [0, 1): full jitter, so that those
        who failed together do not come back together."""
        least_s = failure.rest_s or 0.0
        if not failure.elsewhere or least_s > LONGEST_PAUSE_S:
            return None
        if self.retries > 0:
            self.retries -= 1
        elif failure.untaken and self.once:
            self.once = False
        else:
            return None
        longest_s = min(MOST_PAUSE_S, PAUSE_S * 2.0**self.pauses)
        self.pauses += 1
        return least_s + chance * longest_s
