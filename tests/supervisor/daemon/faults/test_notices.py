"""The supervisor dies or stands still, in part or as a whole, while a process tells by itself that it is well."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aish.client import connect
from aish.wire.message import Stop, Wait
from aish.wire.reply import Done, Waited
from aish.wire.spec import ProbePart

if TYPE_CHECKING:
    from conftest import Supervised

pytestmark = pytest.mark.usefixtures("home")

WELL = """
import os, socket, sys, time
talk = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
if "connected" in sys.argv:
    talk.connect(os.environ["NOTIFY_SOCKET"])
def say(text):
    try:
        if "connected" in sys.argv:
            talk.send(text)
        else:
            talk.sendto(text, os.environ["NOTIFY_SOCKET"])
    except OSError as error:
        os.write(1, b"x")
    else:
        os.write(2, b".")
say(b"READY=1\\nSTATUS=at work")
while True:
    say(b"WATCHDOG=1")
    time.sleep(0.1)
"""
PATIENCE_S = 1.0


def well(up: Supervised, *words: str, **fields: object) -> int:
    live = ProbePart(notify=True, timeout_s=PATIENCE_S)
    started = up.python(WELL, *words, name="well", ready=ProbePart(notify=True), live=live, **fields)
    up.wait("well", until="ready")
    up.until("it is watched: it has spoken for longer than its silence is suffered", lambda: said(up, 1) > 15)
    assert started.pid is not None
    return started.pid


def said(up: Supervised, stream: int) -> int:
    return len(up.log("well")[stream])


def still_well(up: Supervised, pid: int) -> None:
    """For longer than its silence would be suffered."""
    until_s = time.monotonic() + 2 * PATIENCE_S
    while time.monotonic() < until_s:
        row = up.row("well")
        assert (row.state, row.pid) == ("running", pid), row.reason
        time.sleep(0.1)
    assert "unhealthy" not in {event.kind for event in up.events()}


def heard(up: Supervised) -> None:
    """What it says arrives: it is ended when it stops."""
    pid = up.row("well").pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    end = up.wait("well").exit
    assert end is not None
    assert end.reason == "unhealthy"


def kill(pids: list[int]) -> None:
    """All of them at once, and until they are gone."""
    pidfds = [os.pidfd_open(pid) for pid in pids]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pidfd in pidfds:
            signal.pidfd_send_signal(pidfd, number)
    for pidfd in pidfds:
        os.close(pidfd)


@pytest.mark.parametrize("way", ["named", "connected"])
@pytest.mark.slow
def test_keeper_and_holder_killed_it_is_heard_all_the_same(up: Supervised, way: str) -> None:
    """Its socket died with them and the daemon: each word was refused, and it was ended for its silence."""
    pid = well(up, way)
    daemon = os.pidfd_open(up.daemon_pid)
    up.kill_parents()
    assert select.select([daemon], [], [], 20)[0], "it does not leave"
    os.close(daemon)
    up.next_daemon()
    spoken = said(up, 1)
    up.until("it goes on speaking", lambda: said(up, 1) > spoken)
    assert said(up, 0) == 0, "words were refused"
    still_well(up, pid)
    heard(up)


def test_all_three_killed_it_is_heard_from_its_next_word_on(up: Supervised) -> None:
    """For the rest of its run nobody heard it any more."""
    pid = well(up)
    kill(list(up.programs().values()))
    up.until("it speaks to nobody", lambda: said_by_file(up) > 0)
    up.next_daemon()
    still_well(up, pid)
    assert "unheard" in {event.kind for event in up.events()}
    heard(up)


def said_by_file(up: Supervised) -> int:
    """How many words were refused, while no daemon can be asked for the log."""
    return (up.home.state / "logs" / "p1.out").stat().st_size


@pytest.mark.slow
def test_all_three_killed_who_cannot_be_heard_is_not_judged_by_its_silence(up: Supervised) -> None:
    """It talks to the socket that died: how it does, nobody can tell."""
    pid = well(up, "connected")
    kill(list(up.programs().values()))
    up.next_daemon()
    still_well(up, pid)
    refused = said(up, 0)
    up.until("it speaks to nobody", lambda: said(up, 0) > refused)
    up.kill_daemon()
    up.next_daemon()
    still_well(up, pid)


def test_who_could_not_be_heard_is_judged_by_its_silence_in_its_next_run(up: Supervised, tmp_path: Path) -> None:
    """What the run before had said may have been lost; that was still held for the next one, for ever."""
    code = 'test -e "$0" && exec sleep 600; exec "$1" -I -S -c "$2" connected'
    live = ProbePart(notify=True, timeout_s=PATIENCE_S)
    mute = str(tmp_path / "mute")
    up.spawn("sh", "-c", code, mute, sys.executable, WELL, name="well", live=live, restart="always")
    up.until("it speaks", lambda: said(up, 1) > 0)
    kill(list(up.programs().values()))
    up.next_daemon()
    assert "unheard" in {event.kind for event in up.events()}
    Path(mute).touch()
    os.kill(up.row("well").pid or 0, signal.SIGKILL)
    up.until("its silence is told", lambda: "unhealthy" in {event.kind for event in up.events()})


@pytest.mark.slow
def test_the_runtime_folder_was_emptied_it_is_heard_again(up: Supervised) -> None:
    pid = well(up)
    for path in (up.home.runtime / "notify").iterdir():
        path.unlink()
    (up.home.runtime / "notify").rmdir()
    up.until("its socket is there again", (up.home.runtime / "notify" / "p1").exists)
    still_well(up, pid)
    heard(up)


STATUS = """
import os, socket, sys, time
talk = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
talk.sendto(sys.argv[1].encode(), os.environ["NOTIFY_SOCKET"])
time.sleep(600)
"""


@pytest.mark.parametrize("victims", [("daemon",), ("keeper", "holder"), ("keeper", "holder", "daemon")], ids="+".join)
@pytest.mark.parametrize("words", ["READY=1\nSTATUS=at work", "STATUS=at work"], ids=["ready", "not ready"])
def test_what_it_says_that_it_does_is_shown_by_the_next_daemon(
    up: Supervised, victims: tuple[str, ...], words: str
) -> None:
    """It was lost with the daemon; and of one that was not ready yet with the next look whether it was."""
    up.python(STATUS, words, name="job", ready=ProbePart(notify=True), live=ProbePart(notify=True, timeout_s=600.0))
    up.until("it is shown", lambda: up.row("job").doing == "at work")
    pids = up.programs()
    daemon = os.pidfd_open(pids["daemon"])
    kill([pids[name] for name in victims])
    assert select.select([daemon], [], [], 20)[0]
    os.close(daemon)
    up.next_daemon()
    assert up.row("job").doing == "at work"
    up.client.ask(Done, Stop(target="job"))
    up.wait("job")
    assert list((up.home.runtime / "notify").iterdir()) == []


STILL = (("daemon",), ("daemon", "holder"), ("daemon", "holder", "keeper"))
ALL_WELL = ("daemon", "holder", "keeper", "well")


@pytest.mark.parametrize(
    "who",
    [ALL_WELL, *(pytest.param(who, marks=pytest.mark.slow) for who in STILL)],
    ids="+".join,
)
def test_a_standstill_of_the_supervisor_is_no_silence_of_the_process(up: Supervised, who: tuple[str, ...]) -> None:
    """What it had said lay in the socket, or it had stood still as well: it was ended for its silence at the first
    turn of the daemon."""
    pid = well(up)
    pids = {**up.programs(), "well": pid}
    for name in who:
        os.kill(pids[name], signal.SIGSTOP)
    time.sleep(2 * PATIENCE_S)  # the fault itself
    for name in who:
        os.kill(pids[name], signal.SIGCONT)
    still_well(up, pid)
    heard(up)


def test_a_standstill_does_not_make_a_start_too_slow(up: Supervised, tmp_path: Path) -> None:
    go = tmp_path / "go"
    code = f"import os, time\nwhile not os.path.exists({str(go)!r}):\n    time.sleep(0.02)\n" + WELL
    started = up.python(code, name="well", ready=ProbePart(notify=True), start_timeout_s=1.5)
    pids = [*up.programs().values(), started.pid]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(2.5)  # the fault itself
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    assert up.row("well").lifecycle == "running"
    go.touch()
    up.wait("well", until="ready")
    assert up.row("well").pid == started.pid


SLOW_SERVER = """
import socket, sys, time
server = socket.socket()
server.bind(("127.0.0.1", int(sys.argv[1])))
server.listen()
while True:
    client, _ = server.accept()
    client.recv(4096)
    open(sys.argv[2], "a").write("x")
    time.sleep(0.3)
    client.sendall(b"HTTP/1.1 200 OK\\r\\n\\r\\n")
    client.close()
