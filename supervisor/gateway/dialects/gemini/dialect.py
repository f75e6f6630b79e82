"""Gemini's generateContent as a Dialect of the gateway's clients. The model is in the path, so there is one for each
request.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from aish.supervisor.gateway.dialects.call import checked_name
from aish.supervisor.gateway.dialects.gemini import answer, request

if TYPE_CHECKING:
    from aish.supervisor.gateway.dialects.call import Call
    from aish.supervisor.gateway.dialects.dialect import Writer
    from aish.supervisor.gateway.dialects.openai import Listed

NAME: Final = "gemini"
PREFIX: Final = "/v1beta"
WHOLE: Final = "/models:generateContent"
STREAM: Final = "/models:streamGenerateContent"
COUNT: Final = "/models:countTokens"
_PATH: Final = re.compile(r"(?:/v1beta)?/models/(.+):(\w+)")
_EVENTS: Final = re.compile(r"(?:^|&)alt=sse(?:&|$)")


class Gemini:
    def __init__(self, model: str = "", endpoint: str = WHOLE, *, array: bool = False) -> None:
        self._model, self.endpoint, self._array = model, endpoint, array

    name = NAME

    def parse(self, _path: str, body: bytes) -> Call:
        model = checked_name(self._model)
        if self.endpoint == COUNT:
            return request.counted(model, body)
        return request.content(model, body, stream=self.endpoint == STREAM)

    def answer(self, call: Call, body: bytes) -> bytes:
        return answer.whole(call, body)

    def writer(self, call: Call) -> Writer:
        return answer.Chunks(call, array=self._array)

    def counted(self, tokens: int) -> bytes:
        return msgspec.json.encode({"totalTokens": tokens})

    def models(self, listed: list[Listed]) -> bytes:
        return msgspec.json.encode({"models": [answer.listed(model) for model in listed]})

    def model(self, listed: Listed) -> bytes:
        return msgspec.json.encode(answer.listed(listed))

    def status(self, status: int) -> int:
        return status

    def error(self, status: int, body: bytes) -> bytes:
        return answer.failure(status, body)


def spoken(path: str, query: str) -> Gemini | None:
    """For a path such as /v1beta/models/NAME:generateContent, or without its prefix; None: it is no such path."""
    found = _PATH.fullmatch(path)
    endpoint = f"/models:{found[2]}" if found is not None else ""
    if found is None or endpoint not in (WHOLE, STREAM, COUNT):
        return None
    return Gemini(found[1], endpoint, array=endpoint == STREAM and not _EVENTS.search(query))
