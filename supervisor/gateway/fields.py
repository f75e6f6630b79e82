"""Header fields of HTTP/1.1 as they are written, so that nothing but a field can be in one. Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110, 5.6.2
_UNSAFE: Final = re.compile(r"[\r\n\0]")


@lru_cache(maxsize=1024)
def _is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


def lines(headers: Mapping[str, str]) -> str:
    """One line each. Raises ValueError for what would be another field, or the end of the head."""
    if not headers:
        return ""
    found = []
    for name, value in headers.items():
        if not _is_name(name):
            raise ValueError(f"not a header: {name[:40]!r}")
        found.append(f"{name}: {value}\r\n")
    told, count = "".join(found), len(found)
    if told.count("\n") != count or told.count("\r") != count or "\0" in told:  # of all at once
        wrong = next(name for name, value in headers.items() if _UNSAFE.search(value))
        raise ValueError(f"not a header: {wrong[:40]!r}")
    return told


def encoded(head: str) -> bytes:
    """Bytes that were no UTF-8 where they came from, and were read with surrogates, are what they were."""
    return head.encode(errors="surrogateescape")
