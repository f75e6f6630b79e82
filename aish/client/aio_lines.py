"""The connections of one asyncio client of the daemon: as aish.client.lines, which tells the rules. No threads.

Tasks may ask at once. A question that is cancelled takes its connection with it.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from typing import TYPE_CHECKING, TypeVar

from aish.client import follow
from aish.client.aio_line import AioLine
from aish.client.aio_wait import readable
from aish.client.call import Breath, Call, Files, Together
from aish.client.connection import expect
from aish.client.departure import LOOK_S, Departure
from aish.client.lines import KEPT_MOST
from aish.client.together import MOST
from aish.errors import AishError, DisconnectedError, NotRunningError, UnavailableError
from aish.wire import message as m
from aish.wire import reply as r

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from aish.client.answers import Answers
    from aish.client.call import Asks, Step
    from aish.client.log_answers import LogAnswers, LogLine, LogWanted

T = TypeVar("T")
R = TypeVar("R", bound=m.Message)


class AioLines:
    """`start`: bring the daemon up where none runs."""

    def __init__(self, *, start: bool, program: str, patience_s: float) -> None:
        self._start, self._program, self._patience_s = start, program, patience_s
        self._kept: deque[AioLine] = deque()
        self._pid = os.getpid()

    async def open(self) -> None:
        """Find the daemon now. Raises as `aish.client.connect`."""
        self._keep(await self._take())

    async def close(self) -> None:
        """Those that are not in use; the others when they come back. A later question makes a new one."""
        while self._kept:
            self._kept.pop().close()

    # --- one answer for each question -------------------------------------------------------------------------------

    async def run(self, asks: Asks[T]) -> T:
        """Carry calls and replies. Raises what the daemon answers and what `asks` makes of it."""
        line: AioLine | None = None

        async def answer(step: Step) -> object:
            nonlocal line
            if line is None:
                line = await self._take()
            return await self._answer(line, step)

        try:
            value = await _carry(asks, answer)
        except BaseException as error:
            if line is not None:
                kept = isinstance(error, AishError) and not isinstance(error, UnavailableError)
                self._keep(line) if kept else line.close()
            raise
        if line is not None:
            self._keep(line)
        return value

    async def _answer(self, line: AioLine, step: Step) -> object:
        match step:
            case Call(message, fds):
                return await line.request(message, fds)
            case Files(message):
                return await line.request_with_fds(message)
            case Together():
                return await self._together(step)
            case Breath():
                await asyncio.sleep(0)
                return None

    async def _together(self, several: Together) -> dict[str, r.Reply | AishError]:
        turns = asyncio.Semaphore(MOST)
        answers: dict[str, r.Reply | AishError] = {}

        async def one(key: str, message: m.Message) -> None:
            async with turns:
                try:
                    answers[key] = await self.run(_asked(message))
                except AishError as error:
                    answers[key] = error

        try:
            async with asyncio.timeout(several.timeout_s), asyncio.TaskGroup() as group:
                for key, message in several.messages.items():
                    group.create_task(one(key, message))
        except TimeoutError:
            pass  # what has no answer yet came too late
        return answers

    # --- many answers -----------------------------------------------------------------------------------------------

    async def answers(self, answers: Answers[T]) -> AsyncIterator[T]:
        """On a connection of its own, until it is over or the iterator is closed.

        Raises NotRunningError when the supervisor is ended meanwhile.
        """
        async with await self._new() as line:
            await line.send(answers.request())
            while True:
                try:
                    reply = await line.receive()
                except DisconnectedError:
                    await line.reconnect(start=False)
                    await line.send(answers.request())
                    continue
                for each in answers.feed(reply):
                    yield each
                if answers.done:
                    return
                if answers.unasked:
                    await line.send(answers.request())

    async def log(self, wanted: LogWanted) -> AsyncIterator[LogLine]:
        """The lines of logs; while they are followed, until their processes have ended."""
        async with await self._new() as line:
            with follow.Growth() as growth:
                log = await _carry(wanted.opened(), lambda step: self._answer(line, step))
                try:
                    log.watched_by(growth)
                    if not log.ended:
                        await line.send(log.request())
                    while True:
                        growth.clear()
                        over = log.ended
                        for lines in log.news():
                            for each in lines:
                                yield each
                            await asyncio.sleep(0)  # a long log is read in pieces, with others in between
                        if over:
                            return
                        await self._more(line, growth, log)
                finally:
                    log.close()

    async def _more(self, line: AioLine, growth: follow.Growth, log: LogAnswers) -> None:
        """Until a log has grown, or its end was told."""
        again_s = follow.FALLBACK_MS / 1000 if growth.blind else log.again_s
        fds = [fd for fd in (growth.fileno(), line.fileno()) if fd >= 0]
        ready = [line.fileno()] if line.buffered else await readable(fds, again_s)
        if line.fileno() in ready:
            try:
                await line.receive()
                log.ended = True
            except DisconnectedError:
                await line.reconnect(start=False)
                await line.send(log.request())

    # --- the end ----------------------------------------------------------------------------------------------------

    async def leave(self, expected: type[R], request: m.Message) -> R:
        """Have the supervisor end, and wait until all programs are gone that go. Raises UnavailableError where one
        stays."""
        await self.close()
        line = await AioLine(starts=False, program="shutdown").open()
        async with line:
            assert line.welcome is not None
            with Departure(line.welcome.pid) as programs:
                try:
                    reply = await line.request(request)
                except NotRunningError:  # the daemon that was told was gone before it said so
                    reply = r.Done()
                told = expect(expected, reply)
                for fd in programs.told(told.behind if isinstance(told, r.HandedBack) else ()):
                    while not await readable([fd], LOOK_S):
                        programs.check()
                return told

    # --- the connections --------------------------------------------------------------------------------------------

    async def _take(self) -> AioLine:
        if self._pid != os.getpid():
            self._pid = os.getpid()
            await self.close()
        try:
            return self._kept.pop()
        except IndexError:
            return await self._new()

    async def _new(self) -> AioLine:
        return await AioLine(starts=self._start, program=self._program, patience_s=self._patience_s).open()

    def _keep(self, line: AioLine) -> None:
        if len(self._kept) < KEPT_MOST:
            self._kept.append(line)
        else:
            line.close()


async def _carry(asks: Asks[T], answer: Callable[[Step], Awaitable[object]]) -> T:
    """As aish.client.call.carry."""
    value: T
    try:
        step = next(asks)
        while True:
            try:
                answered = await answer(step)
            except AishError as error:
                step = asks.throw(error)
            else:
                step = asks.send(answered)
    except StopIteration as end:
        value = end.value
    return value


def _asked(message: m.Message) -> Asks[r.Reply]:
    reply: r.Reply = yield Call(message)
    return reply
