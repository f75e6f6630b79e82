"""Messages to agents, and their answers: as in aish.client.asks."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from aish.client.call import ask
from aish.client.choice import name_of
from aish.errors import TimedOutError
from aish.wire import message as m
from aish.wire import reply as r

if TYPE_CHECKING:
    from aish.client.call import Asks
    from aish.client.choice import Target
    from aish.wire.mail import MailPart


def send(target: Target, text: str, token: str | None) -> Asks[int]:
    """The token makes it one message, however often it is sent."""
    request = m.Send(token=token or secrets.token_hex(16), target=name_of(target), text=text)
    return (yield from ask(r.Sent, request)).number


def receive(after: int, timeout_s: float | None) -> Asks[MailPart | None]:
    return (yield from ask(r.Mail, m.Receive(after=after, timeout_s=timeout_s))).mail


def respond(number: int, text: str, status: int) -> Asks[None]:
    yield from ask(r.Done, m.Respond(number=number, text=text, status=status))


def response(number: int, timeout_s: float | None) -> Asks[MailPart]:
    """Raises TimedOutError."""
    found = (yield from ask(r.Mail, m.AwaitResponse(number=number, timeout_s=timeout_s))).mail
    if found is None or not found.over:
        raise TimedOutError(
            f"m{number} was not answered within {timeout_s:g} s", hint="it goes on: aish mail shows it"
        )
    return found


def waiting(target: Target | None) -> Asks[list[MailPart]]:
    request = m.MailQuery(target=name_of(target) if target is not None else None)
    return (yield from ask(r.MailList, request)).mail
