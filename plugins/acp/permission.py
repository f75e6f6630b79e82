"""A permission that an agent asks for, as a question to a person, and the answer in the agent's words. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aish.plugins.acp.update import one_line
from aish.wire import question as q
from aish.wire.question import OptionPart

if TYPE_CHECKING:
    from aish.plugins.acp.call import Call

MEANINGS: Final = {
    "allow_once": q.ALLOW,
    "allow_always": q.ALLOW_ALWAYS,
    "reject_once": q.DENY,
    "reject_always": q.DENY_ALWAYS,
}
CANCELLED: Final[dict[str, Any]] = {"outcome": {"outcome": "cancelled"}}
_CHARS: Final = 200
"""Of an id and of a label, as the daemon takes them."""
DENYING: Final = (q.DENY, q.DENY_ALWAYS)


@dataclass(slots=True, frozen=True)
class Asked:
    title: str
    body: str
    form: str
    options: tuple[OptionPart, ...]

    def meaning(self, option: str | None) -> str | None:
        return next((part.meaning for part in self.options if part.id == option), None)

    def answerable(self, permissions: str) -> bool:
        """Whether the agent's file can answer it, where it is to: else a person would be asked against the file."""
        return permissions != "deny" or any(part.meaning in DENYING for part in self.options)


def asked(call: Call, options: object) -> Asked:
    """`options` as the agent gives them. A body says all of what is wanted: a title may be cut."""
    body, form = _body(call)
    return Asked(call.title, body, form, tuple(_options(options)))


def _body(call: Call) -> tuple[str, str]:
    diff = call.diff()
    if diff:
        return diff, q.DIFF
    if call.command is not None:
        return call.command, q.COMMAND
    return call.text or call.shown_input(), q.TEXT


def _options(options: object) -> list[OptionPart]:
    found: dict[str, OptionPart] = {}
    for option in options if isinstance(options, list) else []:
        match option:
            case {"optionId": str(id_)} if 0 < len(id_) <= _CHARS and id_ not in found:
                label = one_line(str(option.get("name") or id_))[:_CHARS] or id_
                found[id_] = OptionPart(id=id_, label=label, meaning=MEANINGS.get(str(option.get("kind")), q.CHOICE))
    return list(found.values())[: q.OPTIONS_MOST]


def selected(option: str) -> dict[str, Any]:
    return {"outcome": {"outcome": "selected", "optionId": option}}


def token(session: str, call: str, number: int) -> str:
    """The same for the same request, no other one's ever: `number` counts those of the session's turn."""
    return hashlib.sha256(f"{session}\0{call}\0{number}".encode("utf-8", "replace")).hexdigest()[:32]
