"""What an agent has used by now, by the gateway's figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aish.errors import UnavailableError
from aish.wire.message import BudgetQuery
from aish.wire.reply import Budgets

if TYPE_CHECKING:
    from aish.client import Client
    from aish.wire.part import TokensPart


def used(client: Client, id: str) -> TokensPart | None:
    """The gateway is asked: what the supervisor has is some tenths of a second old. None: it does not tell. Raises
    AishError."""
    try:
        return client.ask(Budgets, BudgetQuery(target=id)).tokens
    except UnavailableError:
        return None
