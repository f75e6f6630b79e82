"""Descriptors kept between runs (FDSTORE=1): what the next run gets, whatever died in between, and hostile words."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aish.client import launch
from aish.errors import InputError
from aish.model.spec import MOST_KEPT
from aish.supervisor.daemon import fdstore, want
from aish.supervisor.daemon.fdstore import Kept
from aish.wire.message import Restart, Start, Stop
from aish.wire.reply import Done
from aish.wire.spec import ProbePart, RestartPart, SocketPart, SpecPart

if TYPE_CHECKING:
    from conftest import Supervised

SD = """
import array, os, socket, sys, time
def say(text, *fds):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    s.sendmsg([text.encode()], rights, 0, os.environ["NOTIFY_SOCKET"])
def barrier():
    r, w = os.pipe()
    say("BARRIER=1", w)
    os.close(w)
    os.read(r, 1)
def memfd(text):
    fd = os.memfd_create("x")
    os.write(fd, text.encode())
    return fd
def given():
    names = os.environ.get("LISTEN_FDNAMES", "").split(":") if "LISTEN_FDS" in os.environ else []
    assert len(names) == int(os.environ.get("LISTEN_FDS", "0"))
    assert not names or int(os.environ["LISTEN_PID"]) == os.getpid()
    return [(name, 3 + at) for at, name in enumerate(names)]
def text(fd):
    return os.pread(fd, 100, 0).decode()
mine = given()
print("run", *(name for name, _ in mine), flush=True)
"""
DONE = "barrier()\nprint('done', flush=True)\ntime.sleep(100)"
FAST = RestartPart(most=None, longest_s=0.01)


def lines(up: Supervised, name: str = "job") -> list[str]:
    return up.log(name)[0].splitlines()


def kept(up: Supervised, code: str, name: str = "job", **fields: Any) -> None:
    up.python(SD + code, **{"kept_fds_most": 4, "restart": "always", "restarts": FAST, "name": name, **fields})


def test_the_next_run_gets_what_this_one_gave(up: Supervised) -> None:
    """Given right before its death: the word must not be lost with the socket that it was said to."""
    code = """
if mine:
    print(*(text(fd) for _, fd in mine), flush=True)
    time.sleep(100)
say("FDSTORE=1\\nFDNAME=one", memfd("first"))
say("FDSTORE=1\\nFDNAME=two", memfd("second"), memfd("third"))
os.kill(os.getpid(), 9)
"""
    kept(up, code)
    up.until("the next run has them", lambda: len(lines(up)) == 3)
    assert lines(up) == ["run", "run one two two", "first second third"]


def test_they_stay_over_restarts_until_it_has_ended_for_good(up: Supervised) -> None:
    code = "say('FDSTORE=1\\nFDNAME=x', memfd('it')) if not mine else None\n" + DONE
    kept(up, code)
    up.until("it is kept", lambda: lines(up) == ["run", "done"])
    for number in (2, 3):
        up.client.ask(Done, Restart(target="job"))
        up.until("it is up again", lambda number=number: len(lines(up)) == 2 * number)
    assert lines(up)[2:] == ["run x", "done"] * 2
    up.client.ask(Done, Stop(target="job"))
    up.wait("job")
    up.client.ask(Done, Start(target="job", launch=launch.capture()))
    up.until("it is up again", lambda: len(lines(up)) == 8)
    assert lines(up)[6:] == ["run", "done"], "a stop is the end: what it had kept is closed"


@pytest.mark.usefixtures("home")
def test_they_outlive_daemon_and_holder(up: Supervised) -> None:
    code = (
        "say('FDSTORE=1', memfd('it')) if not mine else None\nbarrier()\nprint('done', flush=True)\ntime.sleep(100)"
    )
    kept(up, code)
    up.until("it is kept", lambda: lines(up) == ["run", "done"])
    _, holder = up.holder_pids()
    os.kill(holder, signal.SIGKILL)
    up.kill_daemon()
    up.next_daemon()
    os.kill(up.row("job").pid or 0, signal.SIGKILL)
    up.until("the next run has it", lambda: lines(up)[2:] == ["run stored", "done"])


@pytest.mark.usefixtures("home")
def test_what_is_given_while_no_daemon_runs_is_not_lost(up: Supervised, tmp_path: Path) -> None:
    """It gave a descriptor and died, and the next daemon learnt of its end before it read its words."""
    gate = tmp_path / "gate"
    code = f"""
if mine:
    print(text(3), flush=True)
    time.sleep(100)
while not os.path.exists({str(gate)!r}):
    time.sleep(0.01)
say("FDSTORE=1\\nFDNAME=x", memfd("it"))
"""
    kept(up, code)
    up.until("it is up", lambda: lines(up) == ["run"])
    pid = up.row("job").pid or 0
    _, holder = up.holder_pids()
    os.kill(holder, signal.SIGSTOP)
    up.kill_daemon()
    gate.touch()
    up.until("it has ended", lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z")
    os.kill(holder, signal.SIGCONT)
    up.next_daemon()
    up.until("the next run has it", lambda: lines(up) == ["run", "run x", "it"])


def test_removed_by_name_and_behind_the_sockets(up: Supervised, tmp_path: Path) -> None:
    code = """
