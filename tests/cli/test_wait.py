"""wait for several: what its status is, and that a daemon's death is no end."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import pytest

from aish.cli.wait import shell_status
from aish.client import connect
from aish.model import exit as exits
from aish.wire.part import ExitPart
from tests.deadline import until

if TYPE_CHECKING:
    from conftest import Home


@pytest.fixture
def several(shared_home: Home) -> Home:
    for name, script in (("good", "exit 0"), ("three", "exit 3"), ("four", "exit 4")):
        shared_home.client.spawn(["sh", "-c", script], name=name)
    shared_home.client.spawn(["sleep", "60"], name="nap")
    return shared_home


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["good"], 0),
        (["good", "three", "four"], 3),  # the first that failed, in the order given
        (["four", "good", "three", "--all"], 4),
        (["four", "good"], 4),  # not the last one's
        (["--any", "nap", "three"], 3),
        (["--any", "nap", "good"], 0),
        (["--any", "nap", "--timeout", "0.1"], 124),
        (["good", "nap", "--timeout", "0.1"], 124),
        (["--ready", "nap"], 0),
        (["--ready", "nap", "good"], 1),  # it ended before
        (["--ended", "good"], 0),
    ],
)
def test_status(several: Home, words: list[str], status: int) -> None:
    done = several.aish("wait", *words)
    assert (done.returncode, done.stderr) == (status, "")


@pytest.mark.parametrize(
    ("end", "status"),
    [
        (ExitPart(code=0, reason=exits.WRAPUP), 0),  # it said its last message and ended as it was told: it was 1
        (ExitPart(code=0, reason=exits.CANCELLED), 0),
        (ExitPart(code=0, reason=exits.TIMEOUT), 1),
        (ExitPart(code=77, reason=exits.REFUSED), 77),
        (ExitPart(signal=15, reason=exits.WRAPUP), 143),
        (ExitPart(), 69),
    ],
)
def test_what_somebody_wanted_is_no_failure(end: ExitPart, status: int) -> None:
    assert shell_status(end) == status


def test_any_is_the_one_that_was_first_not_the_one_named_first(home: Home) -> None:
    """Both had ended before anybody waited: the first named was taken for the first."""
    for name, status in (("early", 5), ("late", 6)):
        home.client.spawn(["sh", "-c", f"exit {status}"], name=name).wait()
    assert home.aish("wait", "--any", "late", "early").returncode == 5
    assert [
        row["exit"]["code"] for row in json.loads(home.aish("wait", "--any", "late", "early", "--json").stdout)
    ] == [
        5,
        6,
    ]
    early = home.client.process("early")
    assert home.client.wait_any("late", early)[0] == early
    with connect(start=False, program="test") as client:
        os.kill(client.welcome.pid, signal.SIGKILL)
    assert home.aish("wait", "--any", "late", "early").returncode == 5, "the next daemon knows, too"


def test_any_that_is_ready_is_the_one_that_was_first(home: Home) -> None:
    """One that has ended meanwhile was not ready first."""
    listening = home.client.spawn(["sh", "-c", "echo up; exec sleep 60"], name="listening", ready="line:up")
    listening.wait_ready()
    home.client.spawn(["sleep", "60"], name="plain").wait_ready()
    home.client.spawn(["false"], name="short").wait()
    assert home.aish("wait", "--any", "--ready", "short", "plain", "listening").returncode == 0
    told = json.loads(home.aish("wait", "--any", "--ready", "--json", "short", "plain", "listening").stdout)
    assert [home.client.process(row["id"]).name for row in told] == ["listening", "plain", "short"]


def test_json_tells_those_that_have_in_the_order_given(several: Home) -> None:
    several.client.wait_all("three", "good")
    three, good = (several.client.process(name).id for name in ("three", "good"))
    done = several.aish("wait", "three", "nap", "good", "--timeout", "0.1", "--json")
    assert done.returncode == 124
    assert [(row["id"], row["exit"]["code"]) for row in json.loads(done.stdout)] == [(three, 3), (good, 0)]


@pytest.mark.parametrize("words", [["--any", "--all", "nap"], ["--ready", "--ended", "nap"], ["nap", "nobody"]])
def test_refused(several: Home, words: list[str]) -> None:
    assert several.aish("wait", *words).returncode in (2, 69)


def test_the_next_daemon_is_asked_again(home: Home) -> None:
    """Its deadline goes on, and what ended meanwhile is told."""
    os.mkfifo(home.root / "go")
    home.aish("spawn", "--name", "one", "--", "sh", "-c", "read x < go; exit 7", cwd=home.root)
    waiting = home.popen("wait", "one", "--timeout", "60")
    with connect(start=False, program="test") as client:
        until("it is connected", lambda: _connected(waiting.pid))
        os.kill(client.welcome.pid, signal.SIGKILL)
    (home.root / "go").write_text("x\n")
    assert waiting.wait(timeout=60) == 7


def _connected(pid: int) -> bool:
    """Its request is on the way, or will be asked of the next daemon."""
    found = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except OSError:
            continue  # closed meanwhile
    return any(link.startswith("socket:") for link in found)
