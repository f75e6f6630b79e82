"""Streams of answers, apart from the connection that carries them: what is asked for first and after a new daemon has
taken over, what each answer yields, and when it is over. Nothing is lost or told twice when the daemon dies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from aish.client.connection import expect
from aish.wire.message import Events, Snapshot
from aish.wire.reply import EventList, View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aish.wire.message import Message
    from aish.wire.part import EventPart
    from aish.wire.reply import Reply

T_co = TypeVar("T_co", covariant=True)


class Answers(Protocol[T_co]):
    """`request` is asked at the beginning and of each new daemon, and again while `unasked`."""

    @property
    def done(self) -> bool: ...

    @property
    def unasked(self) -> bool:
        """Whether the next answer has to be asked for."""

    def request(self) -> Message: ...

    def feed(self, reply: Reply) -> Sequence[T_co]: ...


class EventAnswers:
    """Events after a number, page by page; with `follow` what comes, too."""

    def __init__(self, wanted: Events) -> None:
        self._wanted = wanted
        self.done = False
        self.unasked = not wanted.follow

    def request(self) -> Events:
        return self._wanted

    def feed(self, reply: Reply) -> Sequence[EventPart]:
        page = expect(EventList, reply)
        self._wanted = msgspec.structs.replace(self._wanted, since=page.until, last=None)
        self.done = not (page.more or self._wanted.follow)
        return page.events


class ViewAnswers:
    """Everything that ps and top show, again and again."""

    done = False
    unasked = False

    def __init__(self, wanted: Snapshot) -> None:
        self._wanted = wanted

    def request(self) -> Snapshot:
        return self._wanted

    def feed(self, reply: Reply) -> Sequence[View]:
        return (expect(View, reply),)
