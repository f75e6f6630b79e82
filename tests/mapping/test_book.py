"""The log of a map: what was done is known, whatever a kill has left, and nothing else is taken for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aish.errors import ConflictError, InputError, StorageError
from aish.mapping.book import Book

if TYPE_CHECKING:
    from pathlib import Path


def test_what_ended_is_known_to_the_next(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with Book(str(path), "m", resume=False) as book:
        book.ended("a", "p1", 0, 1.5)
        book.ended("b\n", "p2", 7, None)
        first = book.id
    with Book(str(path), "m", resume=True) as book:
        assert (book.id, book.statuses) == (first, {"a": 0, "b\n": 7})
        book.ended("b\n", "p3", 0, None)
    with Book(str(path), "m", resume=True) as book:
        assert book.statuses == {"a": 0, "b\n": 0}


def test_half_a_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with Book(str(path), "m", resume=False) as book:
        book.ended("a", "p1", 0, None)
    with path.open("ab") as stream:
        stream.write(b'{"item": "b", "stat')
    with Book(str(path), "m", resume=True) as book:
        book.ended("c", "p2", 0, None)
    with Book(str(path), "m", resume=True) as book:
        assert book.statuses == {"a": 0, "c": 0}


def test_nothing_is_overwritten_or_shared(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with Book(str(path), "m", resume=False):
        pass
    with pytest.raises(ConflictError, match="is there already"):
        Book(str(path), "m", resume=False)
    with pytest.raises(ConflictError, match="another command"):
        Book(str(path), "other", resume=True)


@pytest.mark.parametrize(
    "text",
    [
        "hello\n",
        "{}\n",
        '{"map": "../x", "mark": "m"}\n',
        '{"map": "a", "mark": "m"}\n{"item": 1}\n',
        "[" * 9999 + "\n",
    ],
)
def test_another_file_is_refused_and_stays_as_it_was(tmp_path: Path, text: str) -> None:
    path = tmp_path / "notes.txt"
    path.write_text(text)
    with pytest.raises(InputError, match="no log of a map"):
        Book(str(path), "m", resume=True)
    assert path.read_text() == text


def test_a_place_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        Book(str(tmp_path / "no" / "log"), "m", resume=False)
    with Book(None, "m", resume=False) as book:
        book.ended("a", "p1", 0, None)
        assert book.statuses == {"a": 0}
