"""The companion: answers by a deadline; what hangs is replaced, what was told is not lost, nobody is left behind."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aish.shell.companion.link import Link
from aish.shell.companion.work import serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def links() -> Iterator[Callable[..., Link]]:
    made: list[Link] = []

    def make(**answers: Callable[..., object]) -> Link:
        made.append(Link(lambda fd: serve(fd, answers)))
        return made[-1]

    yield make
    for link in made:
        link.close(0.0)


def hang() -> None:
    while True:
        signal.pause()


def test_answers(links: Callable[..., Link]) -> None:
    link = links(echo=lambda **fields: fields, pid=os.getpid, fail=lambda: 1 // 0)
    words = {"a": "é\udcff", "b": "line\nbreak", "c": ["x" * 100_000]}
    assert link.ask("echo", 10, **words) == words
    assert link.ask("pid", 10) == link.ask("pid", 10) != os.getpid()
    assert link.ask("fail", 10) is None
    assert link.ask("nosuch", 10) is None
    assert link.ask("pid", 10) is not None


def test_late_answer_is_given_up_and_its_process_replaced(links: Callable[..., Link]) -> None:
    link = links(pid=os.getpid, hang=hang)
    first = link.ask("pid", 10)
    begin = time.monotonic()
    assert link.ask("hang", 0.1) is None
    second = link.ask("pid", 10)
    assert time.monotonic() - begin < 5
    assert isinstance(first, int)
    assert isinstance(second, int)
    assert second != first
    end = time.monotonic() + 10
    while Path(f"/proc/{first}").exists() and Path(f"/proc/{first}/stat").read_text().rpartition(") ")[2][0] != "Z":
        assert time.monotonic() < end


def test_what_was_told_is_told_again(links: Callable[..., Link], tmp_path: Path) -> None:
    """A companion that is stuck takes what it was told with it."""
    told = tmp_path / "told"

    def note(word: str) -> bool:
        with told.open("a") as file:
            file.write(word + "\n")
        return True

    link = links(note=note, hang=hang, pid=os.getpid)
    link.begin("hang", 0.1, lambda answer: None)
    link.tell("note", word="kept")
    time.sleep(0.15)  # the deadline itself
    assert link.ask("pid", 10) is not None
    link.flush(10)
    assert told.read_text() == "kept\n"


def test_what_could_not_be_done_is_told_again(
    links: Callable[..., Link], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line of the history was lost where another program had the file locked for two seconds."""
    monkeypatch.setattr("aish.shell.companion.link.AGAIN_S", 0.1)
    told, gate = tmp_path / "told", tmp_path / "gate"

    def note(word: str) -> bool:
        with gate.open(), told.open("a") as file:  # it is not there at first
            file.write(word + "\n")
        return True

    link = links(note=note, pid=os.getpid)
    pid = link.ask("pid", 10)
    link.tell("note", word="one")
    link.tell("note", word="two")
    assert link.ask("pid", 10) == pid
    gate.touch()
    end = time.monotonic() + 10
    while not told.exists() or told.read_text() != "one\ntwo\n":
        assert link.ask("pid", 10) == pid
        assert time.monotonic() < end
    gate.unlink()
    told.unlink()
    link.tell("note", word="last")
    assert link.ask("pid", 10) == pid
    gate.touch()
    link.close(10)  # the shell ends
    assert told.read_text() == "last\n"


def test_a_companion_that_dies_is_replaced(links: Callable[..., Link]) -> None:
    link = links(pid=os.getpid)
    pid = link.ask("pid", 10)
    assert isinstance(pid, int)
    os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + 10
    while (other := link.ask("pid", 10)) in (pid, None):
        assert time.monotonic() < end
    assert other != pid


def test_one_that_always_hangs_is_not_asked_for_ever(links: Callable[..., Link]) -> None:
    link = links(hang=hang)
    begin = time.monotonic()
    for _ in range(10):
        assert link.ask("hang", 0.05) is None
    assert time.monotonic() - begin < 5
    assert link.fileno() is None


def test_asking_waits_for_nobody_else(links: Callable[..., Link]) -> None:
    """`begin` and `tell` return at once, however long the answer takes."""
    link = links(hang=hang)
    link.ask("nosuch", 10)  # it is there
    begin = time.monotonic()
    for _ in range(200):
        link.begin("hang", 60, lambda answer: None)
        link.tell("hang", word="x" * 10_000)
    assert time.monotonic() - begin < 2


def test_it_is_no_child_and_has_no_terminal_and_no_descriptor_of_ours(links: Callable[..., Link]) -> None:
    read, write = os.pipe()
    link = links(
        who=lambda: [os.getppid(), os.getsid(0) == os.getpid() or os.getsid(0), len(os.listdir("/proc/self/fd"))],
    )
    parent, session, descriptors = link.ask("who", 10)  # type: ignore[misc]
    assert parent != os.getpid()
    assert session != os.getsid(0)
    assert descriptors == 5  # 0 to 2, the socket, the listing
    os.close(write)
    assert os.read(read, 1) == b""  # it does not hold the pipe open
    os.close(read)


def test_it_ends_with_the_shell(links: Callable[..., Link]) -> None:
    link = links(pid=os.getpid)
    pid = link.ask("pid", 10)
    link.close()
    end = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z":
        assert time.monotonic() < end


def test_no_thread_and_no_descriptor_is_left(links: Callable[..., Link]) -> None:
    threads, before = threading.active_count(), len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        link = links(pid=os.getpid, hang=hang)
        link.ask("pid", 10)
        link.ask("hang", 0.02)
        link.close(0.0)
    assert threading.active_count() == threads
    assert len(os.listdir("/proc/self/fd")) == before
