"""What a client's dialect is to the gateway: how its requests are read, and how answers are written that it expects.

Inside the gateway there is one form of a request and of an answer: OpenAI's. What comes in another dialect becomes a
Call of that form, and what the server answers, or we refuse, is put into the client's words on its way out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from aish.supervisor.gateway.dialects.call import Call
    from aish.supervisor.gateway.dialects.openai import Listed


class Writer(Protocol):
    """A stream on its way to the client."""

    @property
    def content_type(self) -> str: ...

    def feed(self, events: bytes) -> bytes:
        """What to write for these events: whole ones, as OpenAI's servers send them. Raises UpstreamError."""

    def error(self, body: bytes) -> bytes:
        """What to write where the stream fails; `body` is an error in OpenAI's shape. Nothing comes after it."""


class Dialect(Protocol):
    """Pure."""

    @property
    def name(self) -> str:
        """As the records have it."""

    def parse(self, path: str, body: bytes) -> Call:
        """Read a request to one of the dialect's paths. Raises InputError with the field at fault."""

    def answer(self, call: Call, body: bytes) -> bytes:
        """A whole answer in OpenAI's shape, as the client knows it. Raises UpstreamError."""

    def writer(self, call: Call) -> Writer:
        """For one stream."""

    def counted(self, tokens: int) -> bytes:
        """How many tokens a request has."""

    def models(self, listed: list[Listed]) -> bytes:
        """The list of models."""

    def model(self, listed: Listed) -> bytes:
        """One of them."""

    def status(self, status: int) -> int:
        """The status of an error of ours, as the client takes it rightly."""

    def error(self, status: int, body: bytes) -> bytes:
        """An error in OpenAI's shape, as the client knows it."""
