"""A regular file that is read at given places: never mapped, so that truncation is an error and not a SIGBUS."""

from __future__ import annotations

import errno
import os
import stat

from aish.tensor.errors import DataError, NotFoundError, StorageError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ByteFile"]


class ByteFile:
    """An open file and its size when it was opened."""

    __slots__ = ("fd", "path", "size")

    def __init__(self, path: str) -> None:
        """Raises NotFoundError, StorageError (not permitted) or UsageError (not a regular file)."""
        self.path = path
        try:
            # Without O_NONBLOCK opening a FIFO would wait for its writer.
            self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                raise NotFoundError(f"{path}: no such file") from error
            raise StorageError(f"{path}: cannot be opened: {error.strerror}") from error
        except ValueError as error:
            raise UsageError(f"{path!r}: not the name of a file: {error}") from error
        status = os.fstat(self.fd)
        if not stat.S_ISREG(status.st_mode):
            self.close()
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
            raise UsageError(f"{path}: is {kind}", hint="name a file of tensors, or - for the tensor edge")
        self.size = status.st_size

    def read(self, offset: int, count: int, field: str) -> bytes:
        """Exactly `count` bytes from `offset`. Raises DataError naming `field` if the file ends before."""
        data = bytearray(count)
        self.read_into(memoryview(data), offset, field)
        return bytes(data)

    def read_into(self, target: memoryview, offset: int, field: str) -> None:
        """Fill `target` from `offset`. Raises DataError naming `field` if the file ends before."""
        while target:
            try:
                got = os.preadv(self.fd, [target], offset)
            except OSError as error:
                raise StorageError(f"{self.path}: cannot be read: {error.strerror}") from error
            if not got:
                raise DataError(f"the file ends at {offset}, {len(target)} bytes early", file=self.path, field=field)
            target = target[got:]
            offset += got

    def blocks(self, offset: int, count: int, unit_bytes: int, block_bytes: int, field: str) -> Iterator[memoryview]:
        """`count` bytes from `offset` in blocks of whole units; each is valid until the next."""
        room = memoryview(bytearray(min(count, max(unit_bytes, block_bytes - block_bytes % unit_bytes))))
        while count:
            block = room[: min(count, len(room))]
            self.read_into(block, offset, field)
            yield block
            offset += len(block)
            count -= len(block)

    def close(self) -> None:
        """Close it. May be called again."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)
