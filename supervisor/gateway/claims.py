"""What a request asks of the budgets above it, before one server is asked: upper bounds, and the output left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from aish.errors import BudgetError
from aish.model.dialect import ANTHROPIC
from aish.supervisor.gateway.account import Account
from aish.supervisor.gateway.amounts import FREE, Price
from aish.supervisor.gateway.budget import Claim, Ledger, Reservation
from aish.supervisor.gateway.dialects import openai
from aish.supervisor.gateway.dialects.call import Call
from aish.supervisor.gateway.dialects.openai import MOST_TOKENS
from aish.supervisor.gateway.histories import Histories
from aish.supervisor.gateway.meter import UNSTATED_OUTPUT_TOKENS, prompt_bound
from aish.supervisor.gateway.prices import Prices
from aish.supervisor.gateway.routes import LLAMACPP, Server
from aish.supervisor.gateway.settling import Exchange
from aish.supervisor.gateway.upstream import Upstreams
from aish.wire.account import WRAPUP

LOWERED: Final = "x-aish-max-tokens-lowered"
LIMITED_BY: Final = "x-aish-limited-by"
BUDGET: Final = "x-aish-budget"
BUDGET_OF: Final = "x-aish-budget-of"
"""Whose it is, where it is not the caller's own."""
FAR_AWAY: Final = 64  # a budget this many times larger than a request's rough bound needs no exact count
LEAST_OUTPUT_TOKENS: Final = 1024  # with fewer than this left, a request that names no limit waits for more


class Limit(msgspec.Struct, frozen=True):
    """Output tokens per answer to ask the server for; None: as the request says."""

    each: int | None
    lowered_by: Account | None = None
    """The budget that allows no more: an answer that ends at the limit is not whole."""

    def told(self, process: str) -> dict[str, str]:
        """The headers that say so to the process that asked."""
        budget = self.lowered_by
        if budget is None:
            return {}
        headers = {LOWERED: str(self.each), LIMITED_BY: "budget"}
        if budget.id == WRAPUP + process:
            return headers
        if budget.budget.tokens is not None:
            headers[BUDGET] = str(budget.budget.tokens)
        return headers if budget.id == process else {**headers, BUDGET_OF: budget.id}


class Claims:
    """One per gateway."""

    def __init__(self, ledger: Ledger, upstreams: Upstreams, prices: Prices, histories: Histories) -> None:
        self._ledger = ledger
        self._upstreams = upstreams
        self._prices = prices
        self._histories = histories

    async def of(
        self,
        exchange: Exchange,
        call: Call,
        server: Server,
        servers: Sequence[Server],
        number: int,
        grace: str | None,
    ) -> Claim:
        """Upper bounds of input and output, by the server that takes the most of `servers`, any of which may answer.
        Tokens are counted exactly where a budget is near and it costs little. `grace`: the account of a last message.

        Raises BudgetError where money is limited and nobody knows the price, StorageError.
        """
        process = exchange.row.process
        account = grace or process
        bound = prompt_bound(call.prompt_bytes, call.parts)
        context = server.context
        if call.goes_on:
            exchange.hidden_tokens = self._histories.tokens(call.goes_on, context)
            bound += exchange.hidden_tokens
        most = MOST_TOKENS
        if context is not None and server.engine == LLAMACPP:  # it refuses what does not fit into its context
            most = context * (call.prompts if call.endpoint == openai.EMBEDDINGS else call.copies)
        bound = min(bound, most)
        each = call.max_output or (context if _bounds(server) else None) or UNSTATED_OUTPUT_TOKENS
        price = self._price(account, servers, call.model)
        left = self._ledger.left(account, price)
        exact = None
        if left is not None and (call.tools or left < FAR_AWAY * (bound + each * call.copies)):
            exact = await self._upstreams.count(server, call, exchange.request.headers)
            if exact is not None:
                bound = min(exact, most)
                context = server.context_tokens  # by its own word: what it does not have it does not give
                if context is not None:
                    each = max(1, min(each, context - bound // call.copies))
        exchange.exact_prompt = exact
        wish = 0 if call.endpoint == openai.EMBEDDINGS else min(each * call.copies, MOST_TOKENS)
        least = wish if call.max_output is not None else min(wish, LEAST_OUTPUT_TOKENS * call.copies)
        return Claim(number, process, bound, wish, least, call.copies, price, grace)

    def _price(self, account: str, servers: Sequence[Server], asked: str) -> Price:
        """The most that a token costs at any of them. Raises BudgetError where money is limited and nobody knows the
        price."""
        for limited in self._ledger.limited(account):
            if limited.costs:
                break
        else:
            return FREE
        most = FREE
        for server in servers:
            price = self._prices.bound(server, asked)
            if price is None:
                raise BudgetError(
                    f"what {server.name} costs is not known, so that a budget in USD cannot be held",
                    hint=f"aish model serve {server.name} … --price input=…,output=… says it",
                )
            most = price if most is FREE else Price(max(most.input, price.input), max(most.output, price.output))
        return most

    def limit(self, call: Call, server: Server, claim: Claim, reservation: Reservation) -> Limit:
        """Where nothing limits it, or there is enough, the request's own limit stays."""
        if not self._ledger.limited(claim.grace or claim.process) or claim.wish == 0:
            return Limit(None)
        owner = self._ledger.accounts.get(reservation.lowered_by or "")
        if owner is None and (call.max_output is not None or (_bounds(server) and server.engine != LLAMACPP)):
            return Limit(None)
        return Limit(reservation.output // call.copies, owner)


def _bounds(server: Server) -> bool:
    """Whether an answer of which nobody says how long it may be ends with the server's context. To ask for all of it
    is refused by those that add the prompt to that; in Anthropic's dialect a limit must be said."""
    return server.context is not None and server.dialect != ANTHROPIC
