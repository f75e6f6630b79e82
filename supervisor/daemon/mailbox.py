"""The mail of all processes. Pure: no loop, no disk. aish.wire.mail has the states."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import structs

from aish.errors import ConflictError, InputError, LimitError, NotFoundError
from aish.wire import mail as w
from aish.wire.mail import MailPart

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

KEPT_MOST: Final = 200
"""Messages that are over, of one receiver: the oldest of these go."""


class Mailbox:
    """Messages in the order in which they were sent."""

    def __init__(self) -> None:
        self._parts: dict[int, MailPart] = {}
        self._tokens: dict[int, str] = {}
        """Under which each was sent."""
        self._numbers: dict[str, int] = {}
        """The other way round."""
        self.last = 0
        """The highest number ever given."""

    def restore(self, kept: Iterable[tuple[str, MailPart]], last: int) -> None:
        """Tokens and messages as a daemon before has left them."""
        for token, part in sorted(kept, key=lambda pair: pair[1].number):
            self._keep(token, part)
            last = max(last, part.number)
        self.last = last

    def __iter__(self) -> Iterator[MailPart]:
        return iter(list(self._parts.values()))

    def of(self, receiver: str) -> list[MailPart]:
        return [part for part in self._parts.values() if part.to == receiver]

    def get(self, number: int) -> MailPart:
        """Raises NotFoundError."""
        if number not in self._parts:
            raise NotFoundError(f"no message m{number}", hint="`aish mail` shows those that there are")
        return self._parts[number]

    def known(self, token: str) -> MailPart | None:
        """What was sent under that token already."""
        number = self._numbers.get(token)
        return self._parts.get(number) if number is not None else None

    def send(self, token: str, part: MailPart) -> tuple[MailPart, list[int]]:
        """With its number, and the numbers of what had to go for it. Raises LimitError."""
        mine = self.of(part.to)
        if sum(not each.over for each in mine) >= w.WAITING_MOST:
            raise LimitError(
                f"{w.WAITING_MOST} messages wait for {part.to_name} already", hint="it must read them first"
            )
        self.last += 1
        part = structs.replace(part, number=self.last)
        self._keep(token, part)
        over = [each.number for each in mine if each.over]
        return part, self._drop(over[: max(0, len(over) - KEPT_MOST)])

    def next(self, receiver: str, after: int) -> MailPart | None:
        """The oldest that is not over, of those with a higher number; it is delivered by that, perhaps again: whether
        it ever arrived only its answer tells."""
        for part in self.of(receiver):
            if part.number > after and not part.over:
                return self._put(structs.replace(part, state=w.DELIVERED, deliveries=part.deliveries + 1))
        return None

    def answer(self, receiver: str, number: int, text: str, status: int, now_s: float) -> MailPart:
        """Raises NotFoundError, ConflictError."""
        part = self.get(number)
        if part.to != receiver:
            raise NotFoundError(f"m{number} is not yours")
        if part.state == w.ANSWERED and (part.answer, part.status) == (text, status):
            return part  # said again: the acknowledgement was lost
        if part.over:
            raise ConflictError(f"m{number} was {part.state} already")
        return self._put(structs.replace(part, state=w.ANSWERED, answer=text, status=status, answered_s=now_s))

    def run_over(self, receiver: str, *, for_good: bool) -> list[MailPart]:
        """A run of the receiver has ended: what it had not answered waits for the next run, or is returned."""
        changed = []
        for part in self.of(receiver):
            if part.over or (part.state == w.WAITING and not for_good):
                continue
            changed.append(self._put(structs.replace(part, state=w.RETURNED if for_good else w.WAITING)))
        return changed

    def forget(self, receiver: str) -> list[int]:
        return self._drop([part.number for part in self.of(receiver)])

    def _put(self, part: MailPart) -> MailPart:
        self._parts[part.number] = part
        return part

    def _keep(self, token: str, part: MailPart) -> None:
        self._parts[part.number] = part
        self._tokens[part.number], self._numbers[token] = token, part.number

    def _drop(self, numbers: list[int]) -> list[int]:
        for number in numbers:
            del self._parts[number], self._numbers[self._tokens.pop(number)]
        return numbers

    def token_of(self, number: int) -> str:
        return self._tokens[number]


def check_text(text: str) -> None:
    """Raises InputError."""
    if not text.strip():
        raise InputError("the message is empty", field="text")
    if len(text.encode("utf-8", "replace")) > w.TEXT_BYTES:
        raise InputError(
            f"longer than {w.TEXT_BYTES:,} bytes", field="text", hint="put it into a file, and say where"
        )
