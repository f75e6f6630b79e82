"""The redo log by itself: what a crash or a power cut leaves of it, and that nothing is read but what was written."""

from __future__ import annotations

import os
import resource
import signal
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from aish.errors import StorageError
from aish.supervisor.gateway import redo
from aish.supervisor.gateway.redo import Begun, Dropped, Ended, Left, Placed, Position, RedoLog, encoded
from aish.supervisor.gateway.row import Row

START = Position(1, 0)


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / "gateway.db")
    redo.create(path)
    return path


def row(number: int, **more: object) -> Row:
    made = Row(number, 1.5, 1, "p1", None, None, ("p1", "p0"), "small", "openai", "/x", cost_usd=0.25, day=7)
    for name, value in more.items():
        setattr(made, name, value)
    return made


def begun(*numbers: int) -> list[bytes]:
    return [encoded(Begun(row(number))) for number in numbers]


def ended(*numbers: int) -> list[bytes]:
    return [encoded(Ended(row(number, status=200))) for number in numbers]


@contextmanager
def log(path: str, position: Position = START) -> Iterator[RedoLog]:
    made = RedoLog(path, position)
    try:
        yield made
    finally:
        made.close()


def seen(left: Left) -> tuple[list[int], list[int]]:
    return [*left.under_way], [row.number for row, _ in left.ended]


def test_what_was_written_is_read_as_it_was(path: str) -> None:
    with log(path) as writer:
        writer.append(begun(1, 2, 3))
        writer.append([*ended(1), encoded(Dropped(2)), encoded(Placed("p1", b"/l\xff", 2.5, b"place")), *ended(9)])
    left = redo.look(path, Position(1, 0))
    assert left.under_way == {3: row(3)}
    assert left.ended == [(row(1, status=200), row(1)), (row(9, status=200), None)]
    assert left.places == [Placed("p1", b"/l\xff", 2.5, b"place")]
    assert left.last_number == 9


def test_the_file_is_private(path: str) -> None:
    assert os.stat(f"{path}-redo-1").st_mode & 0o777 == 0o600


def test_what_the_database_has_is_told_no_more_but_for_what_is_still_under_way(path: str) -> None:
    with log(path) as writer:
        writer.append([*begun(1, 2), *ended(1)])
        known = writer.position
        writer.append([*begun(3), *ended(3)])
    left = redo.look(path, known)
    assert seen(left) == ([2], [3])
    assert left.ended[0][1] == row(3)


def test_cut_at_any_byte_it_ends_with_the_last_frame_that_is_whole(path: str) -> None:
    """All entries of a frame are there, or none: what a session's log told goes with the place in it."""
    with log(path) as writer:
        writer.append(begun(1))
        first = writer.position.offset
        writer.append([*ended(1), encoded(Placed("p1", b"/l", 2.5, b"place"))])
        second = writer.position.offset
    whole = Path(f"{path}-redo-1").read_bytes()
    for end in range(len(whole) + 1):
        Path(f"{path}-redo-1").write_bytes(whole[:end])
        left = redo.look(path, Position(1, 0))
        expected = ([], []) if end < first else ([1], []) if end < second else ([], [1])
        assert seen(left) == expected, end
        assert len(left.places) == (end == second), end


@pytest.mark.parametrize("tail", [b"\0" * 4096, b"\xff" * 4096, os.urandom(300)], ids=["zeros", "ones", "random"])
def test_what_a_power_cut_leaves_behind_the_end_is_no_frame_and_is_written_over(path: str, tail: bytes) -> None:
    with log(path) as writer:
        writer.append(begun(1))
    with open(f"{path}-redo-1", "ab") as file:
        file.write(tail)
    with log(path) as writer:
        assert seen(writer.left) == ([1], [])
        writer.append(ended(1))
    assert seen(redo.look(path, Position(1, 0))) == ([], [1])


@pytest.mark.parametrize(
    "body", [b"", b"\xdd\xff\xff\xff\xff", b"\xc1", b"\x91\x92\x07\x01", b"\x91" * 5000], ids=repr
)
def test_a_whole_frame_that_is_none_of_ours_ends_the_reading(path: str, body: bytes) -> None:
    Path(f"{path}-redo-1").write_bytes(struct.pack("<II", len(body), zlib.crc32(body)) + body)
    assert seen(redo.look(path, Position(1, 0))) == ([], [])


def test_rows_of_a_version_with_fewer_fields_are_read(path: str) -> None:
    with log(path) as writer:
        kind, values = msgspec.msgpack.decode(encoded(Begun(row(1))))
        writer.append([msgspec.msgpack.encode([kind, values[:-1]])])
    assert seen(redo.look(path, Position(1, 0))) == ([1], [])


