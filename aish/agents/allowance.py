"""What an agent file's limits are at the gateway, beside tokens in all. Pure."""

from __future__ import annotations

from aish.wire.spec import BudgetPart

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.agents.agent import Limits


def budget(limits: Limits) -> BudgetPart | None:
    """None: nothing is limited."""
    part = BudgetPart(usd=limits.usd, requests=limits.requests, context_tokens=limits.context)
    return part if part != BudgetPart() else None
