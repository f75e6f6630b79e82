"""Ollama's native paths as Dialects of the gateway's clients: one for each kind of answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from aish.supervisor.gateway.dialects.ollama import answer, request
from aish.supervisor.gateway.dialects.unchanged import Passing

if TYPE_CHECKING:
    from aish.supervisor.gateway.dialects.call import Call
    from aish.supervisor.gateway.dialects.dialect import Writer
    from aish.supervisor.gateway.dialects.openai import Listed

NAME: Final = "ollama"


class _Ollama:
    name = NAME

    def counted(self, tokens: int) -> bytes:
        return msgspec.json.encode({"input_tokens": tokens})

    def models(self, listed: list[Listed]) -> bytes:
        return msgspec.json.encode({"models": [answer.listed(model) for model in listed]})

    def model(self, listed: Listed) -> bytes:
        return answer.shown(listed)

    def status(self, status: int) -> int:
        return status

    def error(self, _status: int, body: bytes) -> bytes:
        return answer.error(body)


class Chat(_Ollama):
    def parse(self, _path: str, body: bytes) -> Call:
        return request.chat(body)

    def answer(self, call: Call, body: bytes) -> bytes:
        return answer.whole(call, body, chat=True)

    def writer(self, call: Call) -> Writer:
        return answer.Lines(call, chat=True)


class Generate(_Ollama):
    def parse(self, _path: str, body: bytes) -> Call:
        return request.generate(body)

    def answer(self, call: Call, body: bytes) -> bytes:
        return answer.whole(call, body, chat=False)

    def writer(self, call: Call) -> Writer:
        return answer.Lines(call, chat=False)


class Embed(_Ollama):
    def parse(self, _path: str, body: bytes) -> Call:
        return request.embed(body)

    def answer(self, call: Call, body: bytes) -> bytes:
        return answer.vectors(call, body, one=False)

    def writer(self, _call: Call) -> Writer:
        return Passing()  # nobody streams embeddings


class Embedding(Embed):
    """The earlier form, for one text."""

    def parse(self, _path: str, body: bytes) -> Call:
        return request.embedding(body)

    def answer(self, call: Call, body: bytes) -> bytes:
        return answer.vectors(call, body, one=True)
