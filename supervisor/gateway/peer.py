"""Whether the program at the other end of a connection within this machine still has it open.

A client that sends no more (RFC 9112, 9.6) and one that has closed look alike to a server until it writes. The kernel
knows both ends: it is asked for the client's own socket (sock_diag(7)), which belongs to nobody once it is closed.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import socket
import struct
from typing import Final

_SOCK_DIAG: Final = 4
_BY_FAMILY: Final = 20
_REQUEST: Final = 1
_ANY_STATE: Final = 0xFFFFFFFF
_HEADER: Final = struct.Struct("=IHHII")
_ASKED: Final = struct.Struct("=BBxxI")
_ENDS: Final = struct.Struct("!HH16s16s")
_REST: Final = struct.Struct("=I8s")  # any interface, any cookie
_MESSAGE: Final = struct.Struct("=BBBB48sIIIII")
_ANSWER_BYTES: Final = 4096
_ADDRESSES_MOST: Final = 8
_PASSING: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
"""Say nothing about the kernel."""


def is_open(ours: tuple[object, ...], theirs: tuple[object, ...]) -> bool:
    """By both ends' addresses, as the socket module has them. False where the kernel does not tell: another network
    namespace, no sock_diag."""
    with contextlib.suppress(OSError, struct.error, ValueError, TypeError, IndexError):
        return _tells(str(ours[0])) and _inode(theirs, ours) != 0
    return False


@functools.lru_cache(_ADDRESSES_MOST)
def _tells(host: str) -> bool:
    """Whether the kernel does, of a socket that is there for sure: of one that is gone, and of all where it lacks
    tcp_diag, it says the same. Known from then on, since each question may have it look for that module again.
    Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    socket.inet_pton(family, host)  # a name is not looked up
    with socket.create_server((host, 0), family=family, backlog=0) as there:
        try:
            return _inode(there.getsockname(), there.getsockname()) != 0
        except OSError as error:
            if error.errno in _PASSING:
                raise
            return False


def _inode(local: tuple[object, ...], remote: tuple[object, ...]) -> int:
    """Of the file that a socket with these ends is to a program; 0: it has none any more. Raises OSError."""
    family = socket.AF_INET6 if len(local) == 4 else socket.AF_INET
    ends = _ENDS.pack(local[1], remote[1], *(socket.inet_pton(family, str(end[0])) for end in (local, remote)))
    asked = _ASKED.pack(family, socket.IPPROTO_TCP, _ANY_STATE) + ends + _REST.pack(0, b"\xff" * 8)
    head = _HEADER.pack(_HEADER.size + len(asked), _BY_FAMILY, _REQUEST, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _SOCK_DIAG) as kernel:
        kernel.setblocking(False)  # it answers within the call
        kernel.send(head + asked)
        answer = kernel.recv(_ANSWER_BYTES)
    if _HEADER.unpack_from(answer)[1] != _BY_FAMILY:
        return 0  # there is no such socket
    inode: int = _MESSAGE.unpack_from(answer, _HEADER.size)[-1]
    return inode
