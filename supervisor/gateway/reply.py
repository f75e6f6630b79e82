"""What a model server answers, whoever connected to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from aish.supervisor.gateway.kept import guarded

if TYPE_CHECKING:
    import aiohttp
    from multidict import MultiMapping


class Reply(Protocol):
    """Its head is here, its body comes."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> MultiMapping[str]: ...

    @property
    def content_type(self) -> str:
        """Without parameters, in small letters."""

    async def read(self) -> bytes:
        """What there is of the body, b'' at its end. Raises aiohttp.ClientError, OSError, ValueError."""

    def rest(self) -> bytes | None:
        """All that was not read yet, if it is known to be here."""

    @property
    def behind(self) -> bool:
        """Whether the server says more than was read, and nobody knows how much."""

    def unread(self) -> bytes:
        """What came and was not read, as far as it can be read at once: for who only counts."""

    def close(self) -> None:
        """Nothing more of it is wanted: a server that is still at it notices at once."""


class AiohttpReply:
    """A Reply that aiohttp's client reads."""

    __slots__ = ("_response", "close", "content_type", "headers", "read", "status")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = guarded(response)
        self.status, self.headers, self.content_type = response.status, response.headers, response.content_type
        self.read, self.close = response.content.readany, response.close

    behind = False

    def rest(self) -> bytes | None:
        return None

    def unread(self) -> bytes:
        return b""
