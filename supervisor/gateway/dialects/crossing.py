"""From what a client speaks to what a server speaks: one of these for each request, once it is known who serves it.

    client \\ server     OpenAI's                     Anthropic's
    chats               as they are                  translated
    responses           translated; as they are      translated
                        where the server has them
    messages            translated                   as they are

"As it is": bytes pass; only the model's name, the output limit and the wish for usage are rewritten.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from aish.errors import InputError, UpstreamError
from aish.supervisor.gateway.dialects import headers, llamacpp, openai, sse
from aish.supervisor.gateway.dialects.anthropic import chat, chunks, failure, head, reply, through
from aish.supervisor.gateway.dialects.anthropic.messages import to_chat
from aish.supervisor.gateway.dialects.call import TRUE, render
from aish.supervisor.gateway.dialects.responses import head as responses
from aish.supervisor.gateway.dialects.responses import through as responses_through
from aish.supervisor.gateway.dialects.responses.request import refuse
from aish.supervisor.gateway.dialects.responses.request import to_chat as response_to_chat
from aish.supervisor.gateway.dialects.toolcalls import take as toolcalls
from aish.supervisor.gateway.dialects.toolcalls.offer import offered
from aish.supervisor.gateway.dialects.unchanged import Passing
from aish.supervisor.gateway.dialects.worked import FIELD, Worked
from aish.supervisor.gateway.meter import UNSTATED_OUTPUT_TOKENS
from aish.supervisor.gateway.routes import LLAMACPP

if TYPE_CHECKING:
    from multidict import MultiMapping

    from aish.supervisor.gateway.dialects.call import Call
    from aish.supervisor.gateway.dialects.dialect import Dialect, Writer
    from aish.supervisor.gateway.dialects.openai import Read
    from aish.supervisor.gateway.routes import Server


class Crossing(Protocol):
    """`call` is the request as the server's dialect has it: what is reserved and counted. `asked`: the name that the
    client knows the model by. Streams of a server are read by a Relay, and what that gives is written by a Writer."""

    call: Call
    path: str
    assembles: bool
    """Whether an answer can be put together from a stream that came in its place."""

    def body(self, limit: int | None) -> bytes:
        """What is sent: `limit` output tokens were granted for each answer (None: as the request says). Raises
        InputError."""

    def headers(self, given: MultiMapping[str]) -> dict[str, str]:
        """Of the client's headers those that the server is to have, and what it needs beside them."""

    def relay(self, *, keep_usage: bool) -> sse.Frames: ...

    def writer(self) -> Writer: ...

    def read(self, body: bytes) -> Read:
        """A whole reply, as far as it is metered. Raises UpstreamError."""

    def answer(self, body: bytes) -> bytes:
        """A whole reply, as the client knows it. Raises UpstreamError."""

    def refusal(self, status: int, body: bytes) -> tuple[int, bytes]:
        """The server's error, with the status that the client is to get."""


def cross(call: Call, dialect: Dialect, server: Server, model: str | None = None) -> Crossing:
    """`model`: what the server is asked for, where that is not what the client asked for; the client is answered by
    the name that it knows. Raises InputError where the server cannot do what is asked in this dialect."""
    asked = call.model or server.name
    sent = call if model is None else call.renamed(model)
    if call.dialect == head.NAME and server.dialect == head.NAME:
        return AnthropicThrough(sent, server, asked)
    if call.dialect == responses.NAME and server.has_responses:
        return ResponsesThrough(sent, server, asked)
    match call.dialect:
        case head.NAME:
            chatted = to_chat(sent)
        case responses.NAME:
            chatted = response_to_chat(sent)
        case _:
            chatted = sent
    if server.dialect == head.NAME:
        return ToAnthropic(call, chatted, dialect, server, asked)
    return ToOpenAI(call, chatted, dialect, server, asked)


class ToOpenAI:
    """The server speaks OpenAI's dialect, the client that or another."""

    assembles = True

    def __init__(self, given: Call, call: Call, dialect: Dialect, server: Server, asked: str) -> None:
        self.call, self.path = call, call.endpoint
        self._given, self._dialect, self._server, self._asked = given, dialect, server, asked
        self._known: tuple[bytes, Read] | None = None
        """The reply that was read last: it is metered first, and then answered."""
        self._compiled = server.drops_tools and call.tools
        if self._compiled:
            self.call = offered(call)

    def body(self, limit: int | None) -> bytes:
        server, call = self._server, self.call
        # llama.cpp gives up a stream when its client goes, and nothing else: see assemble.py.
        as_stream = server.engine == LLAMACPP and call.endpoint != openai.EMBEDDINGS
        translated = self._dialect.name != openai.NAME
        return render(call, server.told_name, limit, server.limit_field, as_stream=as_stream, translated=translated)

    def headers(self, given: MultiMapping[str]) -> dict[str, str]:
        return headers.along(given, self._server)

    def relay(self, *, keep_usage: bool) -> sse.Relay:
        kind = toolcalls.Relay if self._compiled else sse.Relay
        if self._server.engine != LLAMACPP or not self.call.stream:  # of one that is put together: assemble.py
            return kind(self._asked, keep_usage=keep_usage)
        wanted = self.call.fields.get(FIELD) == TRUE
        return kind(self._asked, keep_usage=keep_usage, worked=Worked(), keep_timings=wanted)

    def writer(self) -> Writer:
        return self._dialect.writer(self._given)

    def read(self, body: bytes) -> Read:
        if self._known is not None and self._known[0] is body:
            return self._known[1]
        try:
            found = openai.read(body)
        except InputError as error:
            raise UpstreamError(f"the server of {self._server.name} sent a {error}") from None
        self._known = body, found
        return found

    def answer(self, body: bytes) -> bytes:
        told = self.read(body).model
        if told and told != self._asked:
            body = openai.rename(told, self._asked, body)
        return self._dialect.answer(self._given, body)

    def refusal(self, status: int, body: bytes) -> tuple[int, bytes]:
        mistake = llamacpp.mistake(body) if self._server.engine == LLAMACPP else None
        if mistake is not None:
            status = 400
            data = openai.error_body(mistake.message, "invalid_request_error", mistake.code, mistake.field)
        else:
            data = openai.upstream_failure(status, body, self._server.name)
        return status, self._dialect.error(status, data)