"""


def test_a_probe_during_a_standstill_says_nothing(up: Supervised, tmp_path: Path) -> None:
    """Its time was over when the answer could be read."""
    asked = tmp_path / "asked"
    live = ProbePart(url="http://127.0.0.1:{port}/", every_s=0.05, timeout_s=1.0, failures=1)
    ready = ProbePart(url="http://127.0.0.1:{port}/", every_s=0.05)  # a slow beginning is no failure
    started = up.python(SLOW_SERVER, "{port}", str(asked), name="web", ready=ready, live=live)
    up.wait("web", until="ready")
    pids = [*up.programs().values(), started.pid]
    for _ in range(3):
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(1.5)  # the fault itself
        before = asked.read_text()
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        up.until("it is asked again", lambda at=before: asked.read_text() > at)  # type: ignore[misc]
    assert (up.row("web").state, up.row("web").pid) == ("running", started.pid)


def test_a_standstill_is_no_grace(up: Supervised, tmp_path: Path) -> None:
    """It was killed at once when all went on, and had no time to save its work."""
    begun, saved = tmp_path / "begun", tmp_path / "saved"
    script = f"trap 'touch {begun}; sleep 0.5; touch {saved}; exit 0' TERM; echo up; while :; do sleep 0.02; done"
    started = up.spawn("sh", "-c", script, name="job", grace_s=2.0)
    up.until("the trap is set", lambda: up.log("job")[0] == "up\n")
    pids = [*up.programs().values(), started.pid]
    with connect() as other:
        other.send(Stop(target="job"))
        up.until("it saves its work", begun.exists)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(2.5)  # the fault itself
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        waited = up.client.ask(Waited, Wait(target="job", timeout_s=60))
    assert waited.exit is not None
    assert (waited.exit.code, saved.exists()) == (0, True)
