"""A request from its body to its last byte: read, wait, reserve, send, pass on, settle.

    parse -> a ready server -> not held by a person -> reserved -> its turn -> sent -> first byte -> ... -> settled

At every step the client may hang up (its task is cancelled): what was reserved goes back, the upstream connection is
closed at once, and what was streamed until then is settled as an estimate, off the path of the request.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aish.errors import AishError, BudgetError, RefusedError, UpstreamError
from aish.model.dialect import ANTHROPIC
from aish.supervisor.gateway import routes
from aish.supervisor.gateway.account import Account
from aish.supervisor.gateway.amounts import FREE, Price
from aish.supervisor.gateway.bell import Bell
from aish.supervisor.gateway.budget import Claim, Ledger, Reservation
from aish.supervisor.gateway.delivery import Delivery, HungUpError
from aish.supervisor.gateway.dialects import openai
from aish.supervisor.gateway.dialects.call import Call
from aish.supervisor.gateway.dialects.crossing import Crossing, cross
from aish.supervisor.gateway.dialects.dialect import Dialect
from aish.supervisor.gateway.dialects.openai import MOST_TOKENS
from aish.supervisor.gateway.keys import Caller, Keys
from aish.supervisor.gateway.log import log
from aish.supervisor.gateway.meter import (
    UNSTATED_OUTPUT_TOKENS,
    Board,
    prompt_bound,
)
from aish.supervisor.gateway.prices import Prices
from aish.supervisor.gateway.probe import Probes
from aish.supervisor.gateway.routes import LLAMACPP, Directory, Server, widest
from aish.supervisor.gateway.row import HUNG_UP, Row
from aish.supervisor.gateway.settling import Exchange, Settling
from aish.supervisor.gateway.spending import Spending
from aish.supervisor.gateway.turns import Turns
from aish.supervisor.gateway.upstream import Upstreams
from aish.supervisor.gateway.web import Answer, Request, Response

if TYPE_CHECKING:
    from collections.abc import Sequence

SLOW_CLIENT_S: Final = 60.0
LOWERED: Final = "x-aish-max-tokens-lowered"
LIMITED_BY: Final = "x-aish-limited-by"
BUDGET: Final = "x-aish-budget"
BUDGET_OF: Final = "x-aish-budget-of"
"""Whose it is, where it is not the caller's own."""
FAR_AWAY: Final = 64  # a budget this many times larger than a request's rough bound needs no exact count
LEAST_OUTPUT_TOKENS: Final = 1024  # with fewer than this left, a request that names no limit waits for more


