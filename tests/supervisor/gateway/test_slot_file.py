"""Files of KV slots: whose conversation is in one, and which of them go."""

from __future__ import annotations

import hashlib
import os
import struct
from typing import TYPE_CHECKING

import pytest

from aish.errors import InputError
from aish.supervisor.gateway import slot_file
from aish.supervisor.gateway.slot_file import OtherConversationError

if TYPE_CHECKING:
    from pathlib import Path

STATE = b"state" * 100


def written(path: Path, tokens: list[int], *, wrapped: bool = True) -> Path:
    """As the server writes them."""
    numbers = [-1, 1, len(tokens), *tokens, 0] if wrapped else tokens
    head = b"qsgg" + struct.pack("<II", 4, len(numbers)) + struct.pack(f"<{len(numbers)}i", *numbers)
    path.write_bytes(head + STATE)
    return path


@pytest.mark.parametrize("wrapped", [True, False])
def test_it_is_taken_for_the_conversation_that_is_in_it(tmp_path: Path, *, wrapped: bool) -> None:
    path = written(tmp_path / "a", [5, 6, 7, 8, 9], wrapped=wrapped)
    found = slot_file.look(str(path), [5, 6, 7], 5)
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest() == slot_file.digest(str(path))
    assert found.bytes == path.stat().st_size
    for prompt, tokens in (([5, 6, 8], 5), ([5, 6, 7], 4), ([5, 6, 7], 6), ([5, 6, 7, 8, 9, 9], 5), ([6], 5)):
        with pytest.raises(OtherConversationError):
            slot_file.look(str(path), prompt, tokens)


@pytest.mark.parametrize(
    "content", [b"", b"qsg", b"GGUF" + bytes(60), b"qsgg", b"qsgg" + bytes(8), b"qsgg" + b"\xff" * 60]
)
def test_what_is_not_understood_is_not_taken_for_anything(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a"
    path.write_bytes(content)
    with pytest.raises((InputError, OtherConversationError)):
        slot_file.look(str(path), [5, 6], 5)


def kept(folder: Path, *ages: int) -> Path:
    """Files of 100 bytes, so old."""
    folder.mkdir(parents=True)
    for age in ages:
        path = folder / str(age)
        path.write_bytes(bytes(100))
        os.utime(path, (10_000 - age, 10_000 - age))
    return folder


def left(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_the_oldest_go_where_one_agent_has_too_many(tmp_path: Path) -> None:
    one, other = kept(tmp_path / "1", 1, 2, 3, 4), kept(tmp_path / "2", 9)
    slot_file.prune([str(one), str(other), str(tmp_path / "none")], files=2)
    assert (left(one), left(other)) == (["1", "2"], ["9"])


def test_the_oldest_of_all_go_where_they_are_too_large(tmp_path: Path) -> None:
    """The disk of a person who lets agents work for a week would be full of them."""
    one, other = kept(tmp_path / "1", 1, 4), kept(tmp_path / "2", 2, 3)
    slot_file.prune([str(one), str(other)], most_bytes=250)
    assert (left(one), left(other)) == (["1"], ["2"])


def test_a_file_of_a_fork_is_there_once(tmp_path: Path) -> None:
    one, other = kept(tmp_path / "1", 1), kept(tmp_path / "2")
    os.link(one / "1", other / "1")
    slot_file.prune([str(one), str(other)], most_bytes=100)
    assert (left(one), left(other)) == (["1"], ["1"])
