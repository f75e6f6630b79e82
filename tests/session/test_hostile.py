"""What a request or a command can do to the session itself: it is told, and the session goes on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.session.conftest import DEADLINE_S, lives

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.session.conftest import Session


def test_a_folder_of_a_hundred_thousand_characters(session: Session) -> None:
    """The shell quoted it in a message that was longer than the front reads: the front died."""
    session.out("x=1")
    found = session.ask("run", command=":", cwd="y" * 100_000)
    assert found["type"] == "error", str(found)[:300]
    assert len(str(found)) < 5000
    assert session.out("echo $x") == "1\n"


def test_a_folder_that_is_a_lie(session: Session) -> None:
    assert session.out("x=1; PWD=$(printf %0300000d 1); echo ok") == "ok\n"
    assert session.out("echo $x; cd /; pwd") == "1\n/\n"


def test_a_mark_with_more_digits_than_a_number_may_have(session: Session) -> None:
    session.out("AISH_SESSION_RUN=$AISH_SESSION_RUN$(printf %05000d 1) sleep 600 & echo $!")
    assert session.ask("jobs")["type"] == "jobs"
    assert session.out("echo on") == "on\n"


def test_a_value_that_is_no_number_of_a_variable_that_is_one(session: Session) -> None:
    session.out("declare -i N; x=1")
    assert session.ask("run", command=":", env={"N": "1+"})["type"] == "error"
    assert session.out("echo $x") == "1\n"


def test_a_stopped_warden_keeps_nobody_from_ending(open_session: Callable[..., Session]) -> None:
    session = open_session()
    session.send("run", command="kill -STOP $PPID")
    assert session.until("result")["status"] == 0
    session.end()
    assert not lives(session.ready["shell_pid"])


def test_a_stopped_warden_keeps_no_time_out_from_being_answered(open_session: Callable[..., Session]) -> None:
    session = open_session()
    found = session.run("kill -STOP $PPID; kill -STOP $$; :", timeout_s=0.2)
    assert found["timed_out"], found
    assert session.out("echo on") == "on\n"


@pytest.mark.parametrize("command", ["trap '' TERM; sh -c 'trap \"\" TERM; echo r >ready; sleep 600'"])
def test_the_front_waits_for_a_grace_without_spinning(session: Session, command: str) -> None:
    """Its deadline had passed, and it asked for it again and again."""
    session.send("run", command=command, timeout_s=0.3)
    front = session.ready["pid"]
    begin_s, before = time.monotonic(), _cpu_s(front)
    assert session.until("result")["timed_out"]
    taken_s = _cpu_s(front) - before
    assert time.monotonic() - begin_s < DEADLINE_S
    assert taken_s < 0.5, "two seconds of grace were two seconds of work"


def _cpu_s(pid: int) -> float:
    with open(f"/proc/{pid}/schedstat") as file:
        return int(file.read().split()[0]) / 1e9
