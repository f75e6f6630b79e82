"""OpenAI's own dialect: what comes in passes, and what goes out has its shape already."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from aish.supervisor.gateway.dialects import call, openai, sse

if TYPE_CHECKING:
    from aish.supervisor.gateway.dialects.call import Call
    from aish.supervisor.gateway.dialects.dialect import Writer
    from aish.supervisor.gateway.dialects.openai import Listed


class Unchanged:
    """A Dialect."""

    name = openai.NAME

    def parse(self, path: str, body: bytes) -> Call:
        return call.parse(path, body)

    def answer(self, _call: Call, body: bytes) -> bytes:
        return body

    def writer(self, _call: Call) -> Writer:
        return Passing()

    def counted(self, tokens: int) -> bytes:
        return msgspec.json.encode({"input_tokens": tokens})

    def models(self, listed: list[Listed]) -> bytes:
        return openai.model_list(listed)

    def model(self, listed: Listed) -> bytes:
        return openai.model_body(listed)

    def status(self, status: int) -> int:
        return status

    def error(self, _status: int, body: bytes) -> bytes:
        return body


class Passing:
    """A Writer."""

    content_type = sse.CONTENT_TYPE

    def feed(self, events: bytes) -> bytes:
        return events

    def error(self, body: bytes) -> bytes:
        return b"data: " + body + b"\n\n"
