"""How talking HTTP to a model server breaks, whoever connected to it: pool.py, or remote.py by aiohttp's client.

Beside these there are TimeoutError, OSError and ValueError (an address that is none): FAILURES has all of them.
"""

from __future__ import annotations

from typing import Final


class BrokenError(Exception):
    """`untaken`: for sure there was no connection, so the server cannot have the request."""

    untaken = False


class CutError(BrokenError):
    """The body ended before its end, or is not framed as HTTP has it."""


class ClosedError(BrokenError):
    """The connection was closed without an answer."""


class LostError(BrokenError, OSError):
    """There is no connection, or it broke. `errno` is None where the system gave no number."""


class UnconnectedError(LostError):
    untaken = True


class ProxyLostError(UnconnectedError):
    """No connection to the proxy before the server."""


class ProxyAnsweredError(BrokenError):
    """The proxy does not let us through. `status` is what it answered."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class TlsError(BrokenError):
    """The server does not speak TLS as it should."""

    untaken = True


class CertificateError(TlsError):
    """`why`: OpenSSL's words, perhaps none."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class NotHttpError(BrokenError, ValueError):
    """What came is no HTTP/1.1, or more of it than a model server has to say."""


FAILURES: Final = (BrokenError, OSError, ValueError)
"""The client's own failures, and what an address that is none makes of asyncio and aiohttp: a..b, a NUL in a path."""
