"""Getting a stranger's file into the store without a second copy, where the file system allows it.

In this order: a clone (FICLONE: shares the blocks, a file of our own), a hard link (shares the file), a copy. The
stranger's file is never written to, not even its mode. A hard link can be changed under us by whoever has the other
name, so what it looked like is kept in links/ and compared at each use.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
from typing import TYPE_CHECKING, Final, Literal

from aish.errors import StorageError
from aish.store.layout import BLOB_MODE, storage_error, storing
from aish.store.manifest import Blob

if TYPE_CHECKING:
    from typing import IO

    from aish.store.layout import Layout
    from aish.store.progress import Progress

    Way = Literal["clone", "link", "copy", "there"]

_FICLONE: Final = 0x40049409
_CHUNK_BYTES: Final = 1 << 20
_RESERVE_BYTES: Final = 64 << 20
"""What is left free for everyone else."""


def place(layout: Layout, source: str, progress: Progress, expected: str | None = None) -> tuple[Blob, Way]:
    """Bring the file `source` in as a blob; its digest, and how it was done.

    With `expected` (a hexadecimal sha256) a file with another digest is refused: StorageError, nothing kept.
    """
    source = os.path.realpath(source)
    with layout.scratch() as folder:
        target = os.path.join(folder, "weights")
        way: Way = "clone" if _clone(source, target) else "link" if _link(source, target) else "copy"
        blob = _copy(source, target, progress) if way == "copy" else digest_of(target, progress)
        _check_digest(source, blob, expected)
        if is_intact(layout, blob):
            return blob, "there"
        if way == "link":
            _note_link(layout, blob, target)
            layout.adopt(target, blob)
        else:
            os.chmod(target, BLOB_MODE)
            layout.adopt(target, blob)
            layout.drop_note(blob.digest)  # of a share that was there before
        return blob, way


def take_own(layout: Layout, path: str, progress: Progress, expected: str | None = None) -> Blob:
    """Bring in a file that is the store's own already: a download below its folder. It is moved."""
    blob = digest_of(path, progress)
    _check_digest(path, blob, expected)
    os.chmod(path, BLOB_MODE)
    layout.adopt(path, blob)
    layout.drop_note(blob.digest)
    return blob


def take(layout: Layout, stream: IO[bytes], size_bytes: int, step: str, progress: Progress) -> Blob:
    """Bring in what a stream yields (a member of an archive)."""
    with layout.scratch() as folder:
        target = os.path.join(folder, "weights")
        ensure_room(folder, size_bytes)
        with storing(target):
            blob = _pour(stream, target, size_bytes, step, progress)
            os.chmod(target, BLOB_MODE)
        layout.adopt(target, blob)
        layout.drop_note(blob.digest)
        return blob


def is_intact(layout: Layout, blob: Blob) -> bool:
    """Whether the blob is there and, where it is shared, unchanged since."""
    if not layout.has(blob):
        return False
    try:
        check_link(layout, blob)
    except StorageError:
        return False
    return True


def check_link(layout: Layout, blob: Blob) -> None:
    """Raises StorageError where a linked weight was changed under its other name."""
    note = os.path.join(layout.links, blob.digest)
    try:
        with open(note, "rb") as stream:
            known = json.load(stream)
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise StorageError(f"{note} cannot be read: {error}") from error
    status = os.stat(layout.blob_path(blob.digest))
    if known != [status.st_size, status.st_mtime_ns]:
        raise StorageError(
            f"the file that the model shares its weights with was changed: {known} -> "
            f"{[status.st_size, status.st_mtime_ns]}",
            hint="`aish model rm` it and pull it again; to be safe from this, copy the file instead of sharing it",
        )


def digest_of(path: str, progress: Progress) -> Blob:
    """The sha256 of a file, whatever its size."""
    total = os.stat(path).st_size
    digest = hashlib.sha256()
    done = 0
    with open(path, "rb", buffering=0) as stream:
        while data := stream.read(_CHUNK_BYTES):
            digest.update(data)
            done += len(data)
            progress("checking", done, total)
    return Blob(digest.hexdigest(), done)


def ensure_room(folder: str, size_bytes: int) -> None:
    """Raises StorageError where the disk has no room for so much: at once, not at the end of a long download."""
    status = os.statvfs(folder)
    free = status.f_bavail * status.f_frsize
    if free < size_bytes + _RESERVE_BYTES:
        raise storage_error(
            OSError(errno.ENOSPC, f"{size_bytes + _RESERVE_BYTES:,} bytes are needed, {free:,} are free"), folder
        )


def _check_digest(path: str, blob: Blob, expected: str | None) -> None:
    if expected is not None and blob.digest != expected:
        raise StorageError(
            f"{path} has the sha256 {blob.digest[:12]}…, not {expected[:12]}… as it should",
            hint="it was changed or damaged on its way: try again",
        )


def _clone(source: str, target: str) -> bool:
    try:
        with open(source, "rb") as origin, open(target, "xb") as copy:
            fcntl.ioctl(copy.fileno(), _FICLONE, origin.fileno())
    except OSError as error:
        if not os.path.exists(source) or error.errno in (errno.EACCES, errno.EISDIR):
            raise storage_error(error, source) from error
        try:
            os.unlink(target)
        except FileNotFoundError:
            pass
        return False
    return True


def _link(source: str, target: str) -> bool:
    try:
        if os.stat(source).st_uid != os.getuid():
            return False  # it is another's to change, and the kernel may forbid it (protected_hardlinks)
        os.link(source, target, follow_symlinks=False)
    except OSError:
        return False
    return True


def _copy(source: str, target: str, progress: Progress) -> Blob:
    size_bytes = os.stat(source).st_size
    ensure_room(os.path.dirname(target), size_bytes)
    with storing(target), open(source, "rb", buffering=0) as stream:
        return _pour(stream, target, size_bytes, "copying", progress)


def _pour(stream: IO[bytes], target: str, size_bytes: int, step: str, progress: Progress) -> Blob:
    digest = hashlib.sha256()
    done = 0
    with open(target, "xb") as out:
        while data := stream.read(_CHUNK_BYTES):
            out.write(data)
            digest.update(data)
            done += len(data)
            progress(step, done, size_bytes)
    return Blob(digest.hexdigest(), done)


def _note_link(layout: Layout, blob: Blob, path: str) -> None:
    status = os.stat(path)
    layout.write_note(blob.digest, json.dumps([status.st_size, status.st_mtime_ns]).encode())
