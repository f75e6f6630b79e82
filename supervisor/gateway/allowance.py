"""A budget between the ledger's numbers, the daemon's messages and people's words. Pure."""

from __future__ import annotations

from typing import Any, Final

from aish.supervisor.gateway.account import Account, Today
from aish.supervisor.gateway.amounts import MOST_BUDGET, NO_SUMS, PICO, SUMMED, Budget, Most, What
from aish.supervisor.gateway.budget import Claim
from aish.wire import budget as budgets
from aish.wire.part import BudgetLine
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
_DAY: Final = "_per_day"
"""Behind the name of a sum: that of a day."""
_TYPED: Final = {field: word for word, field in (*budgets.COUNTS.items(), *budgets.DOLLARS.items())}


def lacking(claim: Claim, account: Account) -> str:
    """What there is too little of for a claim that an account holds."""
    budget = account.budget
    for limits, spent, _, _, daily in account.counted():
        for what, most in limits.summed():
            if claim.fits(Most(**{what: most}), spent) < claim.floor:
                return named(what, daily=daily)
    if budget.context is not None and claim.in_context(budget.context) < claim.floor:
        return "context"
    return "concurrent" if budget.concurrent == 0 else "per_minute"


def named(what: What, *, daily: bool) -> str:
    return what + _DAY if daily else what


def words(what: str) -> str:
    """For people: "money for today"."""
    return WORDS[what.removesuffix(_DAY)] + (" for today" if what.endswith(_DAY) else "")


def helps(what: str) -> str:
    """The limit that lets it go on, as `aish limit` takes it."""
    return budgets.lacking({"what": told(what)})[1]


def told(what: str) -> str:
    return TOLD[what.removesuffix(_DAY)] + (_DAY if what.endswith(_DAY) else "")


def figures(claim: Claim, account: Account, what: str) -> str:
    """How much of it there is, and how much the request may take at least; '' where that tells nothing."""
    name = what.removesuffix(_DAY)
    if name not in SUMMED:
        return ""
    most, used = _most(account, what), _used(account, what)
    needed = getattr(claim.amounts(claim.floor), name)
    if name == "pusd":
        numbers = [f"{amount / PICO:.4g}" for amount in (used, most, needed)]
    else:
        numbers = [f"{amount:,}" for amount in (used, most, needed)]
    return ": {} of {} are used, and it may take {}".format(*numbers)


def said(account: Account, what: str) -> dict[str, Any]:
    """What is used of which budget."""
    name = what.removesuffix(_DAY)
    most, used = in_words(name, _most(account, what)), in_words(name, _used(account, what))
    return {"what": told(what), "used": used, "budget": most}


def in_words(what: str, value: int) -> float:
    """As messages have it: dollars for picodollars."""
    return value / PICO if what == "pusd" else value


def _most(account: Account, what: str) -> int:
    limits: object = account.budget.day if what.endswith(_DAY) else account.budget
    return int(getattr(limits, what.removesuffix(_DAY)))


def _used(account: Account, what: str) -> int:
    spent = (account.today or Today(0)).spent if what.endswith(_DAY) else account.spent
    return int(getattr(spent, what.removesuffix(_DAY), 0))


def lines(account: Account, now_s: float) -> list[BudgetLine]:
    """All that an account limits, with what is used of it."""
    budget = account.budget
    found = []
    for limits, spent, reserved, _, daily in account.counted():
        for what, most in limits.summed():
            unit = PICO if what == "pusd" else 1
            word = _TYPED.get(told(named(what, daily=daily)), budgets.TOKENS)
            figures = (each / unit for each in (most, getattr(spent, what), getattr(reserved, what)))
            found.append(_line(account, word, *figures))
    if budget.concurrent is not None:
        found.append(_line(account, "concurrent", budget.concurrent, account.under_way))
    if budget.per_minute is not None:
        account.rate_free_s(now_s)  # those of more than a minute ago are left out
        found.append(_line(account, "rpm", budget.per_minute, len(account.begun_s)))
    if budget.context is not None:
        found.append(_line(account, "context", budget.context, None))
    return found


def _line(account: Account, word: str, most: float, used: float | None, promised: float = 0.0) -> BudgetLine:
    return BudgetLine(
        account=account.id, word=word, most=most, used=used, promised=promised, hard=account.budget.hard
    )


def budget_of(tokens: int | None, part: BudgetPart | None) -> Budget:
    """As the daemon and the verbs say it."""
    part = part or BudgetPart()
    day = Most(
        tokens=part.tokens_per_day,
        input=part.input_tokens_per_day,
        output=part.output_tokens_per_day,
        pusd=_pusd(part.usd_per_day),
        requests=part.requests_per_day,
    )
    return Budget(
        tokens=None if tokens is None else min(tokens, MOST_BUDGET),
        input=part.input_tokens,
        output=part.output_tokens,
        pusd=_pusd(part.usd),
        requests=part.requests,
        per_minute=part.requests_per_minute,
        concurrent=part.concurrent,
        context=part.context_tokens,
        hard=part.hard,
        day=day if day != NO_SUMS else None,
    )


def part_of(budget: Budget) -> BudgetPart:
    """The other way round, without the tokens in all."""
    day = budget.day or NO_SUMS
    return BudgetPart(
        input_tokens=budget.input,
        output_tokens=budget.output,
        usd=_usd(budget.pusd),
        requests=budget.requests,
        requests_per_minute=budget.per_minute,
        concurrent=budget.concurrent,
        context_tokens=budget.context,
        hard=budget.hard,
        tokens_per_day=day.tokens,
        input_tokens_per_day=day.input,
        output_tokens_per_day=day.output,
        usd_per_day=_usd(day.pusd),
        requests_per_day=day.requests,
    )


def _pusd(usd: float | None) -> int | None:
    return None if usd is None else min(round(usd * PICO), MOST_BUDGET)


def _usd(pusd: int | None) -> float | None:
    return None if pusd is None else pusd / PICO
