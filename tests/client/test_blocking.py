"""What only a blocking client meets: Ctrl-C, threads, forks."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NoReturn

import pytest

from aish.client import Aish, Client

if TYPE_CHECKING:
    from conftest import Home


def test_an_answer_that_was_given_up_is_not_taken_for_the_next_one(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in a notebook's `wait`: its answer came later on the same connection, to another question."""

    def interrupted(_: Client) -> NoReturn:
        monkeypatch.undo()
        raise KeyboardInterrupt

    with Aish() as aish:
        process = aish.spawn(["sleep", "600"], name="nap")
        monkeypatch.setattr(Client, "_reply", interrupted)
        with pytest.raises(KeyboardInterrupt):
            process.wait()
        assert process.stop().signal == signal.SIGTERM
        assert process.state() == "exited"


def test_threads_ask_at_the_same_time(home: Home) -> None:
    with Aish() as aish, ThreadPoolExecutor(8) as pool:
        processes = list(pool.map(lambda code: aish.spawn(["sh", "-c", f"exit {code}"]), range(16)))
        ends = list(pool.map(lambda process: process.wait(timeout_s=60), processes))
        assert [end.code for end in ends] == list(range(16))


def test_a_forked_child_does_not_speak_on_its_parents_connections(home: Home) -> None:
    with Aish() as aish:
        process = aish.spawn(["sleep", "600"], name="nap")
        pid = os.fork()
        if pid == 0:
            try:
                os._exit(0 if aish.process("nap").state() == "running" else 1)
            finally:
                os._exit(2)
        states = [process.state() for _ in range(50)]
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert set(states) == {"running"}
        process.stop()
    assert threading.active_count() == 1
