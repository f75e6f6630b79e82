"""What a model server answers, whoever connected to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
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
        """What there is of the body, b'' at its end. Raises one of broken.FAILURES."""

    def rest(self) -> bytes | None:
        """All that was not read yet, if it is known to be here."""

    @property
    def behind(self) -> bool:
        """Whether the server says more than was read, and nobody knows how much."""

    def unread(self) -> bytes:
        """What came and was not read, as far as it can be read at once: for who only counts."""

    def close(self) -> None:
        """Nothing more of it is wanted: a server that is still at it notices at once."""