class _OfAnthropic:
    """What is alike for all clients of a server that speaks Anthropic's dialect."""

    path = head.MESSAGES
    assembles = False

    def __init__(self, call: Call, server: Server, asked: str) -> None:
        self.call = call
        self._server, self._asked = server, asked

    def headers(self, given: MultiMapping[str]) -> dict[str, str]:
        return headers.along(given, self._server)

    def read(self, body: bytes) -> Read:
        message = reply.message(body, self._server.name)
        told = reply.usage(message.usage)
        used = told.used() if told is not None else None
        return openai.Read(message.model, used, None, message.type == "error", message.content is None)


class AnthropicThrough(_OfAnthropic):
    """Client and server speak Anthropic's dialect."""

    def body(self, limit: int | None) -> bytes:
        return through.body(self.call, self._server.told_name, limit)

    def relay(self, *, keep_usage: bool) -> through.Relay:
        return through.Relay(self._asked)

    def writer(self) -> Writer:
        return _Ours()

    def answer(self, body: bytes) -> bytes:
        told = self.read(body).model
        return openai.rename(told, self._asked, body) if told and told != self._asked else body

    def refusal(self, status: int, body: bytes) -> tuple[int, bytes]:
        return status, failure.passed(status, body, self._server.name)


class _Ours(Passing):
    """A stream that passes, with our own errors in Anthropic's shape."""

    def error(self, body: bytes) -> bytes:
        return failure.event(body)


class ToAnthropic(_OfAnthropic):
    """The server speaks Anthropic's dialect, the client another. Only chats can be translated."""

    def __init__(self, given: Call, call: Call, dialect: Dialect, server: Server, asked: str) -> None:
        super().__init__(call, server, asked)
        self._given, self._dialect = given, dialect
        if call.endpoint != openai.CHAT:
            raise InputError(f"the server of {server.name} has no {call.endpoint}", hint=f"ask at {openai.CHAT}")
        self.body(1)  # what cannot be translated is refused before anything is reserved

    def body(self, limit: int | None) -> bytes:
        most = limit or self.call.max_output or UNSTATED_OUTPUT_TOKENS
        return chat.body(self.call, self._server.known_as(self.call.model), most)

    def headers(self, given: MultiMapping[str]) -> dict[str, str]:
        return {}

    def relay(self, *, keep_usage: bool) -> chunks.Relay:
        return chunks.Relay(self._asked, int(time.time()), keep_usage=keep_usage)

    def writer(self) -> Writer:
        return self._dialect.writer(self._given)

    def answer(self, body: bytes) -> bytes:
        return self._dialect.answer(self._given, chunks.whole(body, self._asked, int(time.time())))

    def refusal(self, status: int, body: bytes) -> tuple[int, bytes]:
        told = openai.upstream_failure(status, chunks.error(body), self._server.name)
        return status, self._dialect.error(status, told)


class ResponsesThrough:
    """Client and server know OpenAI's responses."""

    path = responses.RESPONSES
    assembles = False

    def __init__(self, call: Call, server: Server, asked: str) -> None:
        refuse(call, "background")  # it would answer `queued`, and what it costs could never be counted
        self.call = call
        self._server, self._asked = server, asked

    def body(self, limit: int | None) -> bytes:
        return responses_through.body(self.call, self._server.told_name, limit)

    def headers(self, given: MultiMapping[str]) -> dict[str, str]:
        return headers.along(given, self._server)

    def relay(self, *, keep_usage: bool) -> responses_through.Relay:
        return responses_through.Relay(self._asked)

    def writer(self) -> Writer:
        return responses_through.Passed(self.call, self._asked, int(time.time()))

    def read(self, body: bytes) -> Read:
        return responses_through.read(body, self._server.name)

    def answer(self, body: bytes) -> bytes:
        told = self.read(body).model
        return openai.rename(told, self._asked, body) if told and told != self._asked else body

    def refusal(self, status: int, body: bytes) -> tuple[int, bytes]:
        return status, openai.upstream_failure(status, body, self._server.name)
