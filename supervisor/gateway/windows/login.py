"""Which account a request is for, where each client brings a login of its own. Nothing of a login is kept but marks:
the first 32 bits of a MAC under the master secret, from which nobody finds it again.

A login is renewed every few hours: its bearer is another then. So an account goes by what the vendor calls it in its
answers, or the client in its requests (`anthropic-organization-id`, `chatgpt-account-id`), by the bearer only where
neither says so. A bearer that is new tells nothing before its first answer: that one request goes unjudged.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_KNOWN: Final = 256
_OF_ANSWER: Final = ("anthropic-organization-id",)
_OF_REQUEST: Final = ("chatgpt-account-id",)
_BEARERS: Final = ("authorization", "x-api-key")


class Logins:
    """`known`: mark of a bearer -> mark of its account, the latest last. Header names in lower case or of a
    case-insensitive mapping."""

    def __init__(self, secret: bytes, known: Mapping[str, str]) -> None:
        self._secret = secret
        self._known = dict(known)

    def bearer(self, request: Mapping[str, str]) -> str:
        """The mark of the login that a request has; '' without one."""
        return next((self._mark(value) for name in _BEARERS if (value := request.get(name))), "")

    def account(self, request: Mapping[str, str]) -> str | None:
        """The account that a request will be for; None: not known before an answer tells."""
        said = _first(request, _OF_REQUEST)
        return self._mark(said) if said else self._known.get(self.bearer(request))

    def learn(self, request: Mapping[str, str], answer: Mapping[str, str]) -> tuple[str, str | None]:
        """(the account that this answer is about, the mark of the bearer if it is new for that account)."""
        bearer = self.bearer(request)
        said = _first(answer, _OF_ANSWER) or _first(request, _OF_REQUEST)
        account = self._mark(said) if said else bearer
        if not bearer or self._known.get(bearer) == account:
            return account, None
        self._known.pop(bearer, None)
        self._known[bearer] = account
        return account, bearer

    def overflow(self) -> list[str]:
        """Forget the oldest beyond MOST_KNOWN; returns their marks."""
        dropped = list(self._known)[: max(0, len(self._known) - MOST_KNOWN)]
        for mark in dropped:
            del self._known[mark]
        return dropped

    def _mark(self, value: str) -> str:
        digest = hmac.new(self._secret, b"login\0" + value.encode(errors="surrogateescape"), hashlib.sha256)
        return digest.hexdigest()[:8]


def _first(headers: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((value.strip() for name in names if (value := headers.get(name))), "")
