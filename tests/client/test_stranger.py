"""Something else, or another version, at the daemon's address: told as such, at once, with what to do."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest

from aish.wire import codec
from aish.wire.frame import Channel
from aish.wire.reply import Welcome

if TYPE_CHECKING:
    from conftest import Home


@pytest.mark.parametrize(
    ("said", "told", "status"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak like a daemon", 69),
        (None, "the daemon speaks version 999 of the protocol", 69),
    ],
)
def test_who_answers_in_another_language_is_named(home: Home, said: bytes | None, told: str, status: int) -> None:
    home.runtime.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(home.runtime / "daemon.sock"))
        listener.listen()

        def answer() -> None:
            channel = Channel(listener.accept()[0])
            channel.receive()
            if said is None:
                channel.send(codec.encode(Welcome(version=999, pid=1, epoch=1)))
            else:
                channel.send(said)
            channel.close()

        thread = threading.Thread(target=answer)
        thread.start()
        done = home.aish("ps")
        thread.join(30)
    (home.runtime / "daemon.sock").unlink()
    assert (done.returncode, told in done.stderr) == (status, True), done.stderr
    assert len(done.stderr.splitlines()) == 2  # the fault, and what to do
