"""Whether a port is free."""

from __future__ import annotations

import socket


def is_free(port: int) -> bool:
    """On 127.0.0.1, now."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
