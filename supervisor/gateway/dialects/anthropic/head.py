"""A request in Anthropic's dialect, read as far as the gateway itself needs: the rest is for the server. Pure."""

from __future__ import annotations

import re
from typing import Final

from aish.errors import InputError
from aish.model.dialect import ANTHROPIC
from aish.supervisor.gateway.dialects.call import MAX_VALUE_BYTES, Call, Fields, checked_name, count_parts, split

NAME: Final = ANTHROPIC
MESSAGES: Final = "/messages"
COUNT: Final = "/messages/count_tokens"
VERSION: Final = "2023-06-01"
"""Of the protocol, as the header anthropic-version has it."""
_PROMPT_FIELDS: Final = ("system", "messages", "tools", "output_config", "output_format", "mcp_servers")
_PART: Final = re.compile(rb'"(?:image|document)"')
_SPACE: Final = b" \t\r\n"


def parse(path: str, body: bytes) -> Call:
    """Raises InputError with the field at fault."""
    fields = split(body)
    options = Fields(fields)
    limit = options.integer("max_tokens")
    if path == MESSAGES and limit is None:
        raise InputError("max_tokens: Field required", field="max_tokens")
    if limit is not None and limit < 1:
        raise InputError("max_tokens: expected 1 or more", field="max_tokens")
    prompt = [memoryview(fields[name]) for name in _PROMPT_FIELDS if name in fields]
    messages = bytes(memoryview(fields["messages"])[:MAX_VALUE_BYTES]) if "messages" in fields else b"[]"
    if messages.translate(None, _SPACE).startswith(b"[]"):
        raise InputError("messages: at least one message is required", field="messages")
    return Call(
        endpoint=path,
        fields=fields,
        model=checked_name(options.text("model")),
        stream=path == MESSAGES and options.flag("stream"),
        wants_usage=True,
        max_output=limit,
        prompts=1,
        copies=1,
        prompt_bytes=sum(map(len, prompt)),
        parts=count_parts(prompt, _PART, "images and documents"),
        tools="tools" in fields,
        dialect=NAME,
    )
