"""A stranger's file comes in without a second copy where that is possible, and is never touched."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

import pytest

from aish import store
from aish.errors import StorageError
from aish.store import catalog, placing
from aish.store.progress import silent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def no_clone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a file system without shared blocks."""
    monkeypatch.setattr(placing, "_FICLONE", 0)  # an ioctl that no file knows


def test_a_file_on_the_same_disk_is_linked(gguf_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    no_clone(monkeypatch)
    source = gguf_file()
    before = source.stat()
    path = store.import_gguf(str(source), "x").path
    assert os.path.samefile(path, source)
    after = source.stat()
    assert (after.st_mode, after.st_mtime_ns, after.st_size) == (before.st_mode, before.st_mtime_ns, before.st_size)


def test_a_link_that_is_changed_under_its_other_name_is_noticed(
    gguf_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    no_clone(monkeypatch)
    source = gguf_file()
    store.import_gguf(str(source), "x")
    data = source.read_bytes()
    with open(source, "r+b") as stream:
        stream.write(data)
    os.utime(source, ns=(1, 1))
    with pytest.raises(StorageError, match="was changed"):
        store.find("x")
    store.import_gguf(str(source), "x")  # the same bytes again: the damaged share is replaced
    assert store.find("x").size_bytes == len(data)


def test_removing_the_source_leaves_the_model(gguf_file: Callable[..., Path]) -> None:
    source = gguf_file()
    store.import_gguf(str(source), "x")
    source.unlink()
    store.verify("x")


def test_where_linking_is_not_possible_it_is_copied(
    gguf_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    no_clone(monkeypatch)

    def refused(*_words: object, **_options: object) -> None:
        raise OSError(errno.EXDEV, "another disk")

    monkeypatch.setattr(os, "link", refused)
    source = gguf_file()
    steps: list[tuple[str, int, int | None]] = []
    path = store.import_gguf(str(source), "x", lambda *step: steps.append(step)).path
    assert not os.path.samefile(path, source)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o444
    assert steps[-1] == ("copying", source.stat().st_size, source.stat().st_size)
    store.verify("x")


def test_a_symbolic_link_is_followed_and_not_stored(gguf_file: Callable[..., Path], tmp_path: Path) -> None:
    link = tmp_path / "link.gguf"
    link.symlink_to(gguf_file("real.gguf"))
    path = store.import_gguf(str(link)).path
    assert not os.path.islink(path)
    assert store.names() == ["real"]


def test_a_wrong_digest_is_refused_and_nothing_is_kept(gguf_file: Callable[..., Path], private_store: Path) -> None:
    layout = catalog.layout()
    with layout.using(), pytest.raises(StorageError, match="as it should"):
        placing.place(layout, str(gguf_file()), silent, expected="0" * 64)
    assert list((private_store / "blobs" / "sha256").iterdir()) == []
    assert list((private_store / "tmp").iterdir()) == []


def test_a_full_disk_is_told_before_the_copy(gguf_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    no_clone(monkeypatch)
    monkeypatch.setattr(placing, "_link", lambda source, target: False)
    monkeypatch.setattr(placing, "_RESERVE_BYTES", 1 << 62)
    with pytest.raises(StorageError) as caught:
        store.import_gguf(str(gguf_file()), "x")
    assert "are needed" in str(caught.value)
    assert "the disk is full" in (caught.value.hint or "")
    assert store.names() == []


def test_a_store_that_cannot_be_written_is_told(tmp_path: Path, gguf_file: Callable[..., Path]) -> None:
    """Also for root, whom permissions do not stop: where the folder should be there is a file."""
    (tmp_path / "data").write_text("in the way")
    with pytest.raises(StorageError) as caught:
        store.import_gguf(str(gguf_file()), "x")
    assert caught.value.hint
