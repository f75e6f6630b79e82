"""A request from its body to its last byte: read, answered in as many attempts as it takes, settled.

    parse -> a ready server -> not held by a person -> reserved -> its turn -> sent -> first byte -> ... -> settled
             (attempt.py: as often as it fails before its first byte, and another may do better)

At every step the client may hang up (its task is cancelled): what was reserved goes back, the upstream connection is
closed at once, and what was streamed until then is settled as an estimate, off the path of the request.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Final

from aish.errors import AishError, RefusedError
from aish.supervisor.gateway import routes
from aish.supervisor.gateway.attempt import ATTEMPTS, Attempts
from aish.supervisor.gateway.delivery import HungUpError
from aish.supervisor.gateway.dialects import openai
from aish.supervisor.gateway.dialects.dialect import Dialect
from aish.supervisor.gateway.failure import AnsweredError
from aish.supervisor.gateway.keys import Caller
from aish.supervisor.gateway.log import log
from aish.supervisor.gateway.meter import Board
from aish.supervisor.gateway.rests import RestingError
from aish.supervisor.gateway.routes import Directory
from aish.supervisor.gateway.row import HUNG_UP, Row
from aish.supervisor.gateway.settling import Exchange, Settling
from aish.supervisor.gateway.spending import Spending
from aish.supervisor.gateway.texts import Texts
from aish.supervisor.gateway.web import Answer, Request, Response

SLOW_CLIENT_S: Final = 60.0


class Proxy:
    """Serves requests to models. One per gateway."""

    def __init__(
        self,
        *,
        directory: Directory,
        board: Board,
        attempts: Attempts,
        settling: Settling,
        spending: Spending,
        texts: Texts,
    ) -> None:
        self._directory = directory
        self._board = board
        self._attempts = attempts
        self._settling = settling
        self._spending = spending
        self._texts = texts
        self._exchanges: set[Exchange] = set()
        self._drained: asyncio.Event | None = None
        """Where somebody waits until there are none."""

    async def serve(self, request: Request, caller: Caller, dialect: Dialect, path: str, body: bytes) -> Answer:
        """Answer one request; every outcome, an error too, is one row in the records. So is each attempt before it
        that may have cost something; where the last one was not made, that before is the outcome."""
        number = self._spending.number()
        row = Row(
            number, time.time(), self._directory.epoch, caller.account, caller.name, caller.kind, (), "",
            dialect.name, path, bytes_in=len(body), agent=caller.agent, project=caller.project,
        )  # fmt: skip
        live = self._board.begin(number, caller.account, "")
        exchange = Exchange(caller, row, live, time.monotonic(), request, dialect)
        text = exchange.text = self._texts.of(caller, body)
        response: Answer | None = None
        self._exchanges.add(exchange)
        try:
            response = await self._attempts.answer(exchange, path, body)
        except AishError as error:
            response = _told(exchange, path, error)
        except HungUpError:
            exchange.ends(HUNG_UP)
            response = Response(status=HUNG_UP)  # reaches nobody
        except asyncio.CancelledError:
            exchange.ends(HUNG_UP)
            raise
        finally:
            self._exchanges.discard(exchange)
            if self._drained is not None and not self._exchanges:
                self._drained.set()
            self._settling.end(exchange)
            if text is not None:
                self._texts.put(exchange, text, response)
        return response

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
        if not self._exchanges:
            return
        self._drained = asyncio.Event()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                await self._drained.wait()

    def cut_slow(self) -> None:
        """Cut clients that read nothing for too long; one that a person paused is not slow, it is stopped."""
        now_s = asyncio.get_running_loop().time()
        for exchange in self._exchanges:
            blocked_s = exchange.blocked_s
            if blocked_s is None or now_s - blocked_s < SLOW_CLIENT_S or self._directory.held(exchange.row.process):
                continue
            log("request", f"{exchange.row.process}: reads nothing for {SLOW_CLIENT_S:g} s, cut")
            exchange.request.cut()


def _told(exchange: Exchange, path: str, error: AishError) -> Response:
    """What the client gets where nobody answers: the server's own words, where it was that which refused."""
    dialect, row = exchange.dialect, exchange.row
    attempts = {ATTEMPTS: str(exchange.attempts)} if exchange.attempts > 1 else {}
    if isinstance(error, AnsweredError):
        status, data, headers = error.told, error.body, {**error.headers, **attempts}
    else:
        # Refused here means: its process ended, or its key was revoked, while the request waited.
        status, data = openai.failure(error, 401 if isinstance(error, RefusedError) else None)
        status = dialect.status(status)
        data = dialect.error(status, data)
        headers = {**error.headers, **attempts} if isinstance(error, RestingError) else attempts
        if status >= 500:
            log("request", f"{row.process} {path} {row.model}: {status} {error}")
    exchange.ends(status, len(data))
    return Response(status=status, body=data, headers=headers)


def refusal(dialect: Dialect, error: RefusedError, status: int) -> Response:
    """A caller that may not."""
    status, data = openai.failure(error, status)
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return Response(status=status, body=dialect.error(status, data), headers=headers)