if len(mine) == 1:
    for name in "abab":
        say(f"FDSTORE=1\\nFDNAME={name}", memfd(name))
    say("FDSTOREREMOVE=1\\nFDNAME=a")
    barrier()
    os.kill(os.getpid(), 9)
print(*(text(fd) for _, fd in mine[1:]), socket.socket(fileno=3).getsockname() != "", flush=True)
time.sleep(100)
"""
    kept(up, code, sockets=[SocketPart(address=f"unix:{tmp_path}/s", name="web")])
    up.until("the next run is up", lambda: len(lines(up)) == 3)
    assert lines(up) == ["run web", "run web b b", "b b True"]


def test_no_more_than_it_may_and_what_hung_up_makes_room(up: Supervised) -> None:
    code = """
if not mine:
    dead = socket.socketpair()
    say("FDSTORE=1\\nFDNAME=dead", dead[0].fileno())
    say("FDSTORE=1\\nFDNAME=stays\\nFDPOLL=0", os.dup(dead[0].fileno()))
    barrier()
    dead[1].close()
    say("FDSTORE=1\\nFDNAME=m", *(memfd(str(n)) for n in range(7)))
    barrier()
    os.kill(os.getpid(), 9)
print(*(text(fd) for name, fd in mine if name == "m"), flush=True)
time.sleep(100)
"""
    kept(up, code)
    up.until("the next run is up", lambda: len(lines(up)) == 3)
    assert lines(up) == ["run", "run stays m m m", "0 1 2"]
    told = [event.text for event in up.events() if event.kind == "fds-refused"]
    assert told == ["more descriptors than it may have kept: 4"]


def test_hostile_words(up: Supervised, tmp_path: Path) -> None:
    """Names that are none, files, descriptors that nobody asked for: closed, and the daemon goes on."""
    code = """
if mine:
    print(*(text(fd) for _, fd in mine), flush=True)
    time.sleep(100)
r, w = os.pipe()
say("FDSTORE=0", w); say("X_FOO=1", w); say("FDSTORE=1\\nFDNAME=file", os.open(sys.executable, os.O_RDONLY))
say("FDSTORE=1", *([w] * 200))
say("FDSTOREREMOVE=1\\nFDNAME=stored")
os.close(w)
assert os.read(r, 1) == b"", "somebody still has the other end"
for name in ("a:b", "a\\tb", "x" * 300, "", "\\u00e4"):
    say(f"FDSTORE=1\\nFDNAME={name}", memfd(str(len(name))))
barrier()
os.kill(os.getpid(), 9)
"""
    kept(up, code, kept_fds_most=5)
    up.until("the next run is up", lambda: len(lines(up)) == 3)
    assert lines(up) == ["run", "run stored stored stored stored stored", "3 3 300 0 1"]
    fds = {os.readlink(f"/proc/{up.daemon_pid}/fd/{fd}") for fd in os.listdir(f"/proc/{up.daemon_pid}/fd")}
    assert not [link for link in fds if "memfd" in link], "the daemon keeps none itself"


def test_who_may_keep_none_has_all_closed(up: Supervised) -> None:
    code = "r, w = os.pipe()\nsay('FDSTORE=1', w)\nos.close(w)\nos.read(r, 1)\nbarrier()\nsay('READY=1')\n" + DONE
    started = up.python(SD + code, ready=ProbePart(notify=True), name="job")
    up.wait(started.id, until="ready")
    assert up.row("job").ready == "yes"


def test_the_socket_alone_makes_nobody_ready(up: Supervised) -> None:
    kept(up, "say('READY=1')\nbarrier()\nprint('said', flush=True)\ntime.sleep(100)", ready=ProbePart(pattern="up"))
    up.until("it has said so", lambda: lines(up) == ["run", "said"])
    assert up.row("job").ready == "no"


def test_the_same_one_under_the_same_name_is_kept_once() -> None:
    fds = [os.memfd_create("a"), os.eventfd(0), *os.pipe()]
    fds += [os.dup(fd) for fd in fds]
    memfd, event, read, write, memfd2, event2, read2, write2 = fds
    before = [Kept(memfd, "a", True), Kept(event, "a", True), Kept(read, "a", True), Kept(write, "a", True)]
    new = [Kept(memfd2, "b", True), Kept(event2, "a", True), Kept(read2, "a", False), Kept(write2, "a", True)]
    after = fdstore.added(before, new)
    assert after == [*before[:2], new[2], new[3], new[0], new[1]]
    for fd in fds:
        os.close(fd)


@pytest.mark.parametrize("most", [-1, MOST_KEPT + 1])
def test_bad_counts(most: int) -> None:
    with pytest.raises(InputError) as error:
        want.check_spec(SpecPart(argv=[b"true"], kept_fds_most=most))
    assert error.value.field == "kept_fds_most"
