"""An agent that goes on: each message in its mail is a turn of one conversation, and its answer the turn's text.

A message that was not answered comes again after any death: it was read at the boundary of a turn, and counts as read
only when it is answered. The conversation is gone on with, too, where the program can: aish.agents.host.points.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from aish.agents.stdout import Stdout
from aish.client import Aish
from aish.errors import AishError
from aish.model.state import IDLE
from aish.report import report
from aish.spi.agent_adapter import ProgramError

if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.agents.host.points import Kept, Points
    from aish.wire.mail import MailPart

    Turn = Callable[[str, Kept, Stdout, str | None], None]
    """Prompt, what it goes on with, where the text goes, the schema of the answer. Raises AishError,
    KeyboardInterrupt."""

CANCELLED = 130


def serve(program: str, turn: Turn, points: Points) -> None:
    """Until somebody ends us; an interrupt is for the turn that is under way, and between two of them means nothing.
    Raises AishError where the daemon is gone for good."""
    _between_turns()
    with Aish(program="agent") as aish:
        while True:
            aish.tell(IDLE, "waits for messages")
            mail = aish.receive()
            if mail is not None:
                text, status = _answer(program, turn, points, mail)
                aish.respond(mail.number, text, status=status)


def _between_turns() -> None:
    signal.signal(
        signal.SIGINT, lambda number, frame: None
    )  # not SIG_IGN: the program that a turn starts inherits that


def _answer(program: str, turn: Turn, points: Points, mail: MailPart) -> tuple[str, int]:
    """What the turn has said, and how it has ended. What fails is one turn: the next may do better."""
    out = Stdout(1)
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with points.turn(f"m{mail.number}") as point:
            turn(mail.text, point, out, mail.schema)
        out.end()
        return "".join(out.text), 0
    except KeyboardInterrupt:
        return "".join(out.text), CANCELLED
    except AishError as error:
        report(program, error)
        status = error.ended if isinstance(error, ProgramError) else error.exit_status
        return "\n\n".join(part for part in ("".join(out.text), f"{program}: {error}") if part), status
    finally:
        _between_turns()
