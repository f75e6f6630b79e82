"""Files that appear whole or not at all: written beside their name, renamed when complete."""

from __future__ import annotations

import json
import os
import shutil
import stat
import tempfile
from typing import TYPE_CHECKING

from aish.tensor.errors import DataError, StorageError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import BinaryIO, Self

__all__ = ["AtomicFile", "MatrixFile"]


class AtomicFile:
    """A new file under a temporary name in the same folder: `commit` gives it its name, an error takes it away."""

    def __init__(self, path: str) -> None:
        """Raises StorageError where it cannot be made, UsageError where `path` is no regular file."""
        self.path = path
        folder, name = os.path.split(path)
        self._folder = folder or "."
        self._temporary = os.path.join(self._folder, f".{name}.{os.getpid()}.part")
        try:
            if os.path.exists(path) and not stat.S_ISREG(os.stat(path).st_mode):
                raise UsageError(f"{path}: is not a regular file")
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            self.file: BinaryIO = os.fdopen(os.open(self._temporary, flags, 0o666), "wb")
        except OSError as error:
            raise StorageError(f"{path}: cannot be written: {error.strerror}") from error
        self._open = True

    def commit(self) -> None:
        """Make it durable and give it its name. Raises StorageError."""
        try:
            self.file.flush()
            os.fsync(self.file.fileno())
            self.file.close()
            os.replace(self._temporary, self.path)
            self._open = False
            folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise StorageError(f"{self.path}: cannot be written: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open:
            self._open = False
            try:
                self.file.close()
            except OSError:
                pass  # the same full disk that brought us here; the file goes anyway
            os.unlink(self._temporary)


class MatrixFile:
    """Rows of float32, written one by one, that become one matrix: .safetensors with labels, or .npy without.

    Both formats say the number of rows at the start, so the rows wait in an unnamed file of the same folder.
    """

    def __init__(self, path: str) -> None:
        """Raises UsageError for another suffix, StorageError where nothing can be written there."""
        if not path.endswith((".safetensors", ".npy")):
            raise UsageError(f"{path}: expected a name that ends in .safetensors or .npy")
        self._target = AtomicFile(path)
        try:
            self._rows = tempfile.TemporaryFile(dir=os.path.dirname(path) or ".")  # noqa: SIM115
        except OSError as error:
            self._target.__exit__(None, None, None)
            raise StorageError(f"{path}: cannot be written: {error.strerror}") from error
        self._labels: list[str] = []
        self._width: int | None = None

    def add(self, label: str, row: bytes) -> None:
        """One row of little-endian float32. Raises StorageError, DataError for another length than the first."""
        self._width = self._width or len(row)
        if len(row) != self._width:
            raise DataError(
                f"{len(row) // 4} numbers, expected {self._width // 4}", file=self._target.path, field=label
            )
        self._labels.append(label)
        try:
            self._rows.write(row)
        except OSError as error:
            raise StorageError(f"{self._target.path}: cannot be written: {error.strerror}") from error

    def commit(self, metadata: Mapping[str, str]) -> None:
        """Write the file; `metadata` goes into a .safetensors. Raises StorageError."""
        shape = (len(self._labels), (self._width or 0) // 4)
        try:
            if self._target.path.endswith(".npy"):
                self._target.file.write(_npy_header(shape))
            else:
                labels = json.dumps(self._labels, ensure_ascii=False)
                self._target.file.write(_safetensors_header(shape, {**metadata, "labels": labels}))
            self._rows.seek(0)
            shutil.copyfileobj(self._rows, self._target.file, 1 << 20)
        except OSError as error:
            raise StorageError(f"{self._target.path}: cannot be written: {error.strerror}") from error
        self._target.commit()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._rows.close()
        except OSError:
            pass  # what was still to be flushed is not wanted any more
        self._target.__exit__(kind, error, trace)


def _safetensors_header(shape: tuple[int, int], metadata: Mapping[str, str]) -> bytes:
    """The length and the JSON, padded with spaces so that the elements are aligned to 8 bytes."""
    described = {
        "__metadata__": dict(metadata),
        "embeddings": {"dtype": "F32", "shape": list(shape), "data_offsets": [0, shape[0] * shape[1] * 4]},
    }
    text = json.dumps(described, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _npy_header(shape: tuple[int, int]) -> bytes:
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text
