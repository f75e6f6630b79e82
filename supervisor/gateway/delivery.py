"""A server's reply on its way to the client: passed on as it comes, put together, or told as an error.

Nothing of it goes on without the server's real key being taken out: some servers quote what they were sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from aish.errors import UpstreamError
from aish.model.dialect import CLIENT
from aish.model.retry_after import rest_s
from aish.supervisor.gateway.dialects import openai, text
from aish.supervisor.gateway.dialects.assemble import Assembly
from aish.supervisor.gateway.dialects.crossing import Crossing
from aish.supervisor.gateway.dialects.sse import CONTENT_TYPE, Frames
from aish.supervisor.gateway.failure import MAY_WORK, AnsweredError
from aish.supervisor.gateway.log import log
from aish.supervisor.gateway.probe import refused
from aish.supervisor.gateway.provider_key import Scrub
from aish.supervisor.gateway.redaction import presented
from aish.supervisor.gateway.reply import Reply
from aish.supervisor.gateway.settling import Exchange
from aish.supervisor.gateway.upstream import MAX_ERROR_BYTES, MAX_REPLY_BYTES, read_bounded, read_some
from aish.supervisor.gateway.web import Answer, Response, Stream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aish.supervisor.gateway.asking import Asking

_PASSED_BACK: Final = ("retry-after", "retry-after-ms", "x-should-retry", "x-request-id", "request-id")
_PREFIXES_BACK: Final = ("x-ratelimit-", "openai-", "anthropic-ratelimit-", "x-codex-")
LEFT_OUT: Final = "x-aish-left-out"
"""What the server cannot do, so that it was not asked for it: in the client's own words."""
_UNPRINTABLE: Final = re.compile(r"[^ -~]")


class HungUpError(Exception):
    """The client went away while we wrote to it."""


