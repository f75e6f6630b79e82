"""The locale of the shell: what is one character, and what comes first.

LC_ALL, LC_CTYPE, LC_COLLATE and LANG count as soon as they are set. Words are decoded with the codec that Python
started with (see text), whatever these say: a byte passes unchanged. What changes is what a character is for lengths,
`?` and classes, and the order of names.
"""

from __future__ import annotations

from aish.lang.pattern import BYTES
from aish.lang.text import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.lang.variables import Variables

_BY_BYTES = ("", "C", "POSIX")
_BY_CODE = ("", "C", "POSIX", "C.UTF-8", "C.utf8")


class Locale:
    """`bytewise`: every byte is a character. `changed` is called when that changes."""

    def __init__(self, variables: Variables) -> None:
        self._values = variables.values
        self.bytewise = False
        self.changed: Callable[[], None] = lambda: None
        self._collation = ""
        for name in ("LC_ALL", "LC_CTYPE", "LC_COLLATE", "LANG"):
            variables.watch(name, self.refresh)
        self.refresh(None)

    def refresh(self, value: str | None = None) -> None:
        """Look what the variables say now."""
        bytewise = self._of("LC_CTYPE") in _BY_BYTES
        if bytewise is not self.bytewise:
            self.bytewise = bytewise
            self.changed()

    def _of(self, category: str) -> str:
        values = self._values
        return values.get("LC_ALL") or values.get(category) or values.get("LANG") or ""

    @property
    def pattern_flags(self) -> int:
        """The locale's share in a pattern's dialect."""
        return BYTES if self.bytewise else 0

    def length(self, text: str) -> int:
        """Characters in `text`."""
        return len(encode(text)) if self.bytewise and not text.isascii() else len(text)

    def sorted(self, texts: list[str]) -> list[str]:
        """`texts` in the order of the locale."""
        collation = self._of("LC_COLLATE")
        if collation in _BY_CODE:
            if all(map(str.isascii, texts)):
                texts.sort()
            else:
                texts.sort(key=encode)
            return texts
        key = self.key()
        texts.sort(key=lambda text: (key(text), text))
        return texts

    def key(self) -> Callable[[str], str | bytes]:
        """What texts are compared by."""
        collation = self._of("LC_COLLATE")
        if collation in _BY_CODE:
            return encode
        import _locale

        try:
            if collation != self._collation:
                _locale.setlocale(_locale.LC_COLLATE, collation)
                self._collation = collation
        except _locale.Error:  # type: ignore[attr-defined]
            return encode  # not installed here: as in C
        return lambda text: _locale.strxfrm(text.replace("\0", ""))
