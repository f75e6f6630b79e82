"""An agent that goes on: each message in its mail is a turn of one conversation, and its answer the turn's text.

A message that was not answered comes again after any death: it was read at the boundary of a turn, and counts as read
only when it is answered. The conversation is gone on with, too, where the program can: what it calls it is kept.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from aish.agents.stdout import Stdout
from aish.client import Aish
from aish.errors import AishError, StorageError
from aish.model.state import IDLE
from aish.report import report
from aish.spi.agent_adapter import ProgramError

if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.wire.mail import MailPart

    Turn = Callable[[str, str | None, Callable[[str], None], Stdout, str | None], None]
    """Prompt, session, what is told of a session, where the text goes, the schema of the answer. Raises AishError,
    KeyboardInterrupt."""

CANCELLED = 130
_SESSION_BYTES = 4096


def serve(program: str, turn: Turn, session: Session) -> None:
    """Until somebody ends us; an interrupt is for the turn that is under way, and between two of them means nothing.
    Raises AishError where the daemon is gone for good."""
    _between_turns()
    with Aish(program="agent") as aish:
        while True:
            aish.tell(IDLE, "waits for messages")
            mail = aish.receive()
            if mail is not None:
                text, status = _answer(program, turn, session, mail)
                aish.respond(mail.number, text, status=status)


def _between_turns() -> None:
    signal.signal(
        signal.SIGINT, lambda number, frame: None
    )  # not SIG_IGN: the program that a turn starts inherits that


def _answer(program: str, turn: Turn, session: Session, mail: MailPart) -> tuple[str, int]:
    """What the turn has said, and how it has ended. What fails is one turn: the next may do better."""
    out = Stdout(1)
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        turn(mail.text, session.id, session.is_called, out, mail.schema)
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


class Session:
    """What the program calls the conversation, kept in a file beside the transcript; None: it has not said."""

    def __init__(self, folder: str | None) -> None:
        self._path = os.path.join(folder, "session") if folder is not None else None
        self.id = self._read()

    def _read(self) -> str | None:
        if self._path is None:
            return None
        try:
            with open(self._path, encoding="utf-8") as stream:
                return stream.read(_SESSION_BYTES).strip() or None
        except (OSError, UnicodeDecodeError):
            return None  # there is none, or it is of no use: a new conversation begins

    def is_called(self, id: str) -> None:
        """Raises StorageError."""
        if id == self.id:
            return
        self.id = id
        if self._path is None:
            return
        draft = f"{self._path}.new"
        try:
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as stream:
                stream.write(id)
            os.replace(draft, self._path)
        except OSError as error:
            raise StorageError(f"{self._path}: {error.strerror}") from error
