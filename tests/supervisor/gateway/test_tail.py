"""Reading on in a log: whatever is written when, and whoever reads it in how many looks."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aish.errors import StorageError
from aish.supervisor.gateway.meter import Used
from aish.supervisor.gateway.sessions import tail
from aish.supervisor.gateway.sessions.codex import Spent, State
from aish.supervisor.gateway.sessions.tail import Place, look

from .rollouts import BEGAN_S, context, count, line, meta, tokens

T = BEGAN_S


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rollout-x.jsonl"


def place() -> Place:
    return Place(State(T))


def read(path: Path, at: Place) -> tuple[list[Used], Place]:
    """Until nothing more is there; each look goes on from what a gateway would have kept."""
    found: list[Used] = []
    while True:
        seen = look(os.fsencode(path), msgspec.msgpack.decode(msgspec.msgpack.encode(at), type=Place))
        found += [told.used for told in seen.told if isinstance(told, Spent)]
        at = seen.place
        if seen.end:
            return found, at


def answer(number: int) -> bytes:
    return count(T + number, tokens(100 * number, 10 * number), tokens(100, 10))


def test_only_whole_lines_are_taken_and_nothing_is_taken_twice(path: Path) -> None:
    whole = meta() + context() + answer(1)
    path.write_bytes(whole[:-7])
    found, at = read(path, place())
    assert found == []
    path.write_bytes(whole)
    found, at = read(path, at)
    assert found == [Used(100, 10)]
    assert read(path, at)[0] == []
    with path.open("ab") as file:
        file.write(answer(2) + answer(3)[:20])
    found, at = read(path, at)
    assert found == [Used(100, 10)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    st.lists(st.sampled_from(["answer", "garbage", "long", "blank"]), max_size=12),
    st.lists(st.integers(1, 400), max_size=12),
    st.integers(64, 700),
)
def test_sums_are_those_of_the_log_however_it_is_cut(
    path: Path, kinds: list[str], cuts: list[int], chunk_bytes: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tail, "CHUNK_BYTES", chunk_bytes)
        patch.setattr(tail, "MOST_BYTES", 3 * chunk_bytes)
        data, number, told = meta() + context(), 0, 0
        for kind in kinds:
            match kind:
                case "answer":
                    number += 1
                    data += answer(number)
                    told = told if len(answer(number)) > chunk_bytes else number  # the next total makes up for it
                case "garbage":
                    data += b"\x00{not JSON\n"
                case "long":
                    data += line(T + number, "response_item", {"text": "x" * 900})
                case _:
                    data += b"\n"
        path.write_bytes(b"")
        at, found, begin = place(), [], 0
        for cut in [*cuts, len(data)]:
            with path.open("ab") as file:
                file.write(data[begin : begin + cut])
            begin += cut
            got, at = read(path, at)
            found += got
        assert sum(used.input for used in found) == 100 * told


def test_a_line_that_is_too_long_is_left_out_and_the_next_one_is_not(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "CHUNK_BYTES", 4096)
    path.write_bytes(meta() + b"x" * 50_000 + b"\n" + answer(1))
    assert read(path, place())[0] == [Used(100, 10)]


def test_a_log_that_is_written_anew_is_not_counted_twice(path: Path) -> None:
    """By a program that syncs, or one that makes another form of it."""
    path.write_bytes(meta() + answer(1) + answer(2))
    found, at = read(path, place())
    assert len(found) == 2
    other = path.with_suffix(".new")
    other.write_bytes(meta() + answer(1) + answer(2) + answer(3))
    other.rename(path)
    found, at = read(path, at)
    assert found == [Used(100, 10)]
    path.write_bytes(answer(4))
    assert read(path, at)[0] == [Used(100, 10)]


def test_of_a_large_log_that_was_there_before_only_the_end_is_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "HEAD_BYTES", 1024)
    monkeypatch.setattr(tail, "BEFORE_BYTES", 2048)
    old = meta(T - 9000, cwd="/w") + b"".join(
        count(T - 8000 + number, tokens(number, number), tokens(1, 1)) for number in range(1, 200)
    )
    path.write_bytes(old)
    os.utime(path, (T - 100, T - 100))
    found, at = read(path, place())
    assert (found, at.state.head and at.state.head.id) == ([], "s1")
    with path.open("ab") as file:
        file.write(count(T + 5, tokens(1199, 299), tokens(5, 5)))
    assert read(path, at)[0] == [Used(1000, 100)], "from the last total before"


def test_what_is_no_file_of_ours_is_not_read(path: Path, tmp_path: Path) -> None:
    assert read(path, place())[0] == [], "archived"
    target = tmp_path / "secret"
    target.write_bytes(meta() + answer(1))
    path.symlink_to(target)
    with pytest.raises(StorageError):
        look(os.fsencode(path), place())
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(StorageError):
        look(os.fsencode(path), place())
    path.unlink()
    path.mkdir()
    with pytest.raises(StorageError):
        look(os.fsencode(path), place())
