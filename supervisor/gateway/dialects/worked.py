"""What llama.cpp has worked on a request so far, by its own word. Pure.

Asked to (`timings_per_token`), it tells with every event how many tokens it has read and made. Events themselves are
fewer: several tokens may be one character, or a mark that is never told.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from aish.supervisor.gateway.dialects.openai import MOST_TOKENS
from aish.supervisor.gateway.meter import Used

if TYPE_CHECKING:
    from collections.abc import Iterable

FIELD: Final = "timings_per_token"
UNTOLD_TOKENS: Final = 4
"""What it makes between the last event that was read and its noticing that nobody reads any more: one or two were
seen."""
_TIMINGS: Final = re.compile(rb',\s*"timings":\s*\{[^{}]*\}|"timings":\s*\{[^{}]*\},\s*')


class _Timings(msgspec.Struct):
    prompt_n: int = 0
    cache_n: int = 0
    predicted_n: int = 0


class _Choice(msgspec.Struct):
    index: int = 0


class _Event(msgspec.Struct):
    choices: list[_Choice] = []
    timings: msgspec.Raw = msgspec.Raw(b"null")


_timings: Final = msgspec.json.Decoder(_Timings | None)
_event: Final = msgspec.json.Decoder(_Event)


class Worked:
    """By answer, where several were asked for."""

    def __init__(self) -> None:
        self._answers: dict[int, Used] = {}
        self._last: int | None = None
        self._step = 1

    def take(self, data: bytes) -> None:
        """An event's data. Raises msgspec.DecodeError."""
        event = _event.decode(data)
        self.add((choice.index for choice in event.choices), event.timings)

    def add(self, answers: Iterable[int], timings: bytes | msgspec.Raw) -> None:
        """The figures of an event with parts of these answers; without any they are of the one that has just ended.
        Raises msgspec.DecodeError, UnicodeDecodeError."""
        for index in answers:
            self._last = index
        told = _timings.decode(timings) if timings else None
        if told is None or self._last is None:
            return
        used = Used(_bounded(told.prompt_n + told.cache_n), _bounded(told.predicted_n))
        before = self._answers.get(self._last)
        if before is not None:
            self._step = max(self._step, used.output - before.output)
        self._answers[self._last] = used

    def used(self) -> Used | None:
        """None before the first figures."""
        told = self._answers.values()
        return Used(sum(used.input for used in told), sum(used.output for used in told)) if told else None

    def untold(self, answers: int) -> int:
        """The most that it has made beyond that, where it was left in the middle of so many answers; of each it may
        make several tokens at a time."""
        return answers * max(UNTOLD_TOKENS, 2 * self._step)


def untimed(data: bytes) -> bytes:
    """An event's data without the figures: its client did not ask for them."""
    return _TIMINGS.sub(b"", data, 1)


def _bounded(count: int) -> int:
    return min(max(0, count), MOST_TOKENS)
