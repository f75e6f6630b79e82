"""The companion's end: one question after the other, each answered by a function, until the shell is gone."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import json
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Answer = Callable[..., object]


MOST_S = 60
"""So long may an answer take: who hangs longer has no shell any more that would replace it."""


def serve(fd: int, answers: Mapping[str, Answer]) -> None:
    """Answer until the end. A function that fails has no answer: None."""
    rest = b""
    while chunk := _read(fd):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            number, what, fields = json.loads(line)
            _write(fd, json.dumps([number, _answer(answers, what, fields)]).encode() + b"\n")


def _answer(answers: Mapping[str, Answer], what: str, fields: dict[str, object]) -> object:
    _signal.alarm(MOST_S)  # its default action is the end
    try:
        return answers[what](**fields)
    except Exception:  # noqa: BLE001 -- the edge of a process without a terminal: no answer is the answer
        return None
    finally:
        _signal.alarm(0)


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
