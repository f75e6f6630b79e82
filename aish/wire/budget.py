"""Budgets of models as people write them: `usd=5,requests=100,rpm=30`. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec

from aish.errors import InputError, UsageError
from aish.model.size import changed, parse_count
from aish.wire.spec import BudgetPart

if TYPE_CHECKING:
    from collections.abc import Mapping

TOKENS: Final = "tokens"
USD: Final = "usd"
HARD: Final = "hard"
COUNTS: Final = {
    "input": "input_tokens",
    "output": "output_tokens",
    "requests": "requests",
    "rpm": "requests_per_minute",
    "concurrent": "concurrent",
    "context": "context_tokens",
}
"""Words -> fields of BudgetPart that are counts."""
WORDS: Final = (*COUNTS, USD, HARD)
"""All that a budget may limit beside tokens in all."""
_LACKING: Final = {
    "tokens": ("", "tokens=+50k"),
    "input_tokens": (" of input", "input=+50k"),
    "output_tokens": (" of output", "output=+10k"),
    "usd": (" of money", "usd=+1"),
    "requests": (" of requests", "requests=+100"),
    "concurrent": (" of requests at a time", "concurrent=4"),
    "requests_per_minute": (" of requests in a minute", "rpm=30"),
    "context_tokens": (" of tokens in one request", "context=32k"),
}
MOST: Final = 1 << 60
MOST_USD: Final = 1_000_000.0


def parse(text: str, option: str) -> tuple[int | None, BudgetPart | None]:
    """Tokens in all, and the rest, of "200k" or "tokens=200k,usd=5,hard". Raises UsageError."""
    if "=" not in text and text != HARD:
        return parse_count(text), None
    asked: dict[str, str] = {}
    for each in text.split(","):
        word, _, value = each.strip().partition("=")
        if word not in (TOKENS, *WORDS):
            raise UsageError(f"{option}: no such limit: {word[:40]}", hint=", ".join((TOKENS, *WORDS)))
        asked[word] = value
    tokens = asked.pop(TOKENS, None)
    return None if tokens is None else parse_count(tokens), after(None, asked)


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
            case "usd":
                fields[USD] = _dollars(part.usd, text)
            case _:
                fields[COUNTS[word]] = changed(getattr(part, COUNTS[word]), text, parse_count, word)
    part = msgspec.structs.replace(part, **fields)
    return part if part != BudgetPart() else None


def check(part: BudgetPart) -> None:
    """Raises InputError."""
    for field in COUNTS.values():
        value = getattr(part, field)
        if value is not None and not 0 <= value < MOST:
            raise InputError("expected a count, 0 or more", field=f"budget.{field}")
    if part.usd is not None and not (math.isfinite(part.usd) and 0 <= part.usd <= MOST_USD):
        raise InputError(f"expected US dollars, 0 to {MOST_USD:,.0f}", field="budget.usd")


def told(part: BudgetPart) -> dict[str, str]:
    """As people write it."""
    found = {word: str(value) for word, field in COUNTS.items() if (value := getattr(part, field)) is not None}
    if part.usd is not None:
        found[USD] = f"{part.usd:g}"
    return found | ({HARD: "yes"} if part.hard else {})


def of_model(name: str) -> str:
    """Why a model has no budget: one on it would cap nothing."""
    return f"{name} is a model: what it is asked counts for who asks"


def whole(tokens: int | None, part: BudgetPart | None) -> str:
    """All of it, as `aish limit` takes it; empty: nothing is limited."""
    said = ({} if tokens is None else {TOKENS: str(tokens)}) | told(part or BudgetPart())
    return " ".join(f"{word}={value}" for word, value in said.items())


def lacking(detail: Mapping[str, object]) -> tuple[str, str]:
    """Of what somebody held has too little, by the detail of its event: in words, and as a limit that helps."""
    return _LACKING.get(str(detail.get("what", TOKENS)), _LACKING[TOKENS])


def shown_usd(usd: float) -> str:
    """Cents, and of less than a dollar as many digits as tell it from nothing."""
    if not 0 < usd < 1:
        return f"{usd:.2f}"
    whole, _, rest = f"{usd:.{3 - math.floor(math.log10(usd))}f}".partition(".")
    return f"{whole}.{rest.rstrip('0'):0<2}"


def _dollars(before: float | None, text: str) -> float | None:
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
        raise UsageError("there is no limit of usd to raise", hint=f"set one: usd={text[1:]}")
    return value + (before or 0.0) if raised else value


def _flag(text: str) -> bool:
    if text not in ("", "yes", "no", "none"):
        raise UsageError(f"hard: expected yes or no, not {text[:20]!r}")
    return text in ("", "yes")
