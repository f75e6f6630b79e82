"""What an agent has used by now, by the gateway's figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aish.agents.checkpoints.asking import within
from aish.errors import UnavailableError
from aish.wire.message import BudgetQuery
from aish.wire.reply import Budgets

if TYPE_CHECKING:
    from aish.client import Client
    from aish.wire.part import TokensPart


def used(client: Client, id: str, patience_s: float) -> TokensPart | None:
    """The gateway is asked: what the supervisor has is some tenths of a second old. None: it does not tell, or not
    within `patience_s`, and nothing more can be asked by `client`. Raises AishError."""
    try:
        found = within(client, BudgetQuery(target=id), Budgets, patience_s)
    except UnavailableError:
        return None
    return found.tokens if found is not None else None
