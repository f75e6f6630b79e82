"""What Codex asks for, as questions for the person, and the answers in its own words. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aish.agents.host.choices import labelled
from aish.plugins.codex import lines
from aish.wire import question as q
from aish.wire.question import OptionPart

if TYPE_CHECKING:
    from aish.wire.question import AnswerPart

Fields = dict[str, Any]
COMMAND: Final = "item/commandExecution/requestApproval"
CHANGE: Final = "item/fileChange/requestApproval"
PERMISSIONS: Final = "item/permissions/requestApproval"
INPUT: Final = "item/tool/requestUserInput"
ELICITATION: Final = "mcpServer/elicitation/request"

_ONCE: Final = OptionPart(id="accept", label="Allow once", meaning=q.ALLOW)
_ALWAYS: Final = OptionPart(id="acceptForSession", label="Allow for this conversation", meaning=q.ALLOW_ALWAYS)
_DENY: Final = OptionPart(id="decline", label="Deny", meaning=q.DENY)
_HUMAN: Final = "humanCommand"
"""Wants an answer of its own each time."""


@dataclass(frozen=True, slots=True)
class Approval:
    title: str
    body: str
    form: str
    options: tuple[OptionPart, ...] = (_ONCE, _ALWAYS, _DENY)


def read(method: str, params: Fields, diff: str) -> Approval | None:
    """`diff` is that of the item that it is about. None: no approval is asked for."""
    reason = params.get("reason")
    reason = reason if isinstance(reason, str) and reason.strip() else ""
    match method:
        case "item/commandExecution/requestApproval":
            return _command(params, reason)
        case "item/fileChange/requestApproval":
            return Approval(reason or f"patch: {_paths(diff)}", diff, q.DIFF)
        case "item/permissions/requestApproval":
            body = json.dumps(params.get("permissions"), indent=2, ensure_ascii=False)
            return Approval(reason or "more permissions", body, q.TEXT)
        case _:
            return None


def _command(params: Fields, reason: str) -> Approval:
    command = lines.command(params)
    options = (_ONCE, _DENY) if params.get("kind") == _HUMAN else (_ONCE, _ALWAYS, _DENY)
    match params.get("networkApprovalContext"):
        case {"host": str(host)}:
            return Approval(f"network: {host}", command or reason, q.TEXT, options)
        case _:
            body = f"{command}\n\n# {lines.one_line(reason)}" if reason else command
            return Approval(f"shell: {lines.one_line(command) or reason}", body, q.COMMAND, options)


def _paths(diff: str) -> str:
    found = [line[4:] for line in diff.splitlines() if line.startswith("+++ ")]
    return lines.one_line(", ".join(found)) or "files"


def response(method: str, params: Fields, answer: AnswerPart) -> Fields:
    """What is neither allowed nor always allowed is denied, and the turn goes on."""
    decision = answer.option if answer.option in (_ONCE.id, _ALWAYS.id) else _DENY.id
    if method != PERMISSIONS:
        return {"decision": decision}
    if decision == _DENY.id:
        return {"permissions": {}}
    wanted = params.get("permissions")
    scope = "session" if decision == _ALWAYS.id else "turn"
    return {"permissions": wanted if isinstance(wanted, dict) else {}, "scope": scope}


# --- its own questions ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asked:
    id: str
    question: str
    options: tuple[OptionPart, ...]
    body: str


def questions(params: Fields) -> list[Asked]:
    found = params.get("questions")
    return [_asked(each) for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _asked(fields: Fields) -> Asked:
    options, body = labelled(fields.get("options"))
    question = fields.get("question")
    return Asked(str(fields.get("id")), str(question or "a question"), options, body)


def answered(answers: dict[str, AnswerPart]) -> Fields:
    """By the questions' ids."""
    return {"answers": {id: {"answers": [each.option or each.words or ""]} for id, each in answers.items()}}
