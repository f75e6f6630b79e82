"""What an agent asks the person that it works for: a permission, or something that it does not know.

A program asks (`Ask`) under a token that it draws itself, so that it may ask again after any death of the daemon: the
question is there once, and its answer, once given, stays until the run has ended. Only the user answers.
"""

from __future__ import annotations

from typing import Final

from aish.wire.part import Part

TITLE_CHARS: Final = 500
BODY_BYTES: Final = 256 << 10
OPTIONS_MOST: Final = 16
WORDS_CHARS: Final = 16 << 10
"""Of an answer in one's own words."""
OPEN_MOST: Final = 32
"""Questions of one process that wait for their answer."""

PERMISSION: Final = "permission"
INPUT: Final = "input"
KINDS: Final = (PERMISSION, INPUT)

TEXT: Final = "text"
COMMAND: Final = "command"
DIFF: Final = "diff"
FORMS: Final = (TEXT, COMMAND, DIFF)
"""What a body is."""

ALLOW: Final = "allow"
ALLOW_ALWAYS: Final = "allow-always"
DENY: Final = "deny"
DENY_ALWAYS: Final = "deny-always"
CHOICE: Final = "choice"
MEANINGS: Final = (ALLOW, ALLOW_ALWAYS, DENY, DENY_ALWAYS, CHOICE)
"""Of an option; the first four are those of the Agent Client Protocol's PermissionOptionKind."""


class OptionPart(Part, frozen=True, kw_only=True):
    """One way to answer; `id` is the asker's own word for it."""

    id: str
    label: str
    meaning: str = CHOICE


YES_OR_NO: Final = (
    OptionPart(id=ALLOW, label="Allow", meaning=ALLOW),
    OptionPart(id=DENY, label="Deny", meaning=DENY),
)
"""What a permission has for options where its asker says nothing of them."""


class AnswerPart(Part, frozen=True, kw_only=True):
    """`option` is one of the question's, `words` a person's own; at least one of them is there."""

    option: str | None = None
    words: str | None = None
    time_s: float


class QuestionPart(Part, frozen=True, kw_only=True):
    """`number` is the daemon's: people call the seventh question q7, and it is no other one's ever."""

    process: str
    name: str
    number: int
    kind: str
    title: str
    """One line: what it wants to do, or to know."""
    body: str = ""
    form: str = TEXT
    options: list[OptionPart] = []
    words: bool = False
    """It may be answered in one's own words."""
    asked_s: float
    answer: AnswerPart | None = None

    def told(self) -> str:
        """In one line: what it wants, or asks."""
        return f"{'wants' if self.kind == PERMISSION else 'asks'}: {self.title}"

    def answered(self) -> str:
        """In one line: what was answered to what."""
        if self.answer is None:
            return self.title
        labels = [option.label for option in self.options if option.id == self.answer.option]
        return f"{self.title}: {labels[0] if labels else self.answer.words or ''}"
