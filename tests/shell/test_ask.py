"""Answers by a deadline: what hangs is given up, what fails gives nothing, nobody is left behind."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

from aish.shell import ask as module
from aish.shell.ask import ask


def children() -> set[str]:
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def test_answer_with_any_text() -> None:
    words = ["a b", "é", "\udcff", "line\nbreak", "x" * 100_000]
    assert ask(lambda: words, 10) == words


def test_late_answer_is_given_up_and_its_process_ended() -> None:
    before = children()
    begin = time.monotonic()
    assert ask(lambda: signal.pause() or ["late"], 0.2) == []
    assert time.monotonic() - begin < 5
    while children() - before:  # what was killed is reaped by one of the next questions
        assert ask(lambda: ["next"], 10) == ["next"]
        assert time.monotonic() - begin < 20
    assert not module._abandoned


def test_failure_is_no_answer() -> None:
    def fail() -> list[str]:
        raise RuntimeError

    assert ask(fail, 10) == []
    assert ask(lambda: os._exit(0) or [], 10) == []


def test_question_sees_the_state_and_cannot_change_it() -> None:
    state = ["before"]

    def question() -> list[str]:
        state.append("inside")
        return state

    assert ask(question, 10) == ["before", "inside"]
    assert state == ["before"]


def test_no_thread_is_made() -> None:
    before = threading.active_count()
    ask(lambda: ["x"], 10)
    assert threading.active_count() == before


def test_descriptors_are_closed() -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        ask(lambda: ["x"], 10)
        ask(lambda: signal.pause() or [], 0.01)
    assert len(os.listdir("/proc/self/fd")) == before
