"""Budgets of models as people write them: `usd=5,requests=100,rpm=30,tokens=1M/day`. Pure.

A sum in a day has the word of that sum with `/day` behind it, here as behind its value: "usd/day".
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from aish.errors import InputError, LimitError, UsageError
from aish.model.moment import parse_duration_s, written
from aish.model.size import changed, parse_count
from aish.wire import account
from aish.wire.spec import BudgetPart

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TOKENS: Final = "tokens"
USD: Final = "usd"
HARD: Final = "hard"
WALL: Final = "wall"
"""Of a process alone: for how long it may run, which is its spec's `run_timeout_s`."""
DAY: Final = "/day"
USD_DAY: Final = USD + DAY
COUNTS: Final = {
    "input": "input_tokens",
    "output": "output_tokens",
    "requests": "requests",
    "rpm": "requests_per_minute",
    "concurrent": "concurrent",
    "context": "context_tokens",
    "tokens/day": "tokens_per_day",
    "input/day": "input_tokens_per_day",
    "output/day": "output_tokens_per_day",
    "requests/day": "requests_per_day",
}
"""Words -> fields of BudgetPart that are counts."""
DOLLARS: Final = {USD: "usd", USD_DAY: "usd_per_day"}
WORDS: Final = (*COUNTS, *DOLLARS, HARD)
"""All that a budget may limit beside tokens in all."""
DAILY: Final = tuple(word for word in WORDS if word.endswith(DAY))
_LACKING: Final = {
    "tokens": ("", "tokens=+50k"),
    "input_tokens": (" of input", "input=+50k"),
    "output_tokens": (" of output", "output=+10k"),
    "usd": (" of money", "usd=+1"),
    "requests": (" of requests", "requests=+100"),
    "concurrent": (" of requests at a time", "concurrent=4"),
    "requests_per_minute": (" of requests in a minute", "rpm=30"),
    "context_tokens": (" of tokens in one request", "context=32k"),
    "tokens_per_day": ("", "tokens=+50k/day"),
    "input_tokens_per_day": (" of input", "input=+50k/day"),
    "output_tokens_per_day": (" of output", "output=+10k/day"),
    "usd_per_day": (" of money", "usd=+1/day"),
    "requests_per_day": (" of requests", "requests=+100/day"),
}
_UNITS: Final = {
    "usd": "USD",
    "requests": "requests",
    "concurrent": "at a time",
    "requests_per_minute": "in a minute",
}
MOST: Final = 1 << 60
MOST_USD: Final = 1_000_000.0
REFUSED: Final = "does not allow this request"
"""In what the gateway answers to a request that a budget refuses: some programs tell no more of it than that text."""


class Asked(NamedTuple):
    """Tokens in all, the rest, and for how long it may run."""

    tokens: int | None
    part: BudgetPart | None
    wall_s: float | None = None


def parse(text: str, option: str) -> Asked:
    """What "200k" or "tokens=200k,usd=5/day,hard" asks for. Raises UsageError."""
    if "=" not in text and text != HARD:
        text = f"{TOKENS}={text}"
    asked: dict[str, str] = {}
    for each in text.split(","):
        word, _, value = each.strip().partition("=")
        word, value = one(word, value)
        if word not in (TOKENS, *WORDS, WALL):
            raise UsageError(f"{option}: no such limit: {word[:40]}", hint=", ".join((TOKENS, *WORDS, WALL)))
        asked[word] = value
    tokens, wall = asked.pop(TOKENS, None), asked.pop(WALL, None)
    return Asked(
        None if tokens is None else parse_count(tokens),
        after(None, asked),
        None if wall is None else parse_duration_s(wall),
    )


def wall_after(before_s: float | None, text: str) -> float | None:
    """For how long it may run after a change as typed: "2h" sets, "+30m" raises, "none" lifts. Raises UsageError."""
    if text == "none":
        return None
    seconds = parse_duration_s(text.removeprefix("+"))
    if not text.startswith("+"):
        return seconds
    if before_s is None:
        raise UsageError("there is no limit of wall to raise", hint=f"set one: wall={text[1:]}")
    return before_s + seconds


def one(word: str, value: str) -> tuple[str, str]:
    """A limit as it was typed: "usd", "5/day" is "usd/day", "5"."""
    return (word, value) if not value.endswith(DAY) else (word.removesuffix(DAY) + DAY, value.removesuffix(DAY))


def after(before: BudgetPart | None, asked: Mapping[str, str]) -> BudgetPart | None:
    """A budget after changes, each as typed: "5" sets, "+5" raises, "none" lifts. None: nothing is limited any more.

    Raises UsageError.
    """
    if not asked:
        return before
    part = before or BudgetPart()
    fields: dict[str, object] = {}
    for word, text in asked.items():
        match word:
            case "hard":
                fields[HARD] = _flag(text)
            case "usd" | "usd/day":
                fields[DOLLARS[word]] = _dollars(getattr(part, DOLLARS[word]), text, word)
            case _:
                fields[COUNTS[word]] = changed(getattr(part, COUNTS[word]), text, parse_count, word)
    part = msgspec.structs.replace(part, **fields)
    return part if part != BudgetPart() else None


SUMS: Final = {"input": "input_tokens", "output": "output_tokens", "usd": "usd", "requests": "requests"}
"""Words -> fields of BudgetPart that add up over a whole life, beside tokens in all."""


