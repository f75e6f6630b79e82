"""Anthropic's Messages as a Dialect of the gateway's clients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from aish.supervisor.gateway.dialects.anthropic import failure, head, listing
from aish.supervisor.gateway.dialects.anthropic.answer import Events, whole

if TYPE_CHECKING:
    from aish.supervisor.gateway.dialects.call import Call
    from aish.supervisor.gateway.dialects.openai import Listed


class Anthropic:
    name = head.NAME

    def parse(self, path: str, body: bytes) -> Call:
        return head.parse(path, body)

    def answer(self, call: Call, body: bytes) -> bytes:
        return whole(call, body)

    def writer(self, call: Call) -> Events:
        return Events(call)

    def counted(self, tokens: int) -> bytes:
        return msgspec.json.encode({"input_tokens": tokens})

    def models(self, listed: list[Listed]) -> bytes:
        return listing.models(listed)

    def model(self, listed: Listed) -> bytes:
        return msgspec.json.encode(listing.model(listed))

    def status(self, status: int) -> int:
        return status

    def error(self, status: int, body: bytes) -> bytes:
        return failure.body(status, body)
