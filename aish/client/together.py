"""Several questions to the daemon at once, each on a connection of its own, since one connection answers in order."""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING, Final

from aish.client.connection import connect
from aish.errors import AishError, DisconnectedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from aish.client.call import Together
    from aish.client.connection import Client
    from aish.wire.message import Message
    from aish.wire.reply import Reply

MOST: Final = 32
"""Connections of one program at a time."""


class _Question:
    """One under way, asked again of the next daemon where this one went: only for what may be repeated."""

    def __init__(self, request: Message, client: Client) -> None:
        self.request = request
        self.client = client
        self.client.send(request)

    def answer(self) -> Reply | AishError | None:
        try:
            return self.client.receive()
        except DisconnectedError:
            self.client.reconnect()
            self.client.send(self.request)
            return None
        except AishError as error:
            return error


def together(
    requests: Mapping[str, Message],
    program: str,
    *,
    deadline_s: float | None = None,
    silent: Callable[[list[str]], object] | None = None,
    silent_s: float = 1.5,
) -> Iterator[tuple[str, Reply | AishError]]:
    """Each key with its answer, as they come. `deadline_s` is monotonic; what has no answer then is left out.
    `silent` is called with the keys that wait whenever nothing came for `silent_s`."""
    waiting = list(requests)
    asked: dict[str, _Question] = {}
    free: list[Client] = []
    try:
        while waiting or asked:
            while waiting and len(asked) < MOST:
                key = waiting.pop(0)
                asked[key] = _Question(requests[key], free.pop() if free else connect(program=program))
            left_s = None if deadline_s is None else deadline_s - time.monotonic()
            if left_s is not None and left_s <= 0:
                return
            ready = _ready(asked, min(silent_s, left_s) if left_s is not None else silent_s)
            if not ready and silent is not None:
                silent([*asked, *waiting])
            for key in ready:
                answer = asked[key].answer()
                if answer is not None:
                    free.append(asked.pop(key).client)
                    yield key, answer
    finally:
        for client in (*free, *(question.client for question in asked.values())):
            client.close()


def answers(
    several: Together, program: str, silent: Callable[[list[str]], object] | None = None
) -> dict[str, Reply | AishError]:
    """What a generator is sent that asks for several."""
    deadline_s = None if several.timeout_s is None else time.monotonic() + several.timeout_s
    return dict(together(several.messages, program, deadline_s=deadline_s, silent=silent))


def _ready(asked: Mapping[str, _Question], timeout_s: float) -> list[str]:
    poll = select.poll()
    keys = {question.client.fileno(): key for key, question in asked.items()}
    for fd in keys:
        poll.register(fd, select.POLLIN)
    return [keys[fd] for fd, _ in poll.poll(max(0.0, timeout_s) * 1000)]