def without(
    before: tuple[int | None, BudgetPart | None], given: tuple[int | None, BudgetPart | None]
) -> tuple[int | None, BudgetPart | None]:
    """Tokens and the rest after a part of the sums went to another. Raises LimitError where it is to have more than
    there was, or no limit where there is one."""
    tokens = _less(TOKENS, before[0], given[0])
    if before[1] is None:
        return tokens, None
    part = given[1] or BudgetPart()
    fields = {field: _less(word, getattr(before[1], field), getattr(part, field)) for word, field in SUMS.items()}
    return tokens, msgspec.structs.replace(before[1], **fields)


def _less(word: str, before: float | None, given: float | None) -> Any:
    if before is None:
        return None
    if given is None or given > before:
        said = "no limit" if given is None else f"{given:.12g}"
        raise LimitError(
            f"{word}: {said} cannot be taken from a budget of {before:.12g}", hint="give it a part of what is left"
        )
    return before - given


def check(part: BudgetPart) -> None:
    """Raises InputError."""
    for each in flaws(part):
        raise each


def flaws(part: BudgetPart) -> Iterator[InputError]:
    """What is wrong with it."""
    for field in COUNTS.values():
        value = getattr(part, field)
        if value is not None and not 0 <= value < MOST:
            yield InputError("expected a count, 0 or more", field=f"budget.{field}")
    for field in DOLLARS.values():
        usd = getattr(part, field)
        if usd is not None and not (math.isfinite(usd) and 0 <= usd <= MOST_USD):
            yield InputError(f"expected US dollars, 0 to {MOST_USD:,.0f}", field=f"budget.{field}")


def told(part: BudgetPart) -> dict[str, str]:
    """As people write it."""
    found = {word: str(value) for word, field in COUNTS.items() if (value := getattr(part, field)) is not None}
    found |= {word: f"{value:.12g}" for word, field in DOLLARS.items() if (value := getattr(part, field)) is not None}
    return found | ({HARD: "yes"} if part.hard else {})


def typed(word: str, value: str) -> str:
    """As `aish limit` takes it: "usd=5/day"."""
    return f"{word.removesuffix(DAY)}={value}{DAY if word.endswith(DAY) else ''}"


def of_model(name: str) -> str:
    """Why a model has no budget: one on it would cap nothing."""
    return f"{name} is a model: what it is asked counts for who asks"


def whole(tokens: int | None, part: BudgetPart | None, wall_s: float | None = None) -> str:
    """All of it, as `aish limit` takes it; empty: nothing is limited."""
    said = ({} if tokens is None else {TOKENS: str(tokens)}) | told(part or BudgetPart())
    said |= {} if wall_s is None else {WALL: written(wall_s)}
    return " ".join(typed(word, value) for word, value in said.items())


def lacking(detail: Mapping[str, object]) -> tuple[str, str]:
    """Of what somebody held has too little, by the detail of its event: in words, and as a limit that helps."""
    return _LACKING.get(str(detail.get("what", TOKENS)), _LACKING[TOKENS])


def over(owner: str, process: str, what: str, most: float) -> str:
    """Why a process is held, in a few words for ps: "over today's budget of the user: 20 USD"."""
    whose = "" if owner == process else f" of {account.words(owner)}"
    when = "today's " if daily(what) else "the " if whose else ""
    return f"over {when}budget{whose}: {amount(what, most)}"


def spent(owner: str, process: str, what: str, used: float, most: float) -> str:
    """The same as a sentence for its event: "today's budget of money of the user is spent"."""
    how = "is spent" if used >= most else "has too little left for its next request"
    word = _LACKING.get(what, _LACKING[TOKENS])[0]
    if owner == process:
        return f"its budget{word}{' for today' if daily(what) else ''} {how}"
    whose = "today's" if daily(what) else "the"
    return f"{whose} budget{word} of {account.words(owner)} {how}"


def daily(what: str) -> bool:
    """Whether a field of BudgetPart is of a day."""
    return what.endswith("_per_day")


def amount(what: str, value: float) -> str:
    """With its unit: "20 USD", "1,000 tokens"."""
    name = what.removesuffix("_per_day")
    if name == USD:
        return f"{shown_usd(value).removesuffix('.00')} USD"
    return f"{value:,.0f} {_UNITS.get(name, 'tokens')}"


def shown_usd(usd: float) -> str:
    """Cents, and of less than a dollar as many digits as tell it from nothing."""
    if not 0 < usd < 1:
        return f"{usd:.2f}"
    whole, _, rest = f"{usd:.{3 - math.floor(math.log10(usd))}f}".partition(".")
    return f"{whole}.{rest.rstrip('0'):0<2}"


def _dollars(before: float | None, text: str, word: str) -> float | None:
    if text == "none":
        return None
    raised = text.startswith("+")
    try:
        value = float(text.removeprefix("+"))
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and 0 <= value <= MOST_USD):
        raise UsageError(f"not US dollars: {text[:20]!r}", hint="such as usd=5 or usd=+0.50")
    if raised and before is None:
        raise UsageError(f"there is no limit of {word} to raise", hint=f"set one: {typed(word, text[1:])}")
    return value + (before or 0.0) if raised else value


def _flag(text: str) -> bool:
    if text not in ("", "yes", "no", "none"):
        raise UsageError(f"hard: expected yes or no, not {text[:20]!r}")
    return text in ("", "yes")
