"""Requests to the gateway, which are sent once more where that is of use.

no answer began    at once, once: a kept connection had grown old, or a gateway came back in between
429, 529           after a pause: the server has too much to do, or the account has used what it may in a minute
503                the same where it says for how long (Retry-After): else it is told, since waiting may not help

What is about money (insufficient_quota), or says itself that asking again is vain (x-should-retry), is told.

The gateway asks nothing twice by itself (ADR 17), and an hour's work is not to end with a word that means "later". A
usage window that is used up is heard of by such an answer, too (429, later than anybody waits here): it is asked once
more at once, and where a rule is for that window the gateway then holds the request, and the agent is parked.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from typing import TYPE_CHECKING, Final

import httpx2

from aish.agents import failure
from aish.model import state
from aish.model.retry_after import rest_s

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

AGAIN_MOST: Final = 4
LONGEST_S: Final = 300.0
"""The gateway itself leaves no server alone for longer; who says more is not waited for."""
FIRST_S: Final = 2.0
"""The first pause where nobody says how long: 2, 4, 8, 16 s at most."""
BODY_BYTES: Final = 64 << 10
"""Of what comes with a 429: what it is about stands at its beginning."""
_BUSY: Final = {429: "too many requests", 503: "the server rests", 529: "the server is overloaded"}


class Transport(httpx2.AsyncHTTPTransport):
    """`tell` gets a line for the person who watches, `activity` is Host.activity."""

    def __init__(self, tell: Callable[[str], None], activity: Callable[[str | None, str | None], None]) -> None:
        super().__init__()
        self._tell, self._activity = tell, activity

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        for number in range(AGAIN_MOST):
            response = await self._sent(request)
            now_s = time.time()
            if response.status_code == 429:
                body, response = await _read(response)
                if failure.is_spent(body):
                    return response
            if is_full(response.status_code, response.headers, now_s):
                await response.aclose()
                return await self._sent(request)
            wait_s = pause_s(response.status_code, response.headers, number, now_s)
            if wait_s is None:
                return response
            await response.aclose()
            await self._pause(_BUSY[response.status_code], wait_s)
        return await self._sent(request)

    async def _pause(self, why: str, wait_s: float) -> None:
        """As what it is to `ps` and `why`: no request is under way, and nothing is idle."""
        self._tell(f"{why}: asked again in {wait_s:.0f} s")
        until = time.strftime("%H:%M:%S", time.localtime(time.time() + wait_s))
        self._activity(state.WAITING, f"waits until {until} to be sent again: {why}")
        try:
            await asyncio.sleep(wait_s)
        finally:
            self._activity(None, None)

    async def _sent(self, request: httpx2.Request) -> httpx2.Response:
        try:
            return await super().handle_async_request(request)
        except (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError):
            return await super().handle_async_request(request)


async def _read(response: httpx2.Response) -> tuple[bytes, httpx2.Response]:
    """The beginning of its body, and the same with no more than that."""
    body = b""
    async with contextlib.aclosing(response.aiter_raw()) as pieces:
        async for piece in pieces:
            body += piece
            if len(body) >= BODY_BYTES:
                break
    await response.aclose()
    body = body[:BODY_BYTES]
    return body, httpx2.Response(response.status_code, headers=response.headers, content=body)


def is_full(status: int, headers: Mapping[str, str], now_s: float) -> bool:
    """Whether a usage window may be used up: nobody is to come before hours are over. Who asks again nevertheless
    reaches no server: the gateway leaves it alone."""
    if status != 429 or headers.get("x-should-retry") == "false":
        return False
    return (rest_s(headers, now_s) or 0.0) > LONGEST_S


def pause_s(status: int, headers: Mapping[str, str], number: int, now_s: float) -> float | None:
    """How long to wait before a request is sent again the `number`th time, from 0; None: it is not. Not all of many
    come at the same moment. `headers`: whatever their case."""
    if status not in _BUSY or headers.get("x-should-retry") == "false":
        return None
    told_s = rest_s(headers, now_s)
    if told_s is None:
        return None if status == 503 else FIRST_S * 2**number * random.uniform(0.5, 1.0)
    return None if told_s > LONGEST_S else told_s * random.uniform(1.0, 1.2) + random.uniform(0.0, 1.0)
