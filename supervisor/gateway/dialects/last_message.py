"""What is added to the next request of a process that is wrapped up. Nowhere else do we change what a client says.

chats, messages   a message of the user behind the others
responses         the same; a text becomes a list of messages
completions       a paragraph behind the prompt, where that is one text
embeddings        nothing: nobody answers there
"""

from __future__ import annotations

from typing import Final

import msgspec

from aish.supervisor.gateway.dialects.anthropic import head
from aish.supervisor.gateway.dialects.call import Call
from aish.supervisor.gateway.dialects.openai import CHAT, COMPLETIONS
from aish.supervisor.gateway.dialects.responses import head as responses

_SPACE: Final = b" \t\r\n"
_encode: Final = msgspec.json.Encoder().encode


def added(call: Call, text: str) -> Call:
    """The request with `text` behind what it says; as it is where that has no place. Pure."""
    message = _encode({"role": "user", "content": text})
    if call.dialect == responses.NAME:
        return _with(call, "input", _behind(call, "input", message, text_is_message=True))
    if call.dialect == head.NAME or call.endpoint == CHAT:
        return _with(call, "messages", _behind(call, "messages", message))
    if call.endpoint == COMPLETIONS:
        return _with(call, "prompt", _paragraph(call, text))
    return call


def _behind(call: Call, name: str, message: bytes, *, text_is_message: bool = False) -> bytes | None:
    raw = bytes(call.fields.get(name, b"")).strip(_SPACE)
    if raw.startswith(b"[") and raw.endswith(b"]"):
        return raw[:-1] + b"," + message + b"]"  # it is not empty: that was refused
    if raw.startswith(b'"') and text_is_message:
        return b'[{"role":"user","content":' + raw + b"}," + message + b"]"
    return None


def _paragraph(call: Call, text: str) -> bytes | None:
    raw = bytes(call.fields["prompt"]).strip(_SPACE)
    if not raw.startswith(b'"'):
        return None  # several, or tokens
    return raw[:-1] + _encode("\n\n" + text + "\n")[1:]


def _with(call: Call, name: str, value: bytes | None) -> Call:
    if value is None:
        return call
    longer = len(value) - len(bytes(call.fields[name]))
    fields = {**call.fields, name: msgspec.Raw(value)}
    return msgspec.structs.replace(call, fields=fields, prompt_bytes=call.prompt_bytes + longer * call.copies)
