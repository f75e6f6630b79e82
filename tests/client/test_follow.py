"""Logs: read to the last byte, woken without polling, from any line backwards."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from aish.client import follow

if TYPE_CHECKING:
    from pathlib import Path


def offset_of_last(tmp_path: Path, content: bytes, count: int) -> bytes:
    (tmp_path / "log").write_bytes(content)
    fd = os.open(tmp_path / "log", os.O_RDONLY)
    try:
        return content[follow.last_lines(fd, count) :]
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    ("content", "count", "shown"),
    [
        (b"a\nb\nc\n", 2, b"b\nc\n"),
        (b"a\nb\nc", 2, b"b\nc"),
        (b"a\nb\nc\n", 0, b""),
        (b"a\nb\nc\n", 9, b"a\nb\nc\n"),
        (b"", 3, b""),
        (b"\n\n\n", 2, b"\n\n"),
        (b"x" * 200_000 + b"\nlast\n", 1, b"last\n"),
        (b"first\n" + b"y" * 200_000, 1, b"y" * 200_000),
    ],
)
def test_last_lines(tmp_path: Path, content: bytes, count: int, shown: bytes) -> None:
    assert offset_of_last(tmp_path, content, count) == shown


def test_growth_wakes_the_reader(tmp_path: Path) -> None:
    writer = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    reader = os.open(tmp_path / "log", os.O_RDONLY)
    tail = follow.Tail(reader)
    with follow.Growth() as growth:
        assert growth.watch(reader)
        assert tail.read() == b""
        thread = threading.Thread(target=os.write, args=(writer, b"hello"))
        thread.start()
        follow.wait(growth, [], timeout_ms=10_000)
        assert tail.read() == b"hello"
        thread.join()
    os.close(writer)
    os.close(reader)


def test_what_grew_before_the_wait_is_not_missed(tmp_path: Path) -> None:
    writer = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    reader = os.open(tmp_path / "log", os.O_RDONLY)
    with follow.Growth() as growth:
        growth.watch(reader)
        growth.clear()
        os.write(writer, b"early")
        other, end = os.pipe()
        assert follow.wait(growth, [other], timeout_ms=10_000) == []  # at once: the growth is pending
        os.close(other)
        os.close(end)
    os.close(writer)
    os.close(reader)


def test_who_reads_our_output_leaves_while_nothing_comes() -> None:
    """`aish events -f | head -1` stayed until the next event."""
    source, silent = os.pipe()
    reader, writer = os.pipe()
    assert not follow.reader_left(writer)
    thread = threading.Timer(0.05, os.close, [reader])
    thread.start()
    assert not follow.answered(source, writer)
    assert follow.reader_left(writer)
    os.write(silent, b"x")
    thread.join()
    for fd in (source, silent, writer):
        os.close(fd)


def test_an_answer_comes_while_the_reader_is_there(tmp_path: Path) -> None:
    source, writer = os.pipe()
    os.write(writer, b"x")
    with open(tmp_path / "file", "w") as out:  # a file has no reader who could leave
        assert follow.answered(source, out.fileno())
    os.close(source)
    os.close(writer)
