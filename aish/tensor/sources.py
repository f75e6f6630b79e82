"""From the words of a command to tensors: FILE, FILE::KEY with * and ?, and - for the tensor edge."""

from __future__ import annotations

import os

from aish.tensor.bytefile import ByteFile
from aish.tensor.entry import Entry
from aish.tensor.errors import DataError, NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from numpy.typing import NDArray

    from aish.tensor.entry import TensorFile
    from aish.tensor.reader import Frame

    Blocks = Callable[[int, int], Iterator[memoryview]]

__all__ = ["STREAM", "Address", "Found", "frame_label", "frame_tensors", "open_file", "walk"]

STREAM = "-"
_FORMATS = ".safetensors, .npy and .npz"


class Address:
    """One operand: a file or the stream, and the pattern for its keys (None for all)."""

    __slots__ = ("key", "path", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        path, separator, key = text.rpartition("::")
        if not separator or os.path.exists(text):
            path, key = text, ""
        self.path = path
        self.key: str | None = key or None

    @property
    def stream(self) -> bool:
        """True for the tensor edge of this stage."""
        return self.path == STREAM


class Found:
    """A tensor that an address names.

    entry: what it is. meta: what is said of the whole file (its metadata) or of the value on the stream.
    blocks(unit_bytes, block_bytes): its elements' bytes, see TensorFile.
    """

    __slots__ = ("blocks", "entry", "meta", "path")

    def __init__(self, path: str, entry: Entry, meta: Mapping[str, object], blocks: Blocks) -> None:
        self.path = path
        self.entry = entry
        self.meta = meta
        self.blocks = blocks


def open_file(path: str) -> TensorFile:
    """The file, by what it begins with and not by its name.

    Raises NotFoundError, DataError, StorageError or UsageError.
    """
    file = ByteFile(path)
    try:
        return _recognise(file)
    except BaseException:
        file.close()
        raise


def _recognise(file: ByteFile) -> TensorFile:
    start = file.read(0, min(16, file.size), "magic")
    if start.startswith(b"\x93NUMPY"):
        from aish.tensor.npy_file import NpyFile

        return NpyFile(file)
    if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        from aish.tensor.npz_file import NpzFile

        return NpzFile(file)
    if start.startswith(b"GGUF"):
        raise DataError("GGUF, which is not read yet", file=file.path, hint=f"read are {_FORMATS}")
    if start[8:9] == b"{" or file.path.endswith(".safetensors"):
        from aish.tensor.safetensors_file import SafetensorsFile

        return SafetensorsFile(file)
    shown = repr(start[:8]) if start else "nothing: the file is empty"
    raise DataError(
        f"begins with {shown}, which is no format that is read", file=file.path, hint=f"read are {_FORMATS}"
    )


def walk(address: Address) -> Iterator[Found]:
    """The tensors that the address names, in the order of the file or stream.

    Raises NotFoundError where there are none, and what opening and reading raise.
    """
    found = 0
    source = _walk_stream() if address.stream else _walk_file(address)
    for item in source:
        if address.key is None or _matches(address.key, item.entry.key):
            found += 1
            yield item
    if not found and address.stream:
        raise NotFoundError("the stream has no such tensor" if address.key else "the stream has no tensors")


def _walk_file(address: Address) -> Iterator[Found]:
    file = open_file(address.path)
    try:
        _check_key(address, file)
        for entry in file.entries:
            yield Found(file.path, entry, file.metadata, _blocks_of(file, entry))
    finally:
        file.close()


def _blocks_of(file: TensorFile, entry: Entry) -> Blocks:
    return lambda unit_bytes, block_bytes: file.blocks(entry, unit_bytes, block_bytes)


def _walk_stream() -> Iterator[Found]:
    from aish.tensor.reader import Reader

    with Reader.from_env() as reader:
        for frame in reader.frames():
            yield from frame_tensors(frame)


def frame_label(frame: Frame) -> str:
    """How a value of a stream is called: the label in its meta, else its number."""
    label = frame.meta.get("label")
    return label if isinstance(label, str) and label else str(frame.seq)


def frame_tensors(frame: Frame) -> Iterator[Found]:
    """The tensors of one value of a stream."""
    from aish.tensor.dtypes import as_storage, lookup

    label = frame_label(frame)
    for key, array in frame.arrays():
        name = frame.dtypes[key]
        dtype = lookup(name)
        entry = Entry(f"{label}.{key}" if key else label, dtype, name, array.shape, array.nbytes, None)
        stored = array if dtype is None else as_storage(array, dtype)
        yield Found(STREAM, entry, frame.meta, _blocks_of_array(stored))


def _blocks_of_array(array: NDArray[Any]) -> Blocks:
    flat = array.reshape(-1)

    def blocks(unit_bytes: int, block_bytes: int) -> Iterator[memoryview]:
        size = max(unit_bytes, block_bytes - block_bytes % unit_bytes) // flat.itemsize
        for at in range(0, flat.size, size):
            yield flat[at : at + size].data.cast("B")

    return blocks


def _matches(pattern: str, key: str) -> bool:
    from fnmatch import fnmatchcase

    return key == pattern or fnmatchcase(key, pattern)


def _check_key(address: Address, file: TensorFile) -> None:
    if not file.entries:
        raise NotFoundError(f"{file.path}: holds no tensors")
    if address.key is None or any(_matches(address.key, entry.key) for entry in file.entries):
        return
    from difflib import get_close_matches

    near = get_close_matches(address.key, [entry.key for entry in file.entries[:10_000]], n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"`tensor ls {file.path}` lists its keys"
    raise NotFoundError(f"{file.path}: no key matches {address.key!r}", hint=hint)
