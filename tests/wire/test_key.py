"""Keys: derived, verified, never accepted for another process, epoch or secret."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from aish.errors import StorageError
from aish.wire import key

if TYPE_CHECKING:
    from pathlib import Path

SECRET = bytes(range(32))


def test_a_key_names_its_process_and_epoch() -> None:
    assert key.verify(SECRET, key.derive(SECRET, "p12", 3)) == ("p12", 3)


@pytest.mark.parametrize(
    ("there", "here"), [("aish-p12-", "aish-p13-"), ("-3-", "-4-"), ("aish-p12", "aish-P12"), ("aish", "sk")]
)
def test_an_altered_key_is_refused(there: str, here: str) -> None:
    assert key.verify(SECRET, key.derive(SECRET, "p12", 3).replace(there, here, 1)) is None


def test_a_key_of_another_secret_is_refused() -> None:
    assert key.verify(bytes(32), key.derive(SECRET, "p12", 3)) is None


@pytest.mark.parametrize("junk", ["", "aish", "aish-p1-1-" + "é" * 43, "x" * 100_000, "aish-p1-1-" + "A" * 43 + "\n"])
def test_junk_is_refused(junk: str) -> None:
    assert key.verify(SECRET, junk) is None


def test_the_secret_is_made_once_and_private(tmp_path: Path) -> None:
    path = str(tmp_path / "secret")
    first = key.load_secret(path)
    assert key.load_secret(path) == first
    assert len(first) == 32
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_programs_that_start_at_once_agree_on_the_secret(tmp_path: Path) -> None:
    """Daemon and gateway may both be the first to need it."""
    path = str(tmp_path / "secret")
    code = f"from aish.wire import key; print(key.load_secret({path!r}).hex())"
    children = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) for _ in range(4)]
    assert len({child.communicate(timeout=60)[0] for child in children}) == 1


def test_a_damaged_secret_is_told_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"short")
    with pytest.raises(StorageError, match="damaged") as caught:
        key.load_secret(str(path))
    assert "remove" in str(caught.value.hint)


def test_a_link_in_place_of_the_secret_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(SECRET)
    (tmp_path / "secret").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError):
        key.load_secret(str(tmp_path / "secret"))