def test_a_file_is_replaced_at_the_moment_in_which_the_database_knows_it(path: str) -> None:
    """A crash before that leaves the one before; after it the one before is not read again."""
    with log(path) as writer:
        writer.append([*begun(1, 2), *ended(1)])
        before, after = writer.position, writer.renew(begun(2))
        assert seen(redo.look(path, before)) == ([2], [])
        assert seen(redo.look(path, after)) == ([2], [])
        assert seen(redo.look(path, Position(1, 0))) == ([2], [1])
        writer.adopt()
        writer.append(ended(2))
        after = writer.position
        writer.renew([])
        writer.adopt()
        assert not os.path.exists(f"{path}-redo-1")
    assert seen(redo.look(path, after)) == ([], []), "of a file that the database has left behind nothing is new"


def test_what_a_crash_left_of_a_replacement_is_deleted(path: str) -> None:
    with log(path) as writer:
        writer.append(begun(1))
        writer.renew(begun(1))
        position = writer.position
        crashed = RedoLog(path, position)  # as kill -9 leaves it
        assert seen(crashed.left) == ([1], [])
        assert not os.path.exists(f"{path}-redo-2")
        crashed.close()


@pytest.mark.parametrize("gone", [True, False])
def test_where_the_machine_went_down_before_the_database_knew_of_the_replacement(path: str, gone: bool) -> None:
    """The database names the file before: all that the next one has is told, and a new one is begun."""
    with log(path) as writer:
        writer.append(begun(1))
        before = writer.position
        writer.renew(begun(1))
        writer.adopt()
        writer.append([*begun(5), *ended(5)])
    if gone:
        os.unlink(f"{path}-redo-1")
    with log(path, before) as again:
        assert seen(again.left) == ([1], [5])
        assert again.position == Position(3, 0)
        again.append(begun(6))
    assert seen(redo.look(path, before)) == ([1, 6], [5]), "and once more, should it go down before that is known"


def test_a_file_that_is_shorter_than_what_the_database_knows_is_not_gone_on_with(path: str) -> None:
    """What would be written at those places would count as known."""
    with log(path) as writer:
        writer.append(begun(1))
        writer.append(begun(2))
        known = writer.position
    os.truncate(f"{path}-redo-1", known.offset - 3)
    with log(path, known) as again:
        assert seen(again.left) == ([1], [])
        again.append([*begun(7), *ended(7)])
    assert seen(redo.look(path, known)) == ([1], [7])


def test_where_the_machine_went_down_before_the_replacement_was_on_the_disk(path: str) -> None:
    """The database names it: what was under way is found in the file before."""
    with log(path) as writer:
        writer.append([*begun(1, 2), *ended(2)])
        writer.renew(begun(1))
        writer.adopt()
        known = writer.position
    os.truncate(f"{path}-redo-2", 0)
    with log(path, known) as again:
        assert seen(again.left) == ([1], [])
        assert again.position == Position(3, 0)


def test_what_another_version_wrote_is_kept_and_not_written_over(path: str) -> None:
    with log(path) as writer:
        writer.append(begun(1))
        writer.append([b"\x92\x63\xc0"])  # an entry of a kind 99
        writer.append(ended(1))
    whole = Path(f"{path}-redo-1").read_bytes()
    with log(path) as again:
        assert seen(again.left) == ([1], [])
        assert again.position == Position(2, 0)
    assert Path(f"{path}-redo-1.unread").read_bytes() == whole


@pytest.mark.parametrize("kind", ["fifo", "link", "folder"])
def test_what_is_no_file_at_its_place_is_an_error_and_hangs_nobody(path: str, kind: str) -> None:
    name = f"{path}-redo-1"
    os.unlink(name)
    match kind:
        case "fifo":
            os.mkfifo(name)
        case "link":
            os.symlink("/etc/passwd", name)
        case _:
            os.mkdir(name)
    with pytest.raises(StorageError, match="cannot use"):
        RedoLog(path, START)


def test_a_write_that_fails_half_way_leaves_nothing(path: str) -> None:
    with log(path) as writer:
        writer.append(begun(1))
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (writer.position.offset + 50, before[1]))
        try:
            with pytest.raises(StorageError, match="File too large"):
                writer.append(begun(2))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert os.stat(f"{path}-redo-1").st_size == writer.position.offset
        writer.append(begun(3))
    assert seen(redo.look(path, Position(1, 0))) == ([1, 3], [])


def test_a_value_that_does_not_fit_is_an_error_of_ours() -> None:
    for impossible in (row(1, model="\ud800"), row(1 << 64)):
        with pytest.raises(StorageError, match="does not fit"):
            encoded(Begun(impossible))


def test_files_of_others_beside_it_are_left_alone(path: str) -> None:
    other = Path(f"{path}-redo-mine")
    other.write_text("")
    with log(path) as writer:
        writer.renew([])
        writer.adopt()
    assert other.exists()
