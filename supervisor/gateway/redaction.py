"""Keys taken out of a text before it is kept: those that are known, and what has the form of one. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from aish.model.client_environ import OWN_KEY
from aish.supervisor.gateway.provider_key import Scrub

_CREDENTIALS: Final = ("Authorization", "Proxy-Authorization", "api-key", "x-api-key", "x-goog-api-key", OWN_KEY)
"""Headers that say who asks."""
# Ours, OpenAI's and Anthropic's, Google's, Groq's, xAI's, Hugging Face's, GitHub's, Amazon's; and whatever stands
# behind Bearer. A prompt may have a file or an environment in it.
_KEY: Final = re.compile(
    rb"\b(?:sk-[\w-]{16,}|aish-p\d+-\d+-[\w-]{8,}|AIza[\w-]{30,}|gsk_\w{16,}|xai-\w{16,}|hf_\w{16,}"
    rb"|gh[pousr]_\w{16,}|github_pat_\w{16,}|AKIA[A-Z0-9]{16})"
)
_BEARER: Final = re.compile(rb"(?i)\b(bearer\s+)[\w.~+/-]{16,}=*")
_MASK: Final = b"***"


def presented(headers: Mapping[str, str]) -> list[Scrub]:
    """What a request itself came with."""
    values = [headers[name] for name in _CREDENTIALS if name in headers]
    return [Scrub(value.rpartition(" ")[2].encode(errors="replace").decode()) for value in values if value.strip()]


def redacted(data: bytes, known: Iterable[Scrub]) -> bytes:
    """The same without keys. One that a model says in several pieces of a stream is none here."""
    for scrub in known:
        data = scrub.answer(data)
    return _KEY.sub(_MASK, _BEARER.sub(rb"\1" + _MASK, data))
