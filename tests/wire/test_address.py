"""A socket deep in a folder tree works like any other, and nobody else can reach it."""

from __future__ import annotations

import os
import socket
import stat
from typing import TYPE_CHECKING

import pytest

from aish.wire import address

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("depth", [1, 30])
def test_a_path_of_any_length_can_be_bound_and_reached(tmp_path: Path, depth: int) -> None:
    folder = tmp_path.joinpath(*["deep"] * depth)
    folder.mkdir(parents=True)
    path = str(folder / "sock")
    before = os.umask(0)
    try:
        with address.bind(path) as listener:
            listener.listen()
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
            with address.connect(path) as client, listener.accept()[0] as served:
                client.send(b"x")
                assert served.recv(1) == b"x"
        assert os.umask(0) == 0
    finally:
        os.umask(before)


def test_a_failed_attempt_leaks_no_descriptor(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for path in (str(tmp_path / "none"), str(tmp_path / ("d" * 120) / "none")):
        with pytest.raises(OSError, match="No such file"):
            address.connect(path, socket.SOCK_STREAM)
    assert len(os.listdir("/proc/self/fd")) == before
