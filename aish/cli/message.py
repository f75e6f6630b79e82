"""The text of a message to an agent, and its answer, as verbs have them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from aish.agents import stdin
from aish.cli.output import print_json
from aish.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aish.wire.mail import MailPart


def message(words: Sequence[str]) -> str:
    """Words, then what stdin has, which is never a terminal's. Raises UsageError, LimitError."""
    said = " ".join(words).strip()
    given = stdin.read(0, out_fd=1).text.strip("\n") if stdin.is_given(0) else ""
    text = "\n\n".join(part for part in (said, given) if part.strip())
    if not text:
        raise UsageError("the message is empty", hint="words, or a text on stdin")
    return text


def shown(verb: str, mail: MailPart | None, *, as_json: bool) -> int:
    """Print the answer; the status of the turn that made it. Raises UnavailableError where there is none."""
    if as_json and mail is not None:
        print_json(mail)
    if mail is None or mail.answer is None:
        name = "it" if mail is None else f"{mail.to_name} ({mail.to})"
        raise UnavailableError(f"{name} has ended without an answer", hint="`aish logs` and `aish why` say more")
    if not as_json and mail.answer:
        sys.stdout.write(mail.answer if mail.answer.endswith("\n") else mail.answer + "\n")
    if mail.status and not as_json:
        print(f"aish {verb}: {mail.to_name}: its turn ended with {mail.status}", file=sys.stderr)
    return mail.status or 0