class Proxy:
    """Serves requests to models. One per gateway."""

    def __init__(
        self,
        *,
        directory: Directory,
        bell: Bell,
        board: Board,
        keys: Keys,
        probes: Probes,
        settling: Settling,
        spending: Spending,
        turns: Turns,
        upstreams: Upstreams,
        prices: Prices,
    ) -> None:
        self._prices = prices
        self._settling = settling
        self._directory = directory
        self._bell = bell
        self._board = board
        self._keys = keys
        self._probes = probes
        self._spending = spending
        self._turns = turns
        self._upstreams = upstreams
        self._exchanges: set[Exchange] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    async def serve(self, request: Request, caller: Caller, dialect: Dialect, path: str, body: bytes) -> Answer:
        """Answer one request; every outcome, an error too, is one row in the records."""
        number = self._spending.number()
        row = Row(
            number, time.time(), self._directory.epoch, caller.account, caller.name, caller.kind, (), "",
            dialect.name, path, bytes_in=len(body), agent=caller.agent, project=caller.project,
        )  # fmt: skip
        live = self._board.begin(number, caller.account, "")
        exchange = Exchange(caller, row, live, time.monotonic(), request, dialect)
        self._exchanges.add(exchange)
        self._idle.clear()
        try:
            response = await self._serve(exchange, path, body)
        except AishError as error:
            # Refused here means: its process ended, or its key was revoked, while the request waited.
            row.status, data = openai.failure(error, 401 if isinstance(error, RefusedError) else None)
            row.status = dialect.status(row.status)
            if row.status >= 500:
                log("request", f"{caller.account} {path} {row.model}: {row.status} {error}")
            response = Response(status=row.status, body=dialect.error(row.status, data))
        except HungUpError:
            row.status = HUNG_UP
            response = Response(status=HUNG_UP)  # reaches nobody
        except asyncio.CancelledError:
            row.status = HUNG_UP
            raise
        finally:
            self._exchanges.discard(exchange)
            if not self._exchanges:
                self._idle.set()
            self._settling.end(exchange)
        return response

    async def _serve(self, exchange: Exchange, path: str, body: bytes) -> Answer:
        asked = exchange.dialect.parse(path, body)
        row, live = exchange.row, exchange.live
        row.model, row.stream = asked.model or routes.DEFAULT, asked.stream
        live.model = row.model
        servers = await self._turns.ready(exchange, asked)
        server = widest(servers)  # what is reserved is enough for any of them
        row.model, row.server = server.shown_as(asked.model), server.id
        live.model = server.name
        crossing = cross(asked, exchange.dialect, server)
        exchange.call = crossing.call
        claim = await self._claim(exchange, crossing.call, server, servers)
        self._keys.alive(row.process)  # from here until it waits for tokens nobody else's turn comes in between
        reservation = await self._spending.reserve(row, claim, live)
        async with self._turns.turn(exchange, asked) as place:
            if place is not server:
                server, crossing = place, cross(asked, exchange.dialect, place)
            exchange.call, exchange.server, row.server = crossing.call, server, server.id
            limit = _limit(crossing.call, server, claim, reservation, self._spending.ledger)
            return await self._send(exchange, crossing, server, limit)

    # --- what to reserve ----------------------------------------------------------------------------------------

    async def _claim(self, exchange: Exchange, call: Call, server: Server, servers: Sequence[Server]) -> Claim:
        """Upper bounds of input and output. Tokens are counted exactly where a budget is near and it costs little."""
        account = exchange.row.process
        bound = prompt_bound(call.prompt_bytes, call.parts)
        context = server.context
        most = MOST_TOKENS
        if context is not None and server.engine == LLAMACPP:  # it refuses what does not fit into its context
            most = context * (call.prompts if call.endpoint == openai.EMBEDDINGS else call.copies)
        bound = min(bound, most)
        each = call.max_output or (context if _bounds(server) else None) or UNSTATED_OUTPUT_TOKENS
        price = self._price(account, servers, call.model)
        left = self._spending.ledger.left(account, price)
        if left is not None and (call.tools or left < FAR_AWAY * (bound + each * call.copies)):
            exchange.exact_prompt = await self._upstreams.count(server, call, exchange.request.headers)
            if exchange.exact_prompt is not None:
                bound = min(exchange.exact_prompt, most)
                context = server.context_tokens  # by its own word: what it does not have it does not give
                if context is not None:
                    each = max(1, min(each, context - bound // call.copies))
        wish = 0 if call.endpoint == openai.EMBEDDINGS else min(each * call.copies, MOST_TOKENS)
        least = wish if call.max_output is not None else min(wish, LEAST_OUTPUT_TOKENS * call.copies)
        return Claim(exchange.row.number, account, bound, wish, least, call.copies, price)

    def _price(self, account: str, servers: Sequence[Server], asked: str) -> Price:
        """The most that a token costs at any of them. Raises BudgetError where money is limited and nobody knows the
        price."""
        if not any(found.budget.costs for found in self._spending.ledger.limited(account)):
            return FREE
        most = FREE
        for server in servers:
            price = self._prices.bound(server, asked)
            if price is None:
                raise BudgetError(
                    f"what {server.name} costs is not known, so that a budget in USD cannot be held",
                    hint=f"aish model serve {server.name} … --price input=…,output=… says it",
                )
            most = Price(max(most.input, price.input), max(most.output, price.output))
        return most

    # --- sending and passing on ---------------------------------------------------------------------------------

    async def _send(self, exchange: Exchange, crossing: Crossing, server: Server, limit: _Limit) -> Answer:
        exchange.unused = True  # until the server took it
        body = crossing.body(limit.each)
        await self._upstreams.prepare(server)
        scrub = self._upstreams.scrub(server)  # of the key that the next lines send, whatever the file has later
        headers = crossing.headers(exchange.request.headers)
        exchange.sent_s = time.monotonic()  # the loop's own clock stands still within a turn
        exchange.live.sent, exchange.live.model_id = True, server.id
        try:
            exchange.unused = False
            try:
                response = await self._upstreams.post(server, crossing.path, body, headers)
            except UpstreamError as error:
                # 504: it may be at work on it still. Else it never took the request.
                exchange.unused = error.status != 504
                raise
            try:
                told = _told(limit, exchange.row.process)
                delivery = Delivery(self._probes, exchange, crossing, server, response, scrub, told)
                return await delivery.pass_on()
            finally:
                response.close()  # whatever is left of the reply is not wanted: the server's slot is free at once
        except UpstreamError:
            self._probes.doubt(server)
            raise

    def waits(self, account: str) -> str:
        """What a person should know who waits for an answer to this caller; '' where all goes its way."""
        for live in self._board.live.values():
            if live.process != account:
                continue
            if live.note:
                return live.note
            if live.model_id is not None and self._directory.held(live.model_id):
                return routes.paused(live.model)
        return ""

    async def drained(self, deadline_s: float) -> None:
        """Wait until no request is under way, at most so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                await self._idle.wait()

    def cut_slow(self) -> None:
        """Cut clients that read nothing for too long; one that a person paused is not slow, it is stopped."""
        now_s = asyncio.get_running_loop().time()
        for exchange in self._exchanges:
            blocked_s = exchange.blocked_s
            if blocked_s is None or now_s - blocked_s < SLOW_CLIENT_S or self._directory.held(exchange.row.process):
                continue
            log("request", f"{exchange.row.process}: reads nothing for {SLOW_CLIENT_S:g} s, cut")
            exchange.request.cut()


@dataclass(slots=True, frozen=True)
class _Limit:
    """Output tokens per answer to ask the server for; None: as the request says."""

    each: int | None
    lowered_by: Account | None = None
    """The budget that allows no more: an answer that ends at the limit is not whole."""


def _bounds(server: Server) -> bool:
    """Whether an answer of which nobody says how long it may be ends with the server's context. To ask for all of it
    is refused by those that add the prompt to that; in Anthropic's dialect a limit must be said."""
    return server.context is not None and server.dialect != ANTHROPIC


def _limit(call: Call, server: Server, claim: Claim, reservation: Reservation, ledger: Ledger) -> _Limit:
    """Where nothing limits it, or there is enough, the request's own limit stays."""
    if not ledger.limited(claim.process) or claim.wish == 0:
        return _Limit(None)
    owner = ledger.accounts.get(reservation.lowered_by or "")
    if owner is None and (call.max_output is not None or (_bounds(server) and server.engine != LLAMACPP)):
        return _Limit(None)
    return _Limit(reservation.output // call.copies, owner)


def _told(limit: _Limit, process: str) -> dict[str, str]:
    budget = limit.lowered_by
    if budget is None:
        return {}
    headers = {LOWERED: str(limit.each), LIMITED_BY: "budget"}
    if budget.budget.tokens is not None:
        headers[BUDGET] = str(budget.budget.tokens)
    return headers if budget.id == process else {**headers, BUDGET_OF: budget.id}


def refusal(dialect: Dialect, error: RefusedError, status: int) -> Response:
    """A caller that may not."""
    status, data = openai.failure(error, status)
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return Response(status=status, body=dialect.error(status, data), headers=headers)
