"""The end of a request: settle with the server's figures, or find out what was used where it did not tell.

Estimates are counted off the request's path; until then what was reserved stays reserved.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

import msgspec

from aish.supervisor.gateway import observed
from aish.supervisor.gateway.dialects import openai, sse
from aish.supervisor.gateway.dialects.assemble import Assembly
from aish.supervisor.gateway.dialects.call import Call
from aish.supervisor.gateway.dialects.dialect import Dialect
from aish.supervisor.gateway.dialects.worked import Worked
from aish.supervisor.gateway.histories import Histories
from aish.supervisor.gateway.keys import Caller
from aish.supervisor.gateway.meter import LIKELY_TOKENS_PER_S, Board, Live, Used, estimate_prompt
from aish.supervisor.gateway.prices import Prices
from aish.supervisor.gateway.routes import LLAMACPP, Server
from aish.supervisor.gateway.row import HUNG_UP, Row
from aish.supervisor.gateway.spending import Spending
from aish.supervisor.gateway.texts import Text
from aish.supervisor.gateway.upstream import Upstreams
from aish.supervisor.gateway.web import Request
from aish.supervisor.gateway.windows.ledger import Account


class Exchange(msgspec.Struct, eq=False):
    """One request under way, and all that its settlement needs. What stands below `attempts` is of the attempt that
    is being made, or was made last."""

    caller: Caller
    row: Row
    live: Live
    began_s: float
    request: Request
    dialect: Dialect
    asked: str = ""
    """The model's name as the client said it."""
    blocked_s: float | None = None
    """Since when the client does not read what we write."""
    attempts: int = 0
    """How often a server was asked."""
    settled: bool = False
    """Its row has been settled, and there is no other."""
    call: Call | None = None
    server: Server | None = None
    sent_s: float | None = None
    over_s: float | None = None
    """When it failed, while another may follow."""
    exact_prompt: int | None = None
    hidden_tokens: int = 0
    """The most that its server has stored and reads before it."""
    stored: tuple[str, ...] = ()
    """Under which the server has stored the answer."""
    relay: sse.Frames | None = None
    assembly: Assembly | None = None
    used: Used | None = None
    """The server's own figures."""
    behind: bool = False
    """The client hung up and had not read what was there, so that nobody knows how much more its server has made."""
    unused: bool = False
    """Nothing was used: it was not sent, or refused."""
    choices: tuple[bytes, ...] = ()
    """The answers of a reply that came whole."""
    text: Text | None = None
    """What is kept of it: see texts.py."""

    def ends(self, status: int, bytes_out: int | None = None) -> None:
        """With this status; a row that was settled for itself keeps its own."""
        if not self.settled:
            self.row.status = status
            self.row.bytes_out = self.row.bytes_out if bytes_out is None else bytes_out

    def fails(self, status: int) -> None:
        """The attempt is over, and another may follow."""
        self.over_s, self.live.sent = time.monotonic(), False
        self.ends(status)

    def ended(self) -> Exchange:
        """The attempt that was made last, to be settled for itself; the next one begins with nothing."""
        ended = msgspec.structs.replace(self)
        self.settled, self.sent_s, self.exact_prompt = True, None, None
        self.relay = self.assembly = self.used = None
        self.unused, self.behind, self.choices, self.stored = False, False, (), ()
        return ended

    def again(self) -> None:
        """The next attempt goes on in the same row: the one before used nothing."""
        self.exact_prompt = self.relay = self.assembly = self.used = None
        self.stored, self.behind = (), False
        self.choices, self.row.status, self.row.first_token_s, self.row.bytes_out = (), None, None, 0

    @property
    def told(self) -> bool:
        """Whether the server's figures are the whole of it: llama.cpp tells those of one answer out of several."""
        several = self.call is not None and self.call.copies > 1
        return self.used is not None and not (several and self.server is not None and self.server.engine == LLAMACPP)


AccountOf = Callable[[Server, Mapping[str, str]], Account | None]
"""In whose usage windows a request to a server counts, by its headers."""


