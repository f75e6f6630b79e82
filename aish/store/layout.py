"""The store on disk: an OCI image layout, written so that kill -9 at any moment leaves it valid.

models/
    oci-layout                  what the folder is
    index.json                  names -> manifests; the only file that changes
    blobs/sha256/HEX            manifests, configurations, weights: never changed, 0444
    links/HEX                   what a weight that shares its file with a stranger looked like (see `placing`)
    partial/                    downloads that can go on where they stopped
    tmp/                        work under way; what a killed process left goes when nobody else is at work
    index.lock  use.lock        flock: exclusive for a change of the index; shared while somebody adds or removes

A blob is complete and on the disk before the index names it; the index is replaced by rename.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import tempfile
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aish.errors import StorageError
from aish.store import manifest
from aish.store.manifest import Blob

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BLOB_MODE: Final = 0o444
_REF: Final = "org.opencontainers.image.ref.name"
_CREATED: Final = "org.opencontainers.image.created"
_SMALL_BYTES: Final = 4 << 20
"""Manifests and configurations are far below."""


class Entry(NamedTuple):
    manifest: Blob
    created: str


Index = dict[str, Entry]
"""`model:tag` -> manifest."""


class Layout:
    """One store. Methods raise StorageError where the disk does not let them."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.blobs = os.path.join(root, "blobs", "sha256")
        self.links = os.path.join(root, "links")
        self.tmp = os.path.join(root, "tmp")
        self.partial = os.path.join(root, "partial")

    def blob_path(self, digest: str) -> str:
        return os.path.join(self.blobs, digest)

    # --- the index ----------------------------------------------------------------------------------------------

    def index(self) -> Index:
        path = os.path.join(self.root, "index.json")
        try:
            with open(path, "rb") as stream:
                data = stream.read()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise storage_error(error, path) from error
        try:
            entries: list[dict[str, Any]] = json.loads(data)["manifests"]
            return {
                entry["annotations"][_REF]: Entry(Blob.from_descriptor(entry), entry["annotations"].get(_CREATED, ""))
                for entry in entries
            }
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StorageError(
                f"{path} is damaged: {error!r}", hint="move it away and pull again: blobs that are there are reused"
            ) from error

    @contextmanager
    def editing(self) -> Iterator[Index]:
        """The index, to be changed: written at the end of the block, unless it raises. One at a time."""
        with self._locked("index.lock", fcntl.LOCK_EX):
            index = self.index()
            before = dict(index)
            yield index
            if index != before:
                with storing(self.root):
                    self._replace(os.path.join(self.root, "index.json"), _index_bytes(index))

    @contextmanager
    def using(self) -> Iterator[None]:
        """While the block runs, nothing is swept away: neither work under way nor blobs that have no name yet.

        Who comes while nobody else is there removes what killed processes left.
        """
        self._make_folders()
        path = os.path.join(self.root, "use.lock")
        with storing(path):
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            with suppress(BlockingIOError):
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._clear_tmp()
            fcntl.flock(fd, fcntl.LOCK_SH)
            self._mark()
            yield
        finally:
            os.close(fd)

    def _make_folders(self) -> None:
        with storing(self.root):
            for folder in (self.blobs, self.links, self.tmp, self.partial):
                os.makedirs(folder, mode=0o755, exist_ok=True)

    def _mark(self) -> None:
        marker = os.path.join(self.root, "oci-layout")
        if not os.path.exists(marker):
            with storing(marker):
                self._replace(marker, b'{"imageLayoutVersion":"1.0.0"}')

    def _clear_tmp(self) -> None:
        for name in os.listdir(self.tmp):
            path = os.path.join(self.tmp, name)
            shutil.rmtree(path, ignore_errors=True)
            if os.path.lexists(path):
                unlink(path)

    # --- blobs --------------------------------------------------------------------------------------------------

    def read(self, blob: Blob) -> bytes:
        """A small blob, checked against its digest."""
        path = self.blob_path(blob.digest)
        try:
            with open(path, "rb") as stream:
                data = stream.read(_SMALL_BYTES)
        except OSError as error:
            raise storage_error(error, path) from error
        if Blob.of(data) != blob:
            raise StorageError(f"{path} is damaged", hint="`aish model rm` the model and pull it again")
        return data

    def add(self, data: bytes) -> Blob:
        """Keep a small blob."""
        blob = Blob.of(data)
        if not self.has(blob):
            with storing(self.root):
                self._replace(self.blob_path(blob.digest), data, BLOB_MODE)
        return blob

    def has(self, blob: Blob) -> bool:
        try:
            return os.stat(self.blob_path(blob.digest)).st_size == blob.size_bytes
        except OSError:
            return False

    def adopt(self, path: str, blob: Blob) -> None:
        """Move a finished file of `scratch` in as a blob: on the disk first, then visible."""
        target = self.blob_path(blob.digest)
        with storing(target):
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
            os.rename(path, target)
            sync_folder(self.blobs)

    def write_note(self, digest: str, data: bytes) -> None:
        with storing(self.links):
            self._replace(os.path.join(self.links, digest), data)

    def drop_note(self, digest: str) -> None:
        unlink(os.path.join(self.links, digest))

    def sweep(self) -> int:
        """Remove what no name leads to, unless somebody is just adding; how many bytes became free."""
        freed = 0
        try:
            with self._locked("use.lock", fcntl.LOCK_EX | fcntl.LOCK_NB), storing(self.root):
                kept = self._reachable()
                for name in os.listdir(self.blobs):
                    if name not in kept:
                        status = os.stat(self.blob_path(name))
                        os.unlink(self.blob_path(name))
                        freed += status.st_size if status.st_nlink == 1 else 0
                for name in os.listdir(self.links):
                    if name not in kept:
                        os.unlink(os.path.join(self.links, name))
                for name in os.listdir(self.partial):
                    path = os.path.join(self.partial, name)
                    freed += os.stat(path).st_size
                    os.unlink(path)
        except BlockingIOError:
            return 0  # the next one does it
        return freed

    def _reachable(self) -> set[str]:
        kept: set[str] = set()
        for entry in self.index().values():
            kept.add(entry.manifest.digest)
            kept.update(blob.digest for blob in manifest.blobs_of(self.read(entry.manifest)))
        return kept

    # --- work under way -----------------------------------------------------------------------------------------

    @contextmanager
    def scratch(self) -> Iterator[str]:
        """A folder of one's own on the same file system, within `using`."""
        with storing(self.tmp):
            folder = tempfile.mkdtemp(dir=self.tmp)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def alone(self, key: str, when_waiting: Callable[[], None]) -> Iterator[None]:
        """Only one process at a time is in the block for `key` (a word without '/'), within `using`."""
        path = os.path.join(self.tmp, f"{key}.lock")
        with storing(path):
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                when_waiting()
                fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    @contextmanager
    def _locked(self, name: str, mode: int) -> Iterator[None]:
        """Hold the lock. Raises BlockingIOError for LOCK_NB where it is taken."""
        path = os.path.join(self.root, name)
        with storing(path):
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(fd, mode)
            yield
        finally:
            os.close(fd)

    def _replace(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Write a small file so that it is there whole or not at all, even after a loss of power."""
        fd, temporary = tempfile.mkstemp(dir=self.tmp)
        try:
            with open(fd, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fchmod(stream.fileno(), mode)
                os.fsync(stream.fileno())
                os.rename(temporary, path)
        except BaseException:
            unlink(temporary)
            raise
        sync_folder(os.path.dirname(path))


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _index_bytes(index: Index) -> bytes:
    entries = [
        entry.manifest.descriptor(manifest.MANIFEST, **{_REF: reference, _CREATED: entry.created})
        | {"artifactType": manifest.ARTIFACT}
        for reference, entry in sorted(index.items())
    ]
    document = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries}
    return json.dumps(document, indent=1).encode()


def unlink(path: str) -> None:
    """Remove it, if it is there and lets itself be removed."""
    try:
        os.unlink(path)
    except OSError:
        pass


def sync_folder(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def storing(path: str) -> Iterator[None]:
    """OSErrors of the block as StorageError about `path`; a taken lock (BlockingIOError) passes through."""
    try:
        yield
    except BlockingIOError:
        raise
    except OSError as error:
        raise storage_error(error, path) from error


def storage_error(error: OSError, path: str) -> StorageError:
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            hint = "the disk is full: free some space (`aish model rm`), or set XDG_DATA_HOME to a larger disk"
        case errno.EROFS:
            hint = "the file system is read-only: set XDG_DATA_HOME to one that is not"
        case errno.EACCES | errno.EPERM:
            hint = "check who owns the folder of the store"
        case _:
            hint = "check the disk; `aish model show NAME` tells what a model needs"
    return StorageError(f"model store: {error.filename or path}: {error.strerror or error}", hint=hint)
