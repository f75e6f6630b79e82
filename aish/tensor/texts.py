"""The texts that `embed` turns into vectors: whole files, or lines as they come."""

from __future__ import annotations

import os
import select
import stat

from aish.tensor.errors import DataError, NotFoundError, StorageError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Text", "read_texts"]

_TEXT_BYTES_LIMIT = 16 << 20
_STDIN = "-"


class Text:
    """One text. `label`: what it is called; `place`: {"file": .., "line": ..} where that is known, for programs."""

    __slots__ = ("content", "label", "place")

    def __init__(self, content: str, label: str, place: dict[str, object]) -> None:
        self.content = content
        self.label = label
        self.place = place


def read_texts(paths: list[str], *, lines: bool) -> Iterator[Text | None]:
    """Each file as one text, or each line that is not blank; standard input where there is no path, or for "-".

    None: nothing more is there at this moment. Raises NotFoundError, StorageError, UsageError for a folder, DataError
    for text that is not UTF-8, too long, or empty (a whole file).
    """
    for path in paths or [_STDIN]:
        if lines:
            yield from _lines(path)
        else:
            yield _whole(path)


def _whole(path: str) -> Text:
    fd = _open(path)
    try:
        data = bytearray()
        while len(data) <= _TEXT_BYTES_LIMIT and (more := _read(fd, path)):
            data += more
    finally:
        _close(fd)
    if len(data) > _TEXT_BYTES_LIMIT:
        raise DataError(f"more than {_TEXT_BYTES_LIMIT} bytes", file=path, hint="embed it in parts, or with --lines")
    content = _decode(bytes(data), path)
    if not content.strip():
        raise DataError("is empty: there is nothing to embed", file=path)
    return Text(content, path if path != _STDIN else "standard input", {})


def _lines(path: str) -> Iterator[Text | None]:
    fd = _open(path)
    held = b""
    number = 0
    try:
        while True:
            *whole, held = held.split(b"\n")
            for line in whole:
                number += 1
                yield from _line(line, path, number)
            if len(held) > _TEXT_BYTES_LIMIT:
                raise DataError(f"more than {_TEXT_BYTES_LIMIT} bytes", file=f"{path}:{number + 1}")
            if not select.select([fd], [], [], 0)[0]:
                yield None
            more = _read(fd, path)
            if not more:
                yield from _line(held, path, number + 1)
                return
            held += more
    finally:
        _close(fd)


def _line(line: bytes, path: str, number: int) -> Iterator[Text]:
    content = _decode(line, f"{path}:{number}").strip()
    if content:
        place: dict[str, object] = {"line": number}
        if path != _STDIN:
            place["file"] = os.fsencode(path)[-200:].decode("utf-8", "replace")
        yield Text(content, content, place)


def _decode(data: bytes, place: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"not UTF-8 at byte {error.start}: {data[error.start : error.start + 4]!r}",
            file=place,
            hint="convert it with iconv -t UTF-8",
        ) from error


def _open(path: str) -> int:
    if path == _STDIN:
        return 0
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NotFoundError(f"{path}: no such file") from error
    except OSError as error:
        raise StorageError(f"{path}: cannot be opened: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{path!r}: not the name of a file: {error}") from error
    if stat.S_ISDIR(os.fstat(fd).st_mode):
        os.close(fd)
        raise UsageError(f"{path}: is a folder", hint=f"name the files in it: {path.rstrip('/')}/*")
    return fd


def _read(fd: int, path: str) -> bytes:
    try:
        return os.read(fd, 1 << 16)
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror}") from error


def _close(fd: int) -> None:
    if fd != 0:
        os.close(fd)
