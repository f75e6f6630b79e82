"""Separators in a locale without multibyte characters; apart, since hardly a script has such in IFS."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class Bytes(frozenset[str]):
    """Separators that are bytes beyond ASCII, in a locale without multibyte characters: any such text may hold
    one."""

    __slots__ = ()

    def isdisjoint(self, text: Iterable[object]) -> bool:
        """Whether nothing in `text` separates."""
        return isinstance(text, str) and text.isascii() and super().isdisjoint(text)
