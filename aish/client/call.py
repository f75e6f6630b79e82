"""What a question is made of: a generator yields what is to be asked, is sent the answers, and returns what comes of
them. So one text serves programs that block, those of asyncio, and verbs. Drivers carry; `carry` is the blocking
one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

from aish.client.connection import expect
from aish.errors import AishError
from aish.wire.message import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from aish.client.connection import Client

T = TypeVar("T")
R = TypeVar("R", bound=Message)


class Call(NamedTuple):
    """A request, with the descriptors that go with it. It is answered by a reply; a refusal is raised."""

    message: Message
    fds: Sequence[int] = ()


class Files(NamedTuple):
    """The same where the reply brings descriptors, which are then the asker's: a reply and a list of them."""

    message: Message


class Together(NamedTuple):
    """Several at once. Answered by a dict: replies and refusals by key, without those that came too late."""

    messages: Mapping[str, Message]
    timeout_s: float | None = None


class Breath(NamedTuple):
    """Nothing is asked; something takes its time here, and others may have their turn. Answered by None."""


Step: TypeAlias = "Call | Files | Together | Breath"
Asks: TypeAlias = "Generator[Step, Any, T]"


def ask(expected: type[R], message: Message, fds: Sequence[int] = ()) -> Asks[R]:
    """One question and its answer. Raises InternalError where it is of another type."""
    return expect(expected, (yield Call(message, fds)))


def carry(asks: Asks[T], answer: Callable[[Step], object]) -> T:
    """Have each step answered; what it raises is raised where the step was yielded. Raises what `asks` raises."""
    try:
        step = next(asks)
        while True:
            try:
                answered = answer(step)
            except AishError as error:
                step = asks.throw(error)
            else:
                step = asks.send(answered)
    except StopIteration as end:
        value: T = end.value
        return value


def by(line: Client, together: Callable[[Together], object] | None = None) -> Callable[[Step], object]:
    """What answers over one connection; `together` where several are asked at once, which needs more of them."""

    def answer(step: Step) -> object:
        match step:
            case Call(message, fds):
                return line.request(message, fds)
            case Files(message):
                return line.request_with_fds(message)
            case Together():
                assert together is not None, "several at once over one connection"
                return together(step)
            case Breath():
                return None

    return answer