class Settling:
    """Ends exchanges. One per gateway. `observe` is told of each that is settled."""

    def __init__(
        self,
        board: Board,
        spending: Spending,
        upstreams: Upstreams,
        prices: Prices,
        histories: Histories,
        observe: observed.Observer | None = None,
        *,
        account: AccountOf = lambda server, request: None,
    ) -> None:
        self._observe = observe
        self._account = account
        self._board = board
        self._prices = prices
        self._histories = histories
        self._spending = spending
        self._upstreams = upstreams
        self._later: set[asyncio.Task[None]] = set()

    def end(self, exchange: Exchange) -> None:
        """The request is over: its live entry goes, and its row is settled, or goes as well where it is of a further
        attempt that was never made."""
        self._board.end(exchange.live.number)
        if exchange.settled:
            return
        if exchange.attempts and exchange.sent_s is None:
            exchange.settled = True
            self._spending.give_back(exchange.row.number)
        else:
            self.settle(exchange)

    def settle(self, exchange: Exchange) -> asyncio.Task[None] | None:
        """Settle now if the figures are known, else find them out off the request's path, in the task that is
        returned."""
        row = exchange.row
        row.seconds = (exchange.over_s or time.monotonic()) - (exchange.sent_s or exchange.began_s)
        if row.status is None:  # an error that nobody expected: see http.py
            row.status = 500
        if exchange.sent_s is None:
            row.server = None  # chosen, but never asked
        if exchange.sent_s is None or exchange.unused:
            self._settle(exchange, Used(0, 0))
        elif exchange.used is not None and exchange.told:
            self._settle(exchange, exchange.used)
        else:
            task = asyncio.get_running_loop().create_task(self._settle_estimated(exchange), name="settle")
            self._later.add(task)
            task.add_done_callback(self._later.discard)
            return task
        return None

    def _settle(self, exchange: Exchange, used: Used) -> None:
        row = exchange.row
        if exchange.stored:  # of an answer that was cut nobody knows how long it is: the bound that was reserved
            bound = row.input + row.output if used.estimated else 0
            self._histories.learn(exchange.stored, max(used.input + used.output, bound))
        row.input, row.output, row.estimated = used.input, used.output, used.estimated
        row.cached, row.written, row.reasoning = used.cached, used.written, used.reasoning
        if exchange.server is not None:
            account = self._account(exchange.server, exchange.request.headers)
            row.subscription = None if account is None else str(account)
        if row.server is None or exchange.server is None:
            row.cost_usd = 0.0  # nobody was asked
        else:
            asked = exchange.call.model if exchange.call is not None else ""
            cost = self._prices.cost(exchange.server, used, row.seconds or 0.0, asked)
            row.cost_usd, row.price = (None, None) if cost is None else (cost.usd, cost.price)
        self._spending.settle(row)
        if self._observe is not None:
            self._observe(observed.of(exchange))

    async def _settle_estimated(self, exchange: Exchange) -> None:
        """The server did not tell (all of) what was used: count again what went in and what came out."""
        row, call, server = exchange.row, exchange.call, exchange.server
        used = Used(row.input, row.output, estimated=True)  # the bound that was reserved
        try:
            if call is not None and server is not None:
                used = await self._estimate(exchange, call, server)
        finally:
            most = Used(min(used.input, row.input), min(used.output, row.output), estimated=True)
            self._settle(exchange, most)

    async def _estimate(self, exchange: Exchange, call: Call, server: Server) -> Used:
        if server.engine == LLAMACPP and call.endpoint != openai.EMBEDDINGS:
            return await self._worked(exchange, call, server)
        prompt = await self._prompt(exchange, call, server)
        unseen = not exchange.choices and exchange.relay is None and not call.stream
        if unseen and call.endpoint != openai.EMBEDDINGS and exchange.row.seconds:  # it was at work all the time
            output = max(1, int(exchange.row.seconds * (server.tokens_per_s or LIKELY_TOKENS_PER_S)))
        else:
            output = await self._written(exchange, server)
        if exchange.used is not None:
            prompt, output = max(prompt, exchange.used.input), max(output, exchange.used.output)
        return Used(prompt, output, estimated=True)

    async def _worked(self, exchange: Exchange, call: Call, server: Server) -> Used:
        """At llama.cpp: its own figures of every answer, up to the moment that we saw last, and where the client left
        it the most that it can have made since: budgets are held to what it works, whoever reads that."""
        relay = exchange.relay
        told = exchange.assembly if exchange.assembly is not None else relay
        worked = Worked() if told is None or told.worked is None else told.worked
        used = worked.used()
        if used is None:
            used = Used(await self._prompt(exchange, call, server), await self._written(exchange, server))
        if exchange.row.status != HUNG_UP or (relay is not None and relay.done):
            return Used(used.input, used.output, estimated=True)
        output = exchange.row.output if exchange.behind else used.output + worked.untold(call.copies)
        return Used(max(used.input, exchange.exact_prompt or 0), output, estimated=True)

    async def _written(self, exchange: Exchange, server: Server) -> int:
        """What came of answers, counted again."""
        if exchange.choices:
            return sum([await self._count_choice(server, choice) for choice in exchange.choices])
        return 0 if exchange.relay is None else exchange.relay.count.estimate()

    async def _prompt(self, exchange: Exchange, call: Call, server: Server) -> int:
        """The server's own count, else a likely number: the bound that was reserved, where a local model has to stay
        within a budget."""
        exact = exchange.exact_prompt
        if exact is None and exchange.relay is not None:
            exact = exchange.relay.prompt
        if exact is None:
            exact = await self._upstreams.count(server, call, exchange.request.headers)
        if exact is not None:
            return exact
        if server.engine == LLAMACPP and self._spending.limited(exchange.row):
            return exchange.row.input
        return estimate_prompt(call.prompt_bytes) + exchange.hidden_tokens

    async def _count_choice(self, server: Server, choice: bytes) -> int:
        text = openai.choice_text(choice)
        tokens = await self._upstreams.count_text(server, text)
        return tokens + 1 if tokens is not None else estimate_prompt(len(text.encode()))  # the token that ends it

    async def close(self, patience_s: float) -> None:
        """Wait a moment for settlements that are still being counted; the others are settled as their bounds."""
        if self._later:
            _, late = await asyncio.wait(self._later, timeout=max(0.0, patience_s))
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
