"""What Claude Code asks for (can_use_tool), as a question for the person, and the answer in its own words. Pure."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aish.agents.host.choices import labelled
from aish.plugins.claude.lines import about
from aish.wire import question as q
from aish.wire.question import OptionPart

if TYPE_CHECKING:
    from aish.wire.question import AnswerPart

Fields = dict[str, Any]
ONCE: Final = OptionPart(id="once", label="Allow once", meaning=q.ALLOW)
DENY: Final = OptionPart(id="deny", label="Deny", meaning=q.DENY)
_ALWAYS: Final = "always"
_LABEL_CHARS: Final = 80
_NO: Final = "The user does not allow this."


@dataclass(frozen=True, slots=True)
class Permission:
    title: str
    body: str
    form: str
    options: tuple[OptionPart, ...]
    given: Fields
    updates: list[Fields]
    """What "always" changes, in its own words."""

    def response(self, answer: AnswerPart) -> Fields:
        """Words in place of an option are why not, and what to do instead."""
        match answer.option:
            case ONCE.id:
                return {"behavior": "allow", "updatedInput": self.given}
            case "always":
                return {"behavior": "allow", "updatedInput": self.given, "updatedPermissions": self.updates}
            case _:
                return {"behavior": "deny", "message": answer.words or _NO}


def read(request: Fields, before: str | None) -> Permission:
    """`before`: the file as it is, where one is to be changed (see `file`). Whatever the request has."""
    tool, given = request.get("tool_name"), request.get("input")
    tool = tool if isinstance(tool, str) and tool else "a tool"
    given = given if isinstance(given, dict) else {}
    label, updates = _always(request.get("permission_suggestions"))
    always = (OptionPart(id=_ALWAYS, label=label, meaning=q.ALLOW_ALWAYS),) if updates else ()
    body, form = _body(tool, given, before)
    title = f"{tool}: {words}" if (words := about(given)) else tool
    return Permission(title, body, form, (ONCE, *always, DENY), given, updates)


def file(request: Fields) -> str | None:
    """The file that it wants to change."""
    given = request.get("input")
    if request.get("tool_name") not in ("Edit", "Write") or not isinstance(given, dict):
        return None
    path = given.get("file_path")
    return path if isinstance(path, str) and "\0" not in path else None


def _body(tool: str, given: Fields, before: str | None) -> tuple[str, str]:
    match tool, given:
        case "Bash", {"command": str(command)}:
            return command, q.COMMAND
        case "Write", {"file_path": str(path), "content": str(after)}:
            return _diff(path, before or "", after), q.DIFF
        case "Edit", {"file_path": str(path), "old_string": str(old), "new_string": str(new)}:
            if before is None or not old or old not in before:
                return _diff(path, old, new), q.DIFF
            after = before.replace(old, new, -1 if given.get("replace_all") else 1)
            return _diff(path, before, after), q.DIFF
        case "ExitPlanMode", {"plan": str(plan)}:
            return plan, q.TEXT
        case _:
            return json.dumps(given, indent=2, ensure_ascii=False) if given else "", q.TEXT


def _diff(path: str, before: str, after: str) -> str:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), path, path, lineterm="")
    return "\n".join(lines)


def _always(suggestions: object) -> tuple[str, list[Fields]]:
    """What "always" is called and changes: for this conversation, and no more than what is asked for. A whole mode
    is only taken where nothing narrower is offered."""
    offered = [each for each in suggestions if isinstance(each, dict)] if isinstance(suggestions, list) else []
    kept = [each for each in offered if each.get("type") != "setMode"] or offered
    updates: list[Fields] = [{**each, "destination": "session"} for each in kept if isinstance(each.get("type"), str)]
    named = [name for each in updates for name in _names(each)]
    return f"Allow always: {', '.join(named)}"[:_LABEL_CHARS] if named else "Allow always", updates


def _names(update: Fields) -> list[str]:
    match update:
        case {"type": "addRules", "rules": [*rules]}:
            return [_rule(rule) for rule in rules if isinstance(rule, dict)]
        case {"type": "setMode", "mode": "acceptEdits"}:
            return ["all edits"]
        case {"type": "setMode", "mode": str(mode)}:
            return [f"mode {mode}"]
        case _:
            return []


def _rule(rule: Fields) -> str:
    tool, content = rule.get("toolName"), rule.get("ruleContent")
    return f"{tool}({content})" if content else str(tool)


# --- its own questions ----------------------------------------------------------------------------------------------

ASKS: Final = "AskUserQuestion"


@dataclass(frozen=True, slots=True)
class Asked:
    question: str
    options: tuple[OptionPart, ...]
    body: str


def questions(request: Fields) -> list[Asked]:
    """Of the tool that asks the person; empty for every other one."""
    given = request.get("input")
    if request.get("tool_name") != ASKS or not isinstance(given, dict):
        return []
    found = given.get("questions")
    return [_asked(each) for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _asked(fields: Fields) -> Asked:
    options, body = labelled(fields.get("options"))
    return Asked(str(fields.get("question") or "a question"), options, body)


def answered(request: Fields, answers: dict[str, str]) -> Fields:
    return {"behavior": "allow", "updatedInput": {**request["input"], "answers": answers}}
