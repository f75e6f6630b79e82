"""The answer's way out: written as it arrives, and watched, so that a reader who leaves ends the generation.

SIGPIPE is ignored while the agent runs (Python's default), because sockets and the event stream must not kill it;
`DownstreamError` is turned into a real SIGPIPE at the very end, by aish.agents.__main__.
"""

from __future__ import annotations

import errno
import os
import select

from aish.errors import StorageError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_SENTENCE_ENDS: Final = ".!?…。！？"  # noqa: RUF001
_PAUSES: Final = " \n\t,;:-–("  # noqa: RUF001
_WORD_MAX: Final = 64  # characters before a space that tell whether a sentence ends there
_CLOSERS: Final = "\"'”’)]»*_`"  # noqa: RUF001


class DownstreamError(Exception):
    """Nobody reads stdout any more. Not an error of the tree: the process dies by SIGPIPE, silently, as Unix does."""


class Stdout:
    """Writes an answer: no white space before it, one line end after it. `fd` may be a file, pipe, socket or tty."""

    def __init__(self, fd: int = 1) -> None:
        self.fd = fd
        self.written_bytes = 0
        self._held = ""  # white space that is only written if text follows

    def write(self, text: str) -> None:
        """Raises DownstreamError, StorageError (disk full)."""
        text = self._held + text
        if not self.written_bytes:
            text = text.lstrip()
        shown = text.rstrip()
        self._held = text[len(shown) :]
        if shown:
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


class Sentences:
    """Passes whole sentences on; what the output limit cut off in the middle is not shown."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """What can be shown now: everything up to the last sentence that is certainly over."""
        scanned = len(self._held)  # no sentence ends in what is held: only the new text can end one
        self._held += text
        end = _last_end(self._held, scanned)
        shown, self._held = self._held[:end], self._held[end:]
        return shown

    def end(self, cut: bool, shown_before: bool) -> str:
        """The rest at the end of the answer. `cut`: the limit ended it, so that the rest may be half a sentence; it
        is shown then only if nothing was shown before, with an ellipsis."""
        rest, self._held = self._held, ""
        whole = rest.rstrip().rstrip(_CLOSERS)[-1:] in tuple(_SENTENCE_ENDS)
        if not cut or whole or not rest.strip():
            return rest
        return "" if shown_before else rest.rstrip(_PAUSES) + " …"


def _last_end(text: str, scanned: int) -> int:
    """Just behind the white space, not before `scanned`, after the last sentence's end; 0 where none has ended."""
    for at in range(len(text) - 1, max(scanned, 1) - 1, -1):
        if not text[at].isspace():
            continue
        before = text[max(0, at - _WORD_MAX) : at].rstrip(_CLOSERS)
        if text[at] == "\n" or (before[-1:] in tuple(_SENTENCE_ENDS) and not _abbreviation(before)):
            return at + 1
    return 0


def _abbreviation(before: str) -> bool:
    """`e.g.`, `2.`, `J.`: a full stop that ends no sentence."""
    word = before.rpartition(" ")[2]
    return word.endswith(".") and (word[:-1].isdecimal() or len(word) == 2 or "." in word[:-1])
