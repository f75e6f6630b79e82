"""The companion's end: one question after the other, each answered by a function, until the shell is gone."""

from __future__ import annotations

import json
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Answer = Callable[..., object]


def serve(fd: int, answers: Mapping[str, Answer]) -> None:
    """Answer until the end. A function that fails has no answer: None."""
    rest = b""
    while chunk := _read(fd):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            number, what, fields = json.loads(line)
            _write(fd, json.dumps([number, _answer(answers, what, fields)]).encode() + b"\n")


def _answer(answers: Mapping[str, Answer], what: str, fields: dict[str, object]) -> object:
    try:
        return answers[what](**fields)
    except Exception:  # noqa: BLE001 -- the edge of a process without a terminal: no answer is the answer
        return None


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 1 << 16)
    except OSError:
        return b""


def _write(fd: int, data: bytes) -> None:
    """The shell may be gone: what it told is still done."""
    try:
        while data:
            data = data[os.write(fd, data) :]
    except OSError:
        pass
