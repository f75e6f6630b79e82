"""What an agent has used by now, by the gateway's figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aish.wire.message import BudgetQuery, Inspect
from aish.wire.part import TokensPart
from aish.wire.reply import Budgets, Inspected

if TYPE_CHECKING:
    from aish.client import Client


def settled(client: Client, id: str) -> Inspected:
    """What is known of it once all that it was answered is counted: the gateway tells of that in order, and so before
    it answers a question that is asked now. Raises AishError."""
    client.ask(Budgets, BudgetQuery(target=id))
    return client.ask(Inspected, Inspect(target=id))


def usage_of(inspected: Inspected) -> TokensPart:
    """Nothing was asked yet where nothing is known."""
    return inspected.process.tokens or TokensPart()
