"""The tools that touch files: read, write, edit. Texts only, bounded; a write replaces the file at once."""

from __future__ import annotations

import contextlib
import difflib
import os
import secrets
import stat
from typing import TYPE_CHECKING, Final

from aish.plugins.builtin.declined import DeclinedError
from aish.plugins.builtin.wish import Wish, one_line
from aish.sandbox import opening
from aish.wire import question as q

if TYPE_CHECKING:
    from aish.plugins.builtin.places import Places

FILE_BYTES: Final = 4 << 20
LINES: Final = 800
DIFF_PAIRS: Final = 4_000_000
"""Of lines, that may be compared: a model could make us compare for hours."""


class Files:
    def __init__(self, places: Places) -> None:
        self._places = places

    async def read(self, path: str, first_line: int = 1, lines: int = LINES) -> str:
        """Read a text file, or list a folder.

        Args:
            path: The file, relative to the working folder.
            first_line: The first line to show, from 1.
            lines: How many lines to show.
        """
        real = self._places.readable(path)
        if os.path.isdir(real):
            return self._listed(real)
        text = self.text(real)
        all_lines = text.splitlines(keepends=True)
        first = max(1, first_line)
        shown = all_lines[first - 1 : first - 1 + max(1, lines)]
        if len(shown) == len(all_lines):
            return text
        return f"[lines {first} to {first + len(shown) - 1} of {len(all_lines)}]\n{''.join(shown)}"

    async def write(self, path: str, content: str) -> str:
        """Write a text file, all of it; folders above it are made.

        Args:
            path: The file, relative to the working folder.
            content: Its new content, complete.
        """
        real = self._places.writable(path)
        self._replace(real, content)
        return f"written: {self._places.shown(real)}, {len(content.encode('utf-8', 'replace')):,} bytes"

    async def edit(self, path: str, old: str, new: str) -> str:
        """Replace a piece of a text file that is in it exactly once.

        Args:
            path: The file, relative to the working folder.
            old: The text to replace, exactly as it stands in the file, with enough around it to be unique.
            new: What stands there afterwards.
        """
        real = self._places.writable(path)
        self._replace(real, edited(self.text(real), old, new))
        return f"edited: {self._places.shown(real)}"

    # --- what they are about to do --------------------------------------------------------------------------------

    def write_wish(self, path: str, content: str) -> Wish:
        real = self._places.writable(path)
        before = self.text(real) if os.path.lexists(real) else ""
        return self._wish(real, before, content, "write")

    def edit_wish(self, path: str, old: str, new: str) -> Wish:
        real = self._places.writable(path)
        before = self.text(real)
        return self._wish(real, before, edited(before, old, new), "edit")

    def read_wish(self, path: str, first_line: int = 1, lines: int = LINES) -> Wish:
        real = self._places.readable(path)
        shown = one_line(self._places.shown(real))
        return Wish(title=f"read {shown}", grant=f"read:{real}", always=f"reading {shown}")

    def _wish(self, real: str, before: str, after: str, verb: str) -> Wish:
        name = self._places.shown(real)
        shown = one_line(name)
        return Wish(
            title=f"{verb} {shown}",
            body=diff(before, after, name),
            form=q.DIFF,
            grant=f"write:{real}",
            always=f"changes of {shown}",
        )

    # --- below ----------------------------------------------------------------------------------------------------

    def text(self, real: str) -> str:
        """Of a file that may be read. Raises DeclinedError."""
        try:
            fd = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise DeclinedError(f"{self._places.shown(real)} cannot be read: {error.strerror}") from error
        with open(fd, "rb") as stream:
            if not self._places.reads(opening.opened(fd)):
                raise DeclinedError(f"{self._places.shown(real)} is outside")
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise DeclinedError(f"{self._places.shown(real)} is no regular file")
            content = stream.read(FILE_BYTES + 1)
        if len(content) > FILE_BYTES:
            raise DeclinedError(f"{self._places.shown(real)} is longer than {FILE_BYTES:,} bytes")
        if b"\0" in content[:4096]:
            raise DeclinedError(f"{self._places.shown(real)} is no text")
        try:
            return content.decode()
        except UnicodeDecodeError as error:
            raise DeclinedError(f"{self._places.shown(real)} is not UTF-8") from error

    def _replace(self, real: str, content: str) -> None:
        """All or nothing: a new file takes the old one's place, with its mode."""
        try:
            data = content.encode()
        except UnicodeEncodeError as error:
            raise DeclinedError("the content is no text: it has half a character in it") from error
        if len(data) > FILE_BYTES:
            raise DeclinedError(f"longer than {FILE_BYTES:,} bytes")
        folder, name = os.path.split(real)
        try:
            fd = opening.folder(folder, self._places.writes)
            try:
                if not self._places.writes(os.path.join(opening.opened(fd), name)):
                    raise DeclinedError(f"{self._places.shown(real)} is outside")
                _put(fd, name, data)
            finally:
                os.close(fd)
        except OSError as error:
            raise DeclinedError(f"{self._places.shown(real)} cannot be written: {error.strerror}") from error

    def _listed(self, real: str) -> str:
        try:
            fd = os.open(real, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                if not self._places.reads(opening.opened(fd)):
                    raise DeclinedError(f"{self._places.shown(real)} is outside")
                entries = sorted(os.scandir(fd), key=lambda entry: entry.name)
                return "\n".join(
                    each.name + ("/" if each.is_dir(follow_symlinks=False) else "") for each in entries[:2000]
                )
            finally:
                os.close(fd)
        except OSError as error:
            raise DeclinedError(f"the folder cannot be read: {error.strerror}") from error


def edited(text: str, old: str, new: str) -> str:
    """Raises DeclinedError where `old` is not there exactly once."""
    if not old:
        raise DeclinedError("old is empty: say what to replace, or write the whole file")
    if old == new:
        raise DeclinedError("old and new are the same: nothing would change")
    found = text.count(old)
    if found == 0:
        raise DeclinedError("old is not in the file: read it again, and copy the text exactly")
    if found > 1:
        raise DeclinedError(f"old is in the file {found} times: give more of what stands around it")
    return text.replace(old, new)


def diff(before: str, after: str, name: str) -> str:
    """Unified, as git has it. Where finding the least change would take too long: from the first line that differs to
    the last."""
    old, new = before.splitlines(), after.splitlines()
    names = (f"a/{name}" if before else "/dev/null", f"b/{name}")
    if len(old) * len(new) <= DIFF_PAIRS:
        return "\n".join(difflib.unified_diff(old, new, *names, lineterm=""))
    same = next(
        (at for at, pair in enumerate(zip(old, new, strict=False)) if pair[0] != pair[1]), min(len(old), len(new))
    )
    old, new = old[same:], new[same:]
    while old and new and old[-1] == new[-1]:
        old.pop()
        new.pop()
    head = [f"--- {names[0]}", f"+++ {names[1]}", f"@@ -{same + 1},{len(old)} +{same + 1},{len(new)} @@"]
    return "\n".join([*head, *(f"-{line}" for line in old), *(f"+{line}" for line in new)])


def _put(folder: int, name: str, data: bytes) -> None:
    mode = 0o666
    with contextlib.suppress(FileNotFoundError):
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISREG(found.st_mode):
            raise DeclinedError(f"{name} is no regular file")
        mode = stat.S_IMODE(found.st_mode)
    draft = f".{name[:100]}.{secrets.token_hex(4)}"
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=folder)
    try:
        with open(fd, "wb") as stream:
            if mode != 0o666:
                os.fchmod(fd, mode)
            stream.write(data)
        os.rename(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(draft, dir_fd=folder)
        raise
