"""Messages to agents: durable, delivered at least once, at the boundary of a turn, each with an answer.

waiting -> delivered -> answered      by its receiver
        <-              its receiver's run ended without an answer, and there is another run
waiting, delivered -> returned        its receiver has ended for good: nobody will read it
"""

from __future__ import annotations

from typing import Final

from aish.wire.part import Part

TEXT_BYTES: Final = 1 << 20
SCHEMA_BYTES: Final = 256 << 10
WAITING_MOST: Final = 1000
"""Of one receiver."""

WAITING: Final = "waiting"
DELIVERED: Final = "delivered"
ANSWERED: Final = "answered"
RETURNED: Final = "returned"
STATES: Final = (WAITING, DELIVERED, ANSWERED, RETURNED)


class MailPart(Part, frozen=True, kw_only=True):
    """`number` is the daemon's own count: people call the seventh message m7. `sender` None: the user."""

    number: int
    to: str
    to_name: str
    sender: str | None = None
    sender_name: str | None = None
    text: str
    schema: str | None = None
    """JSON that says how the answer has to be, where that was asked for."""
    sent_s: float
    state: str = WAITING
    deliveries: int = 0
    answer: str | None = None
    status: int | None = None
    """Of the turn that answered: 0, or as exit statuses are."""
    answered_s: float | None = None

    @property
    def over(self) -> bool:
        return self.state in (ANSWERED, RETURNED)
