"""Whose signature under a server's certificate counts, for the supervisor and the built-in agent."""

from __future__ import annotations

import ssl


def trusted() -> ssl.SSLContext:
    """The system's authorities (SSL_CERT_FILE and SSL_CERT_DIR of OpenSSL): some 20 ms of work.

    Python 3.13 began to refuse certificates without all of what RFC 5280 wants (VERIFY_X509_STRICT). Authorities of
    companies often lack that, and curl and the agents' own clients take them: a model or a page is not to be out of
    reach after a new Python.
    """
    context = ssl.create_default_context()
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
