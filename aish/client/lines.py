"""The connections of one blocking client of the daemon: one for each question under way, kept for the next one.

Several threads may ask at once. A question that is given up half-way (Ctrl-C) takes its connection with it, so that
its late answer is nobody else's; a forked child makes connections of its own, which act as the child.
"""

from __future__ import annotations

import os
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from aish.client import follow
from aish.client.call import by, carry
from aish.client.connection import Client, connect, expect
from aish.client.departure import Departure
from aish.client.together import answers
from aish.errors import AishError, DisconnectedError, NotRunningError, UnavailableError
from aish.wire import message as m
from aish.wire import reply as r

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aish.client.answers import Answers
    from aish.client.call import Asks, Step
    from aish.client.log_answers import LogLine, LogWanted

T = TypeVar("T")
R = TypeVar("R", bound=m.Message)
KEPT_MOST: Final = 8


class Lines:
    """`start`: bring the daemon up where none runs."""

    def __init__(self, *, start: bool, program: str, patience_s: float) -> None:
        self._start, self._program, self._patience_s = start, program, patience_s
        self._kept: deque[Client] = deque()
        self._pid = os.getpid()

    def open(self) -> None:
        """Find the daemon now. Raises as `aish.client.connect`."""
        self._keep(self._take())

    def close(self) -> None:
        """Those that are not in use; the others when they come back. A later question makes a new one."""
        while self._kept:
            self._kept.pop().close()

    # --- one answer for each question -----------------------------------------------------------------------------

    def run(self, asks: Asks[T]) -> T:
        """Carry calls and replies. Raises what the daemon answers and what `asks` makes of it."""
        line: Client | None = None

        def answer(step: Step) -> object:
            nonlocal line
            if line is None:
                line = self._take()
            return by(line, partial(answers, program=self._program))(step)

        try:
            value = carry(asks, answer)
        except BaseException as error:
            if line is not None:
                kept = isinstance(error, AishError) and not isinstance(error, UnavailableError)
                self._keep(line) if kept else line.close()
            raise
        if line is not None:
            self._keep(line)
        return value

    # --- many answers -----------------------------------------------------------------------------------------------

    def answers(self, stream: Answers[T]) -> Iterator[T]:
        """On a connection of its own, until it is over or the iterator is closed.

        Raises NotRunningError when the supervisor is ended meanwhile.
        """
        with self._new() as line:
            line.send(stream.request())
            while True:
                try:
                    reply = line.receive()
                except DisconnectedError:
                    line.reconnect(start=False)
                    line.send(stream.request())
                    continue
                yield from stream.feed(reply)
                if stream.done:
                    return
                if stream.unasked:
                    line.send(stream.request())

    def log(self, wanted: LogWanted) -> Iterator[LogLine]:
        """The lines of logs; while they are followed, until their processes have ended."""
        with self._new() as line, follow.Growth() as growth:
            log = carry(wanted.opened(), by(line))
            try:
                log.watched_by(growth)
                if not log.ended:
                    line.send(log.request())
                while True:
                    growth.clear()
                    over = log.ended
                    for lines in log.news():
                        yield from lines
                    if over:
                        return
                    again_s = log.again_s
                    if follow.wait(growth, [line.fileno()], None if again_s is None else int(again_s * 1000)):
                        try:
                            line.receive()
                            log.ended = True
                        except DisconnectedError:
                            line.reconnect(start=False)
                            line.send(log.request())
            finally:
                log.close()

    # --- the end ----------------------------------------------------------------------------------------------------

    def leave(self, expected: type[R], request: m.Message) -> R:
        """Have the supervisor end, and wait until all programs are gone that go. Raises UnavailableError where one
        stays."""
        self.close()
        with connect(start=False, program="shutdown") as line, Departure(line.welcome.pid) as programs:
            line.starts = False
            try:
                reply = line.request(request)
            except NotRunningError:  # the daemon that was told was gone before it said so
                reply = r.Done()
            told = expect(expected, reply)
            programs.wait(told.behind if isinstance(told, r.HandedBack) else ())
            return told

    # --- the connections --------------------------------------------------------------------------------------------

    def _take(self) -> Client:
        if self._pid != os.getpid():  # those of our parent are its own: replies would come to either of us
            self._pid = os.getpid()
            self.close()
        try:
            return self._kept.pop()
        except IndexError:
            return self._new()

    def _new(self) -> Client:
        line = connect(start=self._start, program=self._program, patience_s=self._patience_s)
        line.starts = self._start
        return line

    def _keep(self, line: Client) -> None:
        if len(self._kept) < KEPT_MOST:
            self._kept.append(line)
        else:
            line.close()
