"""NumPy's .npz: a zip of .npy files, read one block at a time, stored or deflated, with zip's own check sums.

Bombs: the zip's directory is bounded before it is read, no more of a member is unpacked than its .npy header asks
for, and a member whose directory promises another size than its header is refused before it is unpacked.
"""

from __future__ import annotations

import io
import zipfile
import zlib

from aish.tensor.bytefile import ByteFile
from aish.tensor.entry import Entry
from aish.tensor.errors import DataError
from aish.tensor.npy_file import read_npy_header

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import IO

__all__ = ["MAGICS", "NpzFile"]

MAGICS = (b"PK\x03\x04", b"PK\x05\x06")
_DIRECTORY_BYTES_LIMIT = 16 << 20
_TAIL_BYTES = 22 + 65535 + 20  # the end record, its longest comment, zip64's locator
# What zipfile and zlib raise for damaged archives, by experiment (tests/tensor/test_files.py fuzzes it).
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
    IndexError,
    KeyError,
    OSError,
)


class NpzFile:
    """An open archive whose directory and whose members' headers were checked."""

    format = "npz"

    def __init__(self, file: ByteFile) -> None:
        """Takes over `file`. Raises DataError."""
        self._file = file
        self.path = file.path
        self.metadata: dict[str, str] = {}
        self._members: dict[str, zipfile.ZipInfo] = {}
        _check_directory(file)
        try:
            self._archive = zipfile.ZipFile(io.FileIO(file.fd, closefd=False))
            members = self._archive.infolist()
        except _DAMAGE as error:
            raise DataError(f"not a zip archive: {error}", file=file.path, field="directory") from error
        if any(member.filename.endswith("data.pkl") for member in members):
            raise DataError(
                "a PyTorch checkpoint, which is not read yet",
                file=file.path,
                hint="convert it with safetensors.torch.save_file",
            )
        self.entries = tuple(self._entry(member) for member in members if member.filename.endswith(".npy"))
        if members and not self.entries:
            raise DataError("a zip archive with no .npy in it", file=file.path, field="directory")

    def blocks(self, entry: Entry, unit_bytes: int, block_bytes: int) -> Iterator[memoryview]:
        """See TensorFile."""
        member = self._members[entry.key]
        with self._open(member) as stream:
            read_npy_header(_exactly(stream, self.path, entry.key), entry.key, self.path)
            size = max(unit_bytes, block_bytes - block_bytes % unit_bytes)
            left = entry.nbytes
            while left:
                block = _read(stream, min(size, left), self.path, entry.key)
                yield memoryview(block)
                left -= len(block)
            if _read(stream, 1, self.path, entry.key, short=True):  # its end also checks the sum
                raise DataError("goes on after its last element", file=self.path, field=entry.key)

    def close(self) -> None:
        """See TensorFile."""
        self._archive.close()
        self._file.close()

    def _entry(self, member: zipfile.ZipInfo) -> Entry:
        key = member.filename[: -len(".npy")]
        if key in self._members:
            raise DataError("is there twice", file=self.path, field=member.filename)
        self._members[key] = member
        with self._open(member) as stream:
            count = 0
            exactly = _exactly(stream, self.path, key)

            def read(size: int) -> bytes:
                nonlocal count
                count += size
                return exactly(size)

            entry = read_npy_header(read, key, f"{self.path}::{key}")
        if count + entry.nbytes != member.file_size:
            raise DataError(
                f"{member.file_size - count} bytes, expected {entry.nbytes} for {entry.shape} of {entry.dtype_name}",
                file=self.path,
                field=key,
            )
        return entry

    def _open(self, member: zipfile.ZipInfo) -> IO[bytes]:
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise DataError(
                f"compressed by method {member.compress_type}, expected stored or deflated",
                file=self.path,
                field=member.filename,
            )
        try:
            return self._archive.open(member)
        except _DAMAGE as error:
            raise DataError(f"cannot be opened: {error}", file=self.path, field=member.filename) from error


def _exactly(stream: IO[bytes], path: str, key: str) -> Callable[[int], bytes]:
    return lambda count: _read(stream, count, path, key)


def _read(stream: IO[bytes], count: int, path: str, key: str, *, short: bool = False) -> bytes:
    try:
        parts = []
        left = count
        while left:
            part = stream.read(left)
            if not part:
                break
            parts.append(part)
            left -= len(part)
    except _DAMAGE as error:
        raise DataError(f"is damaged: {error}", file=path, field=key) from error
    if left and not short:
        raise DataError(f"ends {left} bytes early", file=path, field=key)
    return b"".join(parts)


def _check_directory(file: ByteFile) -> None:
    """Refuse a directory that is too large to be read into memory: zipfile itself has no bound."""
    start = max(0, file.size - _TAIL_BYTES)
    tail = file.read(start, file.size - start, "directory")
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or at + 22 > len(tail):
        raise DataError("the end of the zip archive is missing", file=file.path, field="directory")
    size = int.from_bytes(tail[at + 12 : at + 16], "little")
    locator = tail[max(0, at - 20) : at]
    if locator[:4] == b"PK\x06\x07":
        place = int.from_bytes(locator[8:16], "little")
        if place + 56 > file.size:
            raise DataError(f"zip64 record at {place} lies outside the file", file=file.path, field="directory")
        size = int.from_bytes(file.read(place, 56, "directory")[40:48], "little")
    if size > min(_DIRECTORY_BYTES_LIMIT, file.size):
        raise DataError(
            f"{size} bytes, at most {min(_DIRECTORY_BYTES_LIMIT, file.size)} are read",
            file=file.path,
            field="directory",
        )
