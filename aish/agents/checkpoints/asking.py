"""A question to the supervisor that is given up after a while."""

from __future__ import annotations

import select
from typing import TYPE_CHECKING, TypeVar

from aish.client.connection import expect
from aish.wire.message import Message

if TYPE_CHECKING:
    from aish.client import Client

R = TypeVar("R", bound=Message)


def within(client: Client, message: Message, expected: type[R], patience_s: float) -> R | None:
    """None: there was no answer so long, and nothing more can be asked by `client`. Raises AishError."""
    client.send(message)
    if not client.buffered and not select.select([client.fileno()], [], [], patience_s)[0]:
        client.close()
        return None
    return expect(expected, client.receive())
