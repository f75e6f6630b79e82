"""`aish session` as a supervised process: its place in the tree, its limits, and who may end it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from aish.cli import main
from aish.client import connect
from tests.session.conftest import DEADLINE_S, Session, gone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Home


@pytest.fixture
def open_session(shared_home: Home) -> Iterator[Callable[..., Session]]:
    opened: list[Session] = []

    def start(*options: str) -> Session:
        words = (sys.executable, "-P", "-m", "aish", "session", *options)
        opened.append(Session(words, shared_home.environ, shared_home.root))
        return opened[-1]

    yield start
    for session in opened:
        session.close()


def row(home: Home, id: str) -> Any:
    return next(row for row in home.client.processes(all=True) if row.id == id)


def test_it_is_a_process_with_a_name_and_its_commands_act_as_it(
    open_session: Callable[..., Session], shared_home: Home
) -> None:
    session = open_session("--name", "tools", "--pids", "50")
    ready = session.ready
    assert (ready["supervised"], ready["name"], ready["unsupervised_because"]) == (True, "tools", None)
    assert row(shared_home, ready["process"]).name == "tools"
    assert session.out("echo $AISH_ID") == f"{ready['process']}\n"
    assert (
        session.out(f'[ "$(aish spawn --name child --json -- sleep 600 | grep -c child)" = 1 ] && echo {1}') == "1\n"
    )
    child = next(each for each in shared_home.client.processes() if each.name == "child")
    assert child.parent == ready["process"]
    session.end()
    assert row(shared_home, ready["process"]).exit.code == 0


def test_a_stop_of_the_process_ends_session_and_commands(
    open_session: Callable[..., Session], shared_home: Home
) -> None:
    session = open_session()
    session.send("run", command="sh -c 'echo $$ >pid; exec sleep 600'")
    pid = session.pid_in("pid")
    assert shared_home.aish("stop", session.ready["process"]).returncode == 0
    assert session.until("closed")["reason"] == "SIGTERM"
    assert session.process.wait(DEADLINE_S) == 128 + signal.SIGTERM
    gone(pid, session.ready["pid"])


def test_an_interrupt_of_the_process_ends_the_command_alone(
    open_session: Callable[..., Session], shared_home: Home
) -> None:
    session = open_session()
    session.send("run", command="echo begun; sleep 600", stream=True)
    session.until("output")
    assert shared_home.aish("signal", session.ready["process"], "INT").returncode == 0
    assert session.until("result")["status"] == 130
    assert session.out("echo on") == "on\n"


def test_a_killed_stub_takes_the_session_with_it(open_session: Callable[..., Session]) -> None:
    """The client kills what it has started, and keeps its ends of the pipes."""
    session = open_session()
    session.out("sh -c 'echo $$ >pid; exec sleep 600' &")
    pid = session.pid_in("pid")
    session.process.kill()
    gone(pid, session.ready["pid"], session.ready["shell_pid"])


def test_a_killed_front_takes_everything_with_it(open_session: Callable[..., Session]) -> None:
    session = open_session()
    session.out("setsid sh -c 'echo $$ >pid; exec sleep 600' &")
    pid = session.pid_in("pid")
    os.kill(session.ready["pid"], signal.SIGKILL)
    gone(pid, session.ready["shell_pid"])
    assert session.process.wait(DEADLINE_S) == -signal.SIGKILL


def test_a_daemon_that_dies_is_not_noticed(open_session: Callable[..., Session], shared_home: Home) -> None:
    session = open_session()
    session.out("x=1")
    with connect(program="test") as client:
        pid = client.welcome.pid
    os.kill(pid, signal.SIGKILL)
    assert session.out("echo $x") == "1\n"


def test_without_a_supervisor_it_runs_and_says_so(shared_home: Home) -> None:
    """Here: the folder of its socket cannot be made."""
    environ = shared_home.environ | {"XDG_RUNTIME_DIR": "/proc/no-such", "XDG_STATE_HOME": "/proc/no-such"}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "aish", "session"],
        input=b'{"type": "run", "command": "echo on"}\n', env=environ, capture_output=True, timeout=60,
    )  # fmt: skip
    ready, result, closed = map(json.loads, done.stdout.splitlines())
    assert (ready["supervised"], ready["process"], "/proc/no-such" in ready["unsupervised_because"]) == (
        False,
        None,
        True,
    )
    assert (result["stdout"], closed["type"], done.returncode) == ("on\n", "closed", 0)


def test_what_was_asked_of_a_supervisor_is_not_dropped_silently(shared_home: Home) -> None:
    environ = shared_home.environ | {"XDG_RUNTIME_DIR": "/proc/no-such", "XDG_STATE_HOME": "/proc/no-such"}
    done = shared_home.aish("session", "--memory", "1G", env=environ)
    assert (done.returncode != 0, done.stdout) == (True, "")
    done = shared_home.aish("session", "--no-supervisor", "--budget", "1k", "--json")
    assert (done.returncode, json.loads(done.stderr)["error"]["code"]) == (2, "usage")


def test_a_supervisor_that_a_command_has_started_outlives_the_session(home: Home) -> None:
    """And what it has: it was not there before, and is a child of the session's processes."""
    run = '{"type": "run", "command": "aish spawn --name nap -- sleep 600", "timeout_s": 50}'
    done = home.aish("session", "--no-supervisor", input=run)
    _, result, _ = map(json.loads, done.stdout.splitlines())
    assert (result["status"], result["background"]) == (0, []), result
    assert [row.state for row in home.client.processes() if row.name == "nap"] == ["running"]


def test_it_can_be_asked_for_without_one(home: Home) -> None:
    done = home.aish("session", "--no-supervisor", input='{"type": "run", "command": "echo $AISH_ID; exit 3"}')
    ready, result, _ = map(json.loads, done.stdout.splitlines())
    assert ready["unsupervised_because"] == "--no-supervisor"
    assert (result["status"], result["stdout"]) == (3, "\n")
    assert not home.runtime.exists(), "and none was started"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--command-timeout 0", "--command-timeout"),
        ("--command-timeout nan", "--command-timeout"),
        ("--command-grace -1", "--command-grace"),
        ("--patience inf", "--patience"),
        ("--output 2M", "--output"),
        ("--output x", "size"),
        ("--keep /proc/x", "--keep"),
        ("ls", "unrecognized arguments"),
        ("--memory 1", "--memory"),
    ],
)
def test_a_value_that_means_nothing_is_refused(
    words: str, told: str, shared_home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["session", *words.split()]) in (2, 74)
    shown = capsys.readouterr()
    assert (told in shown.err, shown.out) == (True, ""), shown.err
