"""Streams of answers, apart from the connection that carries them: what is asked for first and after a new daemon has
taken over, what each answer yields, and when it is over. Nothing is lost or told twice when the daemon dies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from aish.client.connection import expect
from aish.wire.message import EventList, Events, Snapshot, View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aish.wire.message import Message, Reply
    from aish.wire.part import EventPart

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
        self._since = wanted.since
        self.done = False
        self.unasked = not wanted.follow

    def request(self) -> Events:
        wanted = self._wanted
        return Events(since=self._since, follow=wanted.follow, target=wanted.target)

    def feed(self, reply: Reply) -> Sequence[EventPart]:
        page = expect(EventList, reply).events
        if page:
            self._since = page[-1].number
        self.done = not page and not self._wanted.follow
        return page


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
