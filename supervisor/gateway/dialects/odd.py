"""Answers of OpenAI's dialect as some servers write them: what one says in parts, another's calls as objects. Pure.

content      a list of parts in place of a text: Mistral's models that reason, servers that answer in the shape in
             which they were asked
arguments    of a call: an object in place of its JSON as a text
"""

from __future__ import annotations

from typing import Any

import msgspec

_TEXT = ("text", "output_text")


def plain(payload: bytes) -> bytes | None:
    """The same as OpenAI writes it; None where it is that already, or is none of this."""
    try:
        answer = msgspec.json.decode(payload)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    choices = answer.get("choices") if isinstance(answer, dict) else None
    if not isinstance(choices, list):
        return None
    said = [choice.get(word) for choice in choices if isinstance(choice, dict) for word in ("delta", "message")]
    changed = [_words(words) for words in said if isinstance(words, dict)]
    return msgspec.json.encode(answer) if any(changed) else None


def _words(words: dict[str, Any]) -> bool:
    """Whether something was changed."""
    changed = False
    if isinstance(words.get("content"), list):
        parts = [part for part in words["content"] if isinstance(part, dict)]
        words["content"] = _joined(parts, _TEXT)
        thought = _joined([part for part in parts if part.get("type") == "thinking"], ("thinking",))
        if thought:
            words["reasoning_content"] = thought
        changed = True
    calls = words.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict) and isinstance(function.get("arguments"), dict):
            function["arguments"] = msgspec.json.encode(function["arguments"]).decode()
            changed = True
    return changed


def _joined(parts: list[dict[str, Any]], kinds: tuple[str, ...]) -> str:
    """The texts of parts of these kinds; of thoughts they are in parts again."""
    found = []
    for part in parts:
        if part.get("type") in kinds:
            text = part.get("thinking") if part.get("type") == "thinking" else part.get("text")
            if isinstance(text, list):
                text = _joined([each for each in text if isinstance(each, dict)], _TEXT)
            found.append(text if isinstance(text, str) else "")
    return "".join(found)
