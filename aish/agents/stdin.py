"""The input's way in: all of stdin, bounded, as text; never from a terminal."""

from __future__ import annotations

import os
import select
import time

from aish.agents.stdout import DownstreamError
from aish.errors import LimitError, StorageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

INPUT_BYTES_MAX: Final = 16 << 20
_PIECE_BYTES: Final = 1 << 16
_REPLACEMENT: Final = "\ufffd"


class Input:
    """`text` of `byte_count` bytes; `replaced` of its characters stand for bytes that were no UTF-8."""

    __slots__ = ("byte_count", "replaced", "text")

    def __init__(self, text: str, byte_count: int, replaced: int) -> None:
        self.text = text
        self.byte_count = byte_count
        self.replaced = replaced


def read(fd: int, *, out_fd: int, bytes_max: int = INPUT_BYTES_MAX) -> Input:
    """Everything up to the end of file; `out_fd` is watched.

    Raises LimitError (too long), StorageError (it cannot be read) and DownstreamError: with nobody left to read the
    answer there is no reason to wait for the question.
    """
    content = bytearray()
    if not _readable(fd):
        return Input("", 0, 0)
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    poll.register(out_fd, 0)
    while True:
        wait(poll, out_fd)
        try:
            piece = os.read(fd, _PIECE_BYTES)
        except BlockingIOError:
            continue
        except OSError as error:
            raise StorageError(f"the input cannot be read: {error.strerror}") from error
        if not piece:
            return decode(bytes(content))
        content += piece
        if len(content) > bytes_max:
            raise LimitError(
                f"the input is longer than {bytes_max >> 20} MiB",
                hint="split it first, for example with: split -C 1M, and join the answers",
            )


def wait(poll: select.poll, out_fd: int, until_s: float | None = None) -> bool:
    """Until something other than `out_fd` is ready; False at `until_s`, on time.monotonic's clock. Raises
    DownstreamError when its reader left."""
    while True:
        left_s = None if until_s is None else max(0.0, until_s - time.monotonic())
        ready = poll.poll(None if left_s is None else int(left_s * 1000 + 1))
        for fd, events in ready:
            if fd == out_fd and events & (select.POLLERR | select.POLLHUP):
                raise DownstreamError
        if any(fd != out_fd for fd, _ in ready):
            return True
        if until_s is not None and time.monotonic() >= until_s:
            return False
        if any(events & select.POLLNVAL for _, events in ready):
            poll.unregister(out_fd)  # closed: the first write tells


def decode(content: bytes) -> Input:
    """Text of `content`, without a byte order mark; what is not UTF-8 becomes U+FFFD and is counted."""
    content = content.removeprefix(b"\xef\xbb\xbf")
    try:
        return Input(content.decode(), len(content), 0)
    except UnicodeDecodeError:
        text = content.decode("utf-8", "replace")
        return Input(text, len(content), text.count(_REPLACEMENT) - content.count(_REPLACEMENT.encode()))


def is_given(fd: int) -> bool:
    """Whether somebody has given us an input: neither a terminal nor /dev/null, nor nothing at all."""
    try:
        return not os.isatty(fd) and not os.path.samestat(os.fstat(fd), os.stat(os.devnull))
    except OSError:
        return False


def _readable(fd: int) -> bool:
    """Open, and no terminal: an agent in the background would take the shell's lines."""
    try:
        os.fstat(fd)
    except OSError:
        return False
    return not os.isatty(fd)
