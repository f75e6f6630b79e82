"""Logs: read to the last byte, woken without polling, from any line backwards."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from aish.client import follow
from aish.supervisor.holder import kernel

if TYPE_CHECKING:
    from collections.abc import Iterator
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


# --- holes ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def punched(tmp_path: Path) -> Iterator[int]:
    """20,000 lines of ten bytes whose first eight blocks were given back."""
    (tmp_path / "log").write_bytes(b"".join(b"%09d\n" % number for number in range(20_000)))
    fd = os.open(tmp_path / "log", os.O_RDWR)
    if not kernel.punch(fd, 8 * 4096):
        pytest.skip("the file system of the temporary folder cannot punch holes")
    yield fd
    os.close(fd)


def everything(fd: int, offset: int = 0) -> bytes:
    tail, found = follow.Tail(fd, offset), b""
    while data := tail.read():
        found += data
    return found


@pytest.mark.parametrize("offset", [0, 100, 8 * 4096 - 1, 8 * 4096])
def test_a_hole_is_skipped_wherever_reading_begins(punched: int, offset: int) -> None:
    assert everything(punched, offset) == b"".join(b"%09d\n" % number for number in range(20_000))[8 * 4096 :]


def test_a_file_that_is_one_hole_has_nothing(punched: int) -> None:
    kernel.punch(punched, 200_000)
    assert everything(punched).strip(b"\0") == b""
    kernel.punch(punched, 1 << 20)
    assert everything(punched) == b""
    assert follow.last_lines(punched, 3) == 200_000


def test_nothing_is_sought_in_a_hole(punched: int) -> None:
    assert follow.last_lines(punched, 50_000) == 8 * 4096
    assert follow.line_start(punched, 8 * 4096 + 1, 1 << 20) == 8 * 4096
    assert follow.newlines(punched, 0, 200_000) == (200_000 - 8 * 4096 + 8) // 10


def test_zeros_that_were_written_are_shown(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"a\0b\n" + bytes(100_000) + b"c\n")
    fd = os.open(tmp_path / "log", os.O_RDONLY)
    assert everything(fd) == b"a\0b\n" + bytes(100_000) + b"c\n"
    os.close(fd)


def test_what_is_punched_while_it_is_read_is_not_shown(punched: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon punches between the kernel's copying of two pages."""
    real = os.pread

    def slow(fd: int, length: int, offset: int) -> bytes:
        data = real(fd, length, offset)
        kernel.punch(punched, 12 * 4096)
        return data[: 9 * 4096 - offset] + real(fd, length, offset)[9 * 4096 - offset :]

    tail = follow.Tail(punched, 8 * 4096)
    monkeypatch.setattr(os, "pread", slow)
    found = tail.read(16 * 4096)
    assert b"\0" not in found
    assert found == b"".join(b"%09d\n" % number for number in range(20_000))[12 * 4096 : 16 * 4096]


def test_the_beginning_of_a_line(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"one\ntwo" + b"x" * 200_000 + b"\nthree")
    fd = os.open(tmp_path / "log", os.O_RDONLY)
    assert follow.line_start(fd, 2, 1 << 20) == 0
    assert follow.line_start(fd, 4, 1 << 20) == 4
    assert follow.line_start(fd, 150_000, 1 << 20) == 4
    assert follow.line_start(fd, 150_000, 1000) == 149_000, "sought no further than allowed"
    os.close(fd)


def test_who_cannot_watch_looks_from_time_to_time(tmp_path: Path) -> None:
    with follow.Growth() as growth:
        assert not growth.watch(-1)
        assert growth.blind
        assert follow.wait(growth, []) == []
