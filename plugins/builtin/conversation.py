"""A conversation as the library has it: how long it is, its older results made short, its calls bounded, its text.
Pure."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Final

from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelRequestPart,
    ModelResponse,
    ModelResponsePart,
    RetryFeedbackPart,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)

from aish.plugins.builtin.bound import bounded, encodable

ARGUMENT_CHARS: Final = 256 << 10
RETRY_CHARS: Final = 2000
OLD_RESULT_CHARS: Final = 400
KEPT: Final = 4
"""Messages at the end that stay as they are: two calls with their results."""


def tame(messages: list[ModelMessage]) -> list[ModelMessage]:
    """Without what a model has written or got that no request should carry again: arguments without end."""
    return [
        replace(message, parts=[_tame_call(part) for part in message.parts])
        if isinstance(message, ModelResponse)
        else replace(message, parts=[_tame_retry(part) for part in message.parts])
        for message in messages
    ]


def _tame_call(part: ModelResponsePart) -> ModelResponsePart:
    if type(part) is not ToolCallPart:
        return part
    text = part.args if isinstance(part.args, str) else json.dumps(part.args)
    broken = isinstance(part.args, str) and not _is_object(part.args)
    if len(text) <= ARGUMENT_CHARS and not broken:
        return part
    left_out = {"left_out": f"{len(text):,} characters", "beginning": text[:200]}
    return ToolCallPart(part.tool_name, left_out, tool_call_id=part.tool_call_id)


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text or "{}"), dict)
    except (ValueError, RecursionError):
        return False


def _tame_retry(part: ModelRequestPart) -> ModelRequestPart:
    """What was wrong with a call quotes the call."""
    text = bounded(encodable(said(part)), RETRY_CHARS)
    if text == said(part):
        return part
    if isinstance(part, RetryFeedbackPart):
        return replace(part, content=text)
    if type(part) is not ToolReturnPart or part.outcome != "retried":
        return part
    return with_result(part, text)


def chars(messages: list[ModelMessage]) -> int:
    return sum(len(said(part)) for message in messages for part in message.parts)


def shortened(messages: list[ModelMessage]) -> list[ModelMessage]:
    """Results of tools but the last ones are cut to their beginning and end."""
    older, newest = messages[:-KEPT], messages[-KEPT:]
    short = [
        replace(each, parts=[_short(part) for part in each.parts]) if isinstance(each, ModelRequest) else each
        for each in older
    ]
    return [*short, *newest]


def _short(part: ModelRequestPart) -> ModelRequestPart:
    if type(part) is ToolReturnPart and isinstance(part.content, str):
        return with_result(part, bounded(part.content, OLD_RESULT_CHARS))
    return part


def with_result(part: ToolReturnPart, text: str) -> ToolReturnPart:
    """The same answer to a call, in other words."""
    return ToolReturnPart(part.tool_name, text, tool_call_id=part.tool_call_id, outcome=part.outcome)


def divided(messages: list[ModelMessage]) -> tuple[list[ModelMessage], list[ModelMessage]]:
    """What is summarised, and what follows it as it is: from an answer on, so that every result has its call."""
    at = max(len(messages) - KEPT, 0)
    while at < len(messages) and not isinstance(messages[at], ModelResponse):
        at += 1
    return messages[:at], messages[at:]


def without_half(messages: list[ModelMessage]) -> list[ModelMessage]:
    """Without an answer of which only the beginning came, which the library keeps."""
    return messages[:-1] if messages and isinstance(messages[-1], ModelResponse) else messages


def told(messages: list[ModelMessage]) -> str:
    """For a person, or a model, to read."""
    lines = []
    for message in messages:
        for part in message.parts:
            text = said(part).strip()
            if text:
                lines.append(f"{_WHO.get(type(part), 'note')}: {text}")
    return "\n\n".join(lines)


_WHO: Final = {
    UserPromptPart: "task",
    TextPart: "you",
    ToolCallPart: "you called",
    ToolReturnPart: "result",
    RetryFeedbackPart: "note",
}


def said(part: ModelRequestPart | ModelResponsePart) -> str:
    if isinstance(part, ToolCallPart):
        return f"{part.tool_name} {part.args if isinstance(part.args, str) else json.dumps(part.args)}"
    content = getattr(part, "content", "")
    return content if isinstance(content, str) else json.dumps(content, default=str)
