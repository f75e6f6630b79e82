"""The input's way in: what arrives, and that it is waited for."""

from __future__ import annotations

import os
import threading

from aish.agents import stdin


def test_what_comes_late_is_waited_for() -> None:
    reading, writing = os.pipe()

    def write() -> None:
        os.write(writing, b"late")
        os.close(writing)

    later = threading.Timer(0.1, write)
    later.start()
    with open(os.devnull, "w") as out:
        read = stdin.read(reading, out_fd=out.fileno())
    later.join()
    os.close(reading)
    assert read.text == "late"
