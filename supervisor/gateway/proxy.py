"""A request from its body to its last byte: read, wait, reserve, send, pass on, settle.

    parse -> a ready server -> not held by a person -> reserved -> sent -> first byte -> ... -> settled

At every step the client may hang up (its task is cancelled): what was reserved goes back, the upstream connection is
closed at once, and what was streamed until then is settled as an estimate, off the path of the request.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import aiohttp
from aiohttp import web

from aish.errors import AishError, RefusedError, UpstreamError
from aish.supervisor.gateway import routes
from aish.supervisor.gateway.bell import Bell
from aish.supervisor.gateway.budget import Claim
from aish.supervisor.gateway.dialects import openai, sse
from aish.supervisor.gateway.keys import Caller, Keys
from aish.supervisor.gateway.log import log
from aish.supervisor.gateway.meter import (
    UNSTATED_OUTPUT_TOKENS,
    Board,
    prompt_bound,
)
from aish.supervisor.gateway.models import Models
from aish.supervisor.gateway.probe import Probes
from aish.supervisor.gateway.records import HUNG_UP, Row
from aish.supervisor.gateway.routes import LLAMACPP, Directory, Server
from aish.supervisor.gateway.settling import Exchange, Settling
from aish.supervisor.gateway.spending import Spending
from aish.supervisor.gateway.upstream import (
    MAX_ERROR_BYTES,
    MAX_REPLY_BYTES,
    Upstreams,
    limit_field,
    read_bounded,
    read_some,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

SLOW_CLIENT_S: Final = 60.0
LOWERED: Final = "x-aish-max-tokens-lowered"
FAR_AWAY: Final = 64  # a budget this many times larger than a request's rough bound needs no exact count
LEAST_OUTPUT_TOKENS: Final = 1024  # with fewer than this left, a request that names no limit waits for more
_PASSED_ON: Final = (
    "accept",
    "idempotency-key",
    "x-request-id",
    "openai-organization",
    "openai-project",
    "openai-beta",
)
_PASSED_BACK: Final = ("retry-after", "x-request-id")
_PREFIXES_BACK: Final = ("x-ratelimit-", "openai-")
_JSON: Final = "application/json"


class _HungUpError(Exception):
    """The client went away while we wrote to it."""


class Proxy:
    """Serves requests to models. One per gateway."""

    def __init__(
        self,
        *,
        directory: Directory,
        bell: Bell,
        board: Board,
        keys: Keys,
        models: Models,
        probes: Probes,
        settling: Settling,
        spending: Spending,
        upstreams: Upstreams,
    ) -> None:
        self._settling = settling
        self._directory = directory
        self._bell = bell
        self._board = board
        self._keys = keys
        self._models = models
        self._probes = probes
        self._spending = spending
        self._upstreams = upstreams
        self._exchanges: set[Exchange] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    async def serve(self, request: web.BaseRequest, caller: Caller, endpoint: str, body: bytes) -> web.StreamResponse:
        """Answer one request; every outcome, an error too, is one row in the records."""
        number = self._spending.number()
        row = Row(
            number, time.time(), self._directory.epoch, caller.account, caller.name, caller.kind, (), "",
            openai.NAME, endpoint, bytes_in=len(body), agent=caller.agent,
        )  # fmt: skip
        live = self._board.begin(number, caller.account, "")
        exchange = Exchange(caller, row, live, asyncio.get_running_loop().time(), request)
        self._exchanges.add(exchange)
        self._idle.clear()
        try:
            response = await self._serve(exchange, endpoint, body)
        except AishError as error:
            # Refused here means: its process ended, or its key was revoked, while the request waited.
            row.status, data = openai.failure(error, 401 if isinstance(error, RefusedError) else None)
            if row.status >= 500:
                log("request", f"{caller.account} {endpoint} {row.model}: {row.status} {error}")
            response = web.Response(status=row.status, body=data, content_type=_JSON)
        except _HungUpError:
            row.status = HUNG_UP
            response = web.Response(status=HUNG_UP)  # reaches nobody
        except asyncio.CancelledError:
            row.status = HUNG_UP
            raise
        finally:
            self._exchanges.discard(exchange)
            if not self._exchanges:
                self._idle.set()
            self._settling.end(exchange)
        return response

    async def _serve(self, exchange: Exchange, endpoint: str, body: bytes) -> web.StreamResponse:
        call = exchange.call = openai.parse(endpoint, body)
        row, live = exchange.row, exchange.live
        row.model, row.stream = call.model or routes.DEFAULT, call.stream
        live.model = row.model
        server = await self._server(exchange, call)
        row.model, row.server = server.name, server.id
        live.model = server.name
        claim = await self._claim(exchange, call, server)
        self._still(exchange.caller)()  # from here until it waits for tokens nobody else's turn comes in between
        granted = await self._spending.reserve(row, claim, live)
        if server.ready != "yes" or self._directory.held(row.process):
            server = await self._server(exchange, call)  # the wait for tokens may have been long
        exchange.server, row.server = server, server.id
        limit = _limit(call, claim, granted, self._spending.ledger.budgeted(row.process))
        return await self._send(exchange, call, server, limit)

    async def _server(self, exchange: Exchange, call: openai.Call) -> Server:
        """A ready server, as soon as no person holds the process."""
        account = exchange.row.process
        alive = self._still(exchange.caller)
        while self._directory.held(account):
            exchange.live.why = "paused"
            await self._bell.wait_until(None)
            alive()
        embedding = call.endpoint == openai.EMBEDDINGS
        return await self._models.ready(call.model, account, exchange.live, alive, embedding=embedding)

    def _still(self, caller: Caller) -> _Still:
        return _Still(self._keys, caller)

    # --- what to reserve ----------------------------------------------------------------------------------------

    async def _claim(self, exchange: Exchange, call: openai.Call, server: Server) -> Claim:
        """Upper bounds of input and output. Tokens are counted exactly where a budget is near and it costs little."""
        account = exchange.row.process
        bound = prompt_bound(call.prompt_bytes, call.parts)
        context = server.context
        if context is not None and server.engine == LLAMACPP:
            bound = min(bound, context * call.copies)  # it refuses what does not fit into its context
        each = call.max_output or context or UNSTATED_OUTPUT_TOKENS
        left = self._spending.ledger.left(account)
        if left is not None and (call.tools or left < FAR_AWAY * (bound + each * call.copies)):
            exchange.exact_prompt = await self._upstreams.count(server, call)
            if exchange.exact_prompt is not None:
                bound = exchange.exact_prompt
                if context is not None:
                    each = max(1, min(each, context - bound // call.copies))
        wish = 0 if call.endpoint == openai.EMBEDDINGS else each * call.copies
        least = wish if call.max_output is not None else min(wish, LEAST_OUTPUT_TOKENS * call.copies)
        return Claim(exchange.row.number, account, bound, wish, least, call.copies)

    # --- sending and passing on ---------------------------------------------------------------------------------

    async def _send(self, exchange: Exchange, call: openai.Call, server: Server, limit: _Limit) -> web.StreamResponse:
        exchange.unused = True  # until the server took it
        body = openai.render(call, server.upstream_name, limit.each, limit_field(server))
        headers = {name: value for name in _PASSED_ON if (value := exchange.request.headers.get(name))}
        exchange.sent_s = asyncio.get_running_loop().time()
        exchange.live.sent, exchange.live.model_id = True, server.id
        server.in_flight += 1
        try:
            exchange.unused = False
            try:
                response = await self._upstreams.post(server, call.endpoint, body, headers)
            except UpstreamError as error:
                # 504: it may be at work on it still. Else it never took the request.
                exchange.unused = error.status != 504
                raise
            try:
                return await self._pass_on(exchange, call, server, response, limit)
            finally:
                response.close()  # whatever is left of the reply is not wanted: the server's slot is free at once
        except UpstreamError:
            self._probes.doubt(server)
            raise
        finally:
            server.in_flight -= 1

    async def _pass_on(
        self,
        exchange: Exchange,
        call: openai.Call,
        server: Server,
        response: aiohttp.ClientResponse,
        limit: _Limit,
    ) -> web.StreamResponse:
        headers = _headers_back(response.headers)
        if limit.lowered:
            headers[LOWERED] = str(limit.each)
        if response.status != 200:
            return await self._refused(exchange, server, response, headers)
        asked = call.model or server.name
        if response.content_type == "text/event-stream":
            return await self._stream(exchange, call, server, response, headers, asked)
        body = await read_bounded(response, MAX_REPLY_BYTES, server)
        try:
            found = openai.read(body)
        except AishError as error:
            raise UpstreamError(f"the server of {server.name} sent a {error}") from None
        exchange.used, exchange.choices = found.used, found.choices or ()
        if found.model and found.model != asked:
            body = openai.rename(found.model, asked, body)
        self._answered(exchange, server)
        exchange.row.status, exchange.row.bytes_out = 200, len(body)
        return web.Response(body=body, content_type=_JSON, headers=headers)

    async def _refused(
        self, exchange: Exchange, server: Server, response: aiohttp.ClientResponse, headers: dict[str, str]
    ) -> web.StreamResponse:
        """The server answered with an error: it used nothing."""
        exchange.unused = True
        status = response.status
        if status in (401, 403):
            log("upstream", f"{server.name} answered {status}")
            raise UpstreamError(
                f"the server of {server.name} refuses aish's key ({status})", hint="check the key file of that model"
            )
        if not 400 <= status < 600:
            raise UpstreamError(f"the server of {server.name} answered {status}, which no model server should")
        body = await read_bounded(response, MAX_ERROR_BYTES, server)
        if status >= 500:
            log("upstream", f"{server.name} answered {status}")
            self._probes.doubt(server)
        data = openai.upstream_failure(status, self._upstreams.scrub(server, body), server.name)
        exchange.row.status, exchange.row.bytes_out = status, len(data)
        return web.Response(status=status, body=data, content_type=_JSON, headers=headers)

    async def _stream(
        self,
        exchange: Exchange,
        call: openai.Call,
        server: Server,
        response: aiohttp.ClientResponse,
        headers: dict[str, str],
        asked: str,
    ) -> web.StreamResponse:
        """Pass events on as they come. Headers go out with the first of them: an early failure still has a status."""
        relay = exchange.relay = sse.Relay(asked, keep_usage=call.wants_usage)
        reply = web.StreamResponse(headers=headers)
        reply.content_type = "text/event-stream"
        begun = False
        try:
            while not relay.done:
                data = await read_some(response, server)
                out = relay.feed(data) if data else relay.finish()
                exchange.used, exchange.live.tokens = relay.used, relay.count.events
                if out:
                    if not begun:
                        self._first(exchange)
                        begun = True
                        await _prepare(reply, exchange.request)
                    await self._write(exchange, reply, out)
                if not data:
                    break
        except UpstreamError as error:
            if not begun:
                raise
            log("upstream", str(error))
            self._probes.doubt(server)
            exchange.row.status = error.status or 502
            await self._write(exchange, reply, sse.error_event(error))
        else:
            exchange.row.status = 502 if relay.error else 200
            if not relay.error:
                self._answered(exchange, server)
        return reply

    async def _write(self, exchange: Exchange, reply: web.StreamResponse, data: bytes) -> None:
        exchange.row.bytes_out += len(data)
        exchange.blocked_s = asyncio.get_running_loop().time()
        try:
            await reply.write(data)
        except ConnectionError as error:
            raise _HungUpError from error
        exchange.blocked_s = None

    def _first(self, exchange: Exchange) -> None:
        exchange.live.answering = True
        if exchange.sent_s is not None:
            exchange.row.first_token_s = asyncio.get_running_loop().time() - exchange.sent_s

    def _answered(self, exchange: Exchange, server: Server) -> None:
        now_s = asyncio.get_running_loop().time()
        server.answered_s = now_s
        if exchange.used is not None and exchange.used.output > 1 and exchange.sent_s is not None:
            spent_s = now_s - exchange.sent_s - (exchange.row.first_token_s or 0.0)
            if spent_s > 0:
                server.tokens_per_s = exchange.used.output / spent_s

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
            if exchange.request.transport is not None:
                exchange.request.transport.abort()


@dataclass(slots=True, frozen=True)
class _Still:
    """Raises RefusedError once the caller's process has ended or its key was revoked."""

    keys: Keys
    caller: Caller

    def __call__(self) -> None:
        self.keys.alive(self.caller.account)


@dataclass(slots=True, frozen=True)
class _Limit:
    """Output tokens per answer to ask the server for; None: as the request says."""

    each: int | None
    lowered: bool


def _limit(call: openai.Call, claim: Claim, granted: int, budgeted: bool) -> _Limit:
    if not budgeted or claim.wish == 0:
        return _Limit(None, lowered=False)
    lowered = granted < claim.wish
    if call.max_output is not None and not lowered:
        return _Limit(None, lowered=False)
    return _Limit(granted // call.copies, lowered=lowered)


async def _prepare(reply: web.StreamResponse, request: web.BaseRequest) -> None:
    try:
        await reply.prepare(request)
    except ConnectionError as error:
        raise _HungUpError from error


def _headers_back(headers: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in headers.items()
        if name.lower() in _PASSED_BACK or name.lower().startswith(_PREFIXES_BACK)
    }


def refusal(error: RefusedError, status: int) -> web.Response:
    """A caller that may not."""
    status, data = openai.failure(error, status)
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return web.Response(status=status, body=data, content_type=_JSON, headers=headers)
