"""The answer's way out: written as it arrives, and watched, so that a reader who leaves ends the generation.

SIGPIPE is ignored while the agent runs (Python's default), because sockets and the event stream must not kill it;
`DownstreamError` is turned into a real SIGPIPE at the very end, by aish.agents.__main__.
"""

from __future__ import annotations

import errno
import os
import select

from aish.errors import StorageError, UsageError

TEXT_CHARS = 1 << 20


class DownstreamError(Exception):
    """Nobody reads stdout any more. Not an error of the tree: the process dies by SIGPIPE, silently, as Unix does."""


class Stdout:
    """Writes an answer: no white space before it, one line end after it. `fd` may be a file, pipe, socket or tty."""

    def __init__(self, fd: int = 1) -> None:
        self.fd = fd
        self.written_bytes = 0
        self.text: list[str] = []
        """What was written, for the transcript, up to TEXT_CHARS."""
        self._text_chars = 0
        self._held = ""  # white space that is only written if text follows

    def write(self, text: str) -> None:
        """Raises DownstreamError, StorageError (disk full)."""
        text = self._held + text
        if not self.written_bytes:
            text = text.lstrip()
        shown = text.rstrip()
        self._held = text[len(shown) :]
        if shown:
            self._keep(shown)
            self._write_all(shown.encode("utf-8", "replace"))

    def end(self) -> None:
        """The answer is over: white space at its end becomes one line end; an empty answer stays empty."""
        self._held = ""
        if self.written_bytes:
            self._write_all(b"\n")

    def next_part(self) -> None:
        """Between joined answers: an empty line."""
        if self.written_bytes:
            self._held = "\n\n"

    def _keep(self, text: str) -> None:
        text = text[: TEXT_CHARS - self._text_chars]
        if text:
            self._text_chars += len(text)
            self.text.append(text)

    def _write_all(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                done = os.write(self.fd, view)
            except BlockingIOError:  # somebody else made the pipe non-blocking
                select.select([], [self.fd], [])
                continue
            except BrokenPipeError as error:
                raise DownstreamError from error
            except OSError as error:
                raise _failed(error) from error
            view = view[done:]
            self.written_bytes += done


def _failed(error: OSError) -> StorageError | UsageError:
    if error.errno == errno.EBADF:
        return UsageError("stdout is closed: the answer has nowhere to go", hint="redirect it to /dev/null instead")
    hint = "free some space and try again" if error.errno in (errno.ENOSPC, errno.EDQUOT) else None
    return StorageError(f"the answer cannot be written: {error.strerror}", hint=hint)
