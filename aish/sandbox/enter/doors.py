"""Doors: listening sockets on the loopback of a network of a sandbox, passed out to who answers there.

They are bound before the program is there and never left to it. Whoever connects is of this network, so the socket
itself says which process asks.
"""

from __future__ import annotations

import os
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

_BACKLOG: Final = 256
_NAME_BYTES: Final = 8


def stand_open(doors: Sequence[tuple[str, int]], channel: int) -> int:
    """Listen at the port of each, and tell by the channel: one message of a name that nobody else has and the names
    of the doors, with the end of a pipe and their sockets. Returns the other end: it is closed by whose death ends
    this network. Raises OSError."""
    life, held = os.pipe2(os.O_CLOEXEC)
    socks = []
    for _, port in doors:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        sock.bind(("127.0.0.1", port))
        sock.listen(_BACKLOG)
        socks.append(sock)
    words = " ".join((os.urandom(_NAME_BYTES).hex(), *(name for name, _ in doors)))
    with socket.socket(fileno=channel) as out:
        socket.send_fds(out, [words.encode()], [life, *(sock.fileno() for sock in socks)])
    for sock in socks:
        sock.close()
    os.close(life)
    return held
