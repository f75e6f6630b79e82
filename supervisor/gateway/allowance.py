"""A budget between the ledger's numbers, the daemon's messages and people's words. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from aish.supervisor.gateway.budget import MOST_BUDGET, NONE, PICO, SUMMED, Account, Budget, Claim
from aish.wire import budget as budgets
from aish.wire.spec import BudgetPart

WORDS: Final = {
    "tokens": "tokens",
    "input": "tokens of input",
    "output": "tokens of output",
    "pusd": "money",
    "requests": "requests",
    "concurrent": "requests at a time",
    "per_minute": "requests in a minute",
    "context": "tokens of one request",
}
TOLD: Final = {
    "tokens": "tokens",
    "input": "input_tokens",
    "output": "output_tokens",
    "pusd": "usd",
    "requests": "requests",
    "concurrent": "concurrent",
    "per_minute": "requests_per_minute",
    "context": "context_tokens",
}
"""As BudgetPart has them."""


def lacking(claim: Claim, account: Account) -> str:
    """What there is too little of for a claim that an account holds."""
    budget = account.budget
    for what, most in budget.summed():
        alone = replace(NONE, **{what: most})  # type: ignore[arg-type]  # a sum's name, and never `hard`
        if claim.room(alone, account.spent) < claim.floor:
            return what
    if budget.context is not None and claim.room(Budget(context=budget.context), account.spent) < claim.floor:
        return "context"
    return "concurrent" if budget.concurrent == 0 else "per_minute"


def helps(what: str) -> str:
    """The limit that lets it go on, as `aish limit` takes it."""
    return budgets.lacking({"what": TOLD[what]})[1]


def figures(claim: Claim, account: Account, what: str) -> str:
    """How much of it there is, and how much the request may take at least; '' where that tells nothing."""
    if what not in SUMMED:
        return ""
    most, used = getattr(account.budget, what), getattr(account.spent, what)
    needed = getattr(claim.amounts(claim.floor), what)
    if what == "pusd":
        words = [f"{amount / PICO:.4g}" for amount in (used, most, needed)]
    else:
        words = [f"{amount:,}" for amount in (used, most, needed)]
    return ": {} of {} are used, and it may take {}".format(*words)


def said(account: Account, what: str) -> dict[str, Any]:
    """What is used of which budget."""
    most = getattr(account.budget, what)
    used = getattr(account.spent, what, 0)
    if what == "pusd":
        return {"what": TOLD[what], "used": used / PICO, "budget": most / PICO}
    return {"what": TOLD[what], "used": used, "budget": most}


def budget_of(tokens: int | None, part: BudgetPart | None) -> Budget:
    """As the daemon and the verbs say it."""
    part = part or BudgetPart()
    return Budget(
        tokens=None if tokens is None else min(tokens, MOST_BUDGET),
        input=part.input_tokens,
        output=part.output_tokens,
        pusd=None if part.usd is None else min(round(part.usd * PICO), MOST_BUDGET),
        requests=part.requests,
        per_minute=part.requests_per_minute,
        concurrent=part.concurrent,
        context=part.context_tokens,
        hard=part.hard,
    )


def part_of(budget: Budget) -> BudgetPart:
    """The other way round, without the tokens in all."""
    return BudgetPart(
        input_tokens=budget.input,
        output_tokens=budget.output,
        usd=None if budget.pusd is None else budget.pusd / PICO,
        requests=budget.requests,
        requests_per_minute=budget.per_minute,
        concurrent=budget.concurrent,
        context_tokens=budget.context,
        hard=budget.hard,
    )