class Delivery:
    """One reply. `headers` are ours, besides those of the server that clients know."""

    def __init__(
        self,
        asking: Asking,
        exchange: Exchange,
        crossing: Crossing,
        response: Reply,
        scrub: Scrub,
        headers: Mapping[str, str],
    ) -> None:
        self._asking = asking
        self._exchange = exchange
        self._crossing = crossing
        self._call = crossing.call
        self._server = asking.server
        self._response = response
        self._scrub = scrub
        self._headers = {**_headers_back(response.headers, scrub), **headers}
        if crossing.call.left_out:
            self._headers[LEFT_OUT] = _UNPRINTABLE.sub("?", ", ".join(crossing.call.left_out))

    async def pass_on(self) -> Answer:
        """Raises UpstreamError before anything was sent (AnsweredError: the server's own error), HungUpError."""
        try:
            return await self._passed()
        except (asyncio.CancelledError, HungUpError):
            self._count_unread()
            raise

    async def _passed(self) -> Answer:
        if self._response.status != 200:
            raise await self._refused()
        if self._response.content_type != CONTENT_TYPE:
            return await self._whole()
        if self._call.stream:
            return await self._stream()
        if not self._crossing.assembles:
            raise UpstreamError(f"the server of {self._server.name} sent a stream in place of a whole answer")
        return await self._assembled()

    def _count_unread(self) -> None:
        """The client is gone. What its server said meanwhile counts, though nobody reads it."""
        exchange, relay = self._exchange, self._exchange.relay
        if relay is None or relay.done:
            return
        exchange.behind = self._response.behind
        with contextlib.suppress(UpstreamError):
            events = relay.feed(self._response.unread())
            exchange.used = relay.used
            if exchange.assembly is not None:
                exchange.assembly.feed(events)

    # --- errors -------------------------------------------------------------------------------------------------

    async def _refused(self) -> UpstreamError:
        """The server answered with an error: it used nothing, unless it says that it waited for somebody who may."""
        status, name = self._response.status, self._server.name
        self._exchange.unused = status != MAY_WORK
        if status in (401, 403) and self._server.login != CLIENT:
            log("upstream", f"{name} answered {status}")
            return refused(self._server, status)
        if not 400 <= status < 600:
            return UpstreamError(f"the server of {name} answered {status}, which no model server should")
        return self._error(status, await read_bounded(self._response, MAX_ERROR_BYTES, self._server))

    def _error(self, status: int, body: bytes) -> AnsweredError:
        told, data = self._crossing.refusal(status, self._scrub.error(body))
        if told >= 500:
            log("upstream", f"{self._server.name} answered {status}")
        said = data
        if self._server.login == CLIENT:  # what others are told of it, and events keep, has no login in it either
            for scrub in presented(self._exchange.request.headers):
                said = scrub.error(said)
        return AnsweredError(
            self._server.name, told, data, self._headers, said=said, rest_s=rest_s(self._response.headers)
        )

    # --- whole replies ------------------------------------------------------------------------------------------

    async def _whole(self) -> Answer:
        body = await read_bounded(self._response, MAX_REPLY_BYTES, self._server)
        body = text.mended(body.removeprefix(text.BOM))
        found = self._crossing.read(body)
        if found.failed:  # with status 200
            self._exchange.unused = found.used is None
            raise self._error(openai.error_status(body), body)
        self._exchange.used, self._exchange.choices = found.used, found.choices or ()
        self._exchange.stored = found.stored
        if found.empty or self._call.stream:
            what = "nothing that is an answer" if found.empty else "a whole answer in place of a stream"
            raise UpstreamError(f"the server of {self._server.name} sent {what}")
        return self._answer(body)

    async def _assembled(self) -> Answer:
        """The client wants no stream and the server was asked for one: see assemble.py."""
        exchange, relay = self._exchange, self._crossing.relay(keep_usage=True)
        assembly = exchange.assembly = Assembly(
            self._server.name,
            chat=self._call.endpoint == openai.CHAT,
            most_choices=self._call.copies,
            most_bytes=MAX_REPLY_BYTES,
        )
        exchange.relay = relay
        while not relay.done:
            data = await read_some(self._response, self._server)
            assembly.feed(relay.feed(data) if data else relay.finish())
            self._progress(relay)
            if assembly.error is not None:
                self._exchange.unused = assembly.worked.used() is None and not relay.count.events
                raise self._error(openai.error_status(assembly.error), assembly.error)
            if not data:
                break
        exchange.choices = assembly.choices()
        return self._answer(assembly.answer())

    def _answer(self, body: bytes) -> Answer:
        body = self._crossing.answer(self._scrub.answer(body))
        self._asking.answered()
        self._answered()
        self._exchange.row.status, self._exchange.row.bytes_out = 200, len(body)
        return Response(body=body, headers=self._headers)

    # --- streams ------------------------------------------------------------------------------------------------

    async def _stream(self) -> Answer:
        """Pass events on as they come. Headers go out with the first of them: an early failure still has a status,
        and may be mended by another attempt."""
        exchange = self._exchange
        relay = exchange.relay = self._crossing.relay(keep_usage=self._call.wants_usage)
        writer = self._crossing.writer()
        reply = Stream(exchange.request, content_type=writer.content_type, headers=self._headers)
        try:
            while not relay.done:
                data = await read_some(self._response, self._server)
                events = relay.feed(data) if data else relay.finish()
                self._progress(relay)
                if relay.error is not None and not reply.begun and not relay.count.events:
                    exchange.unused = relay.used is None and relay.prompt is None
                    raise self._error(openai.error_status(relay.error), relay.error)
                out = writer.feed(self._scrub.answer(events))
                if out:
                    await self._write(reply, out)
                if not data:
                    break
        except UpstreamError as error:
            if not reply.begun:
                raise
            log("upstream", str(error))
            self._asking.failed(error)
            exchange.row.status = error.status or 502
            await self._write(reply, writer.error(openai.failure(error)[1]))
        else:
            exchange.row.status = 200 if relay.error is None else 502
            if relay.error is None:
                self._asking.answered()
                self._answered()
            else:
                self._asking.failed(self._error(openai.error_status(relay.error), relay.error))
        return reply

    def _progress(self, relay: Frames) -> None:
        exchange = self._exchange
        exchange.used, exchange.live.tokens = relay.used, relay.count.events
        exchange.stored = relay.stored
        if relay.begun and not exchange.live.answering:
            exchange.live.answering = True
            if relay.error is None:
                self._asking.began()
            if exchange.sent_s is not None:
                exchange.row.first_token_s = time.monotonic() - exchange.sent_s

    async def _write(self, reply: Stream, data: bytes) -> None:
        exchange = self._exchange
        exchange.row.bytes_out += len(data)
        if exchange.text is not None:
            exchange.text.add(data)
        exchange.blocked_s = asyncio.get_running_loop().time()
        try:
            await reply.write(data)
        except ConnectionError as error:
            raise HungUpError from error
        exchange.blocked_s = None

    def _answered(self) -> None:
        exchange = self._exchange
        self._server.answered_s = asyncio.get_running_loop().time()
        if exchange.used is not None and exchange.used.output > 1 and exchange.sent_s is not None:
            spent_s = time.monotonic() - exchange.sent_s - (exchange.row.first_token_s or 0.0)
            if spent_s > 0:
                self._server.tokens_per_s = exchange.used.output / spent_s


def _headers_back(headers: Mapping[str, str], scrub: Scrub) -> dict[str, str]:
    return {name: scrub.header(value) for name, value in headers.items() if _goes_back(name)}


@lru_cache(maxsize=1024)
def _goes_back(name: str) -> bool:
    low = name.lower()
    return low in _PASSED_BACK or low.startswith(_PREFIXES_BACK)
