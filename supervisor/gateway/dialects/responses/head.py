"""A request for a response, read as far as the gateway itself needs: the rest is for the server. Pure."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from aish.errors import InputError
from aish.supervisor.gateway.dialects.call import MAX_VALUE_BYTES, Call, Fields, checked_name, count_parts, split

NAME: Final = "responses"
RESPONSES: Final = "/responses"
_PROMPT_FIELDS: Final = ("instructions", "input", "tools", "text")
_PART: Final = re.compile(rb'"(?:input_image|input_file|input_audio)"')
_SPACE: Final = b" \t\r\n"


def parse(path: str, body: bytes) -> Call:
    """Raises InputError with the field at fault."""
    fields = split(body)
    options = Fields(fields)
    limit = options.integer("max_output_tokens")
    if limit is not None and limit < 1:
        raise InputError("Invalid 'max_output_tokens': expected 1 or more.", field="max_output_tokens")
    if "input" not in fields:
        raise InputError("Missing required parameter: 'input'.", field="input")
    if bytes(memoryview(fields["input"])[:MAX_VALUE_BYTES]).translate(None, _SPACE).startswith(b"[]"):
        raise InputError("Invalid 'input': at least one item.", field="input")
    prompt = [memoryview(fields[name]) for name in _PROMPT_FIELDS if name in fields]
    return Call(
        endpoint=path,
        fields=fields,
        model=checked_name(options.text("model")),
        stream=options.flag("stream"),
        wants_usage=True,
        max_output=limit,
        prompts=1,
        copies=1,
        prompt_bytes=sum(map(len, prompt)),
        parts=count_parts(prompt, _PART, "images, sounds and files"),
        tools="tools" in fields,
        dialect=NAME,
        goes_on=_goes_on(fields),
    )


class _Conversation(msgspec.Struct):
    id: str


def _goes_on(fields: dict[str, msgspec.Raw]) -> tuple[str, ...]:
    """Raises InputError."""
    found: list[str] = []
    for name in ("previous_response_id", "conversation"):
        if name not in fields:
            continue
        try:
            told = msgspec.json.decode(fields[name], type=str | _Conversation | None)
        except (msgspec.DecodeError, RecursionError) as error:
            raise InputError(f"Invalid '{name}': {error}", field=name) from None
        if told:
            found.append(told if isinstance(told, str) else told.id)
    return tuple(found)
