"""How a budget is split between an agent and one that goes on from a checkpoint of it. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import structs

from aish.errors import LimitError
from aish.wire import budget
from aish.wire.spec import BudgetPart

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aish.wire.part import TokensPart
    from aish.wire.spec import SpecPart


class Share(NamedTuple):
    tokens: int | None
    part: BudgetPart | None


def used_by(tokens: TokensPart) -> dict[str, float]:
    """By the words of a budget's sums."""
    return {
        budget.TOKENS: tokens.input + tokens.output,
        "input": tokens.input,
        "output": tokens.output,
        "usd": tokens.cost_usd,
        "requests": tokens.requests,
    }


def share(spec: SpecPart, used: Mapping[str, float], asked: Share | None, *, all: bool, name: str) -> Share:
    """What the other one gets: half of what is left of each sum, or with `all` the whole, unless `asked` says how
    much. What is no sum (a rate, a day, a context) holds for each of them. Raises LimitError where there is nothing,
    or less than is asked for."""

    def of(word: str, most: float | None, wanted: float | None) -> float | None:
        if most is None:
            return wanted
        left = max(0.0, most - used.get(word, 0.0))
        if wanted is None:
            wanted = left if all else left / 2
        wanted = wanted if word == budget.USD else math.floor(wanted)
        if wanted > left or not wanted:
            raise LimitError(
                f"{_amount(word, left)} {'is' if word == budget.USD else 'are'} left of the budget of {name}",
                hint=f"raise it first: aish limit @{name} {word}=+…; or ask for less by --budget",
            )
        return wanted

    before, said = spec.budget or BudgetPart(), (asked.part if asked is not None else None) or BudgetPart()
    fields: dict[str, Any] = {}
    for word, field in budget.SUMS.items():
        fields[field] = of(word, getattr(before, field), getattr(said, field))
    others = {
        field: value
        for field in BudgetPart.__struct_fields__
        if field not in budget.SUMS.values() and (value := getattr(said, field)) not in (None, False)
    }
    part = structs.replace(before, **others, **fields)
    tokens = of(budget.TOKENS, spec.budget_tokens, asked.tokens if asked is not None else None)
    return Share(None if tokens is None else int(tokens), None if part == BudgetPart() else part)


def _amount(word: str, value: float) -> str:
    return f"{budget.shown_usd(value)} USD" if word == budget.USD else f"{value:,.0f} {word}"
