"""The end of a session, wanted or not: whoever of client, front, warden and shell goes, nothing of it is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from aish.supervisor.daemon import proc
from tests.session.conftest import DEADLINE_S, FRONT, gone, lives, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Home

    from tests.session.conftest import Session


@pytest.fixture
def busy(open_session: Callable[..., Session], leaver: str) -> tuple[Session, list[int]]:
    """A session with a command that runs, a job, and a daemon of an earlier command that has no mark; their pids."""
    session = open_session("--grace-s=0.2")
    session.out(f"sh -c 'echo $$ >job; exec sleep 600' & {leaver} daemon")
    session.send("run", id="now", command="sh -c 'echo $$ >now; trap : TERM; while :; do sleep 600; done'")
    pids = [session.pid_in(name) for name in ("job", "daemon", "now")]
    return session, [*pids, session.ready["shell_pid"], warden(session)]


def resident_bytes(pid: int) -> int:
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * proc.PAGE_BYTES


def warden(session: Session) -> int:
    (found,) = proc.children(session.ready["pid"])
    return found


def test_a_client_that_vanishes_takes_all_with_it(busy: tuple[Session, list[int]]) -> None:
    session, pids = busy
    session.stdin.close()
    session.stdout.close()
    assert session.process.wait(DEADLINE_S) == 141
    gone(*pids)


def test_a_client_that_is_killed_takes_all_with_it(shared_home: Home, tmp_path: object, leaver: str) -> None:
    """The kernel closes its ends; nothing else tells."""
    code = (
        "import subprocess, sys, time\n"
        "p = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "p.stdin.write(sys.argv[1].encode()); p.stdin.flush(); time.sleep(600)\n"
    )
    run = json.dumps({"type": "run", "command": f"{leaver} one; sh -c 'echo $$ >two; exec sleep 600'"}) + "\n"
    client = subprocess.Popen([sys.executable, "-c", code, run, *FRONT], cwd=str(tmp_path), env=shared_home.environ)
    paths = [os.path.join(str(tmp_path), name) for name in ("one", "two")]
    wait_for(lambda: all(os.path.exists(path) and os.path.getsize(path) > 1 for path in paths), "nothing runs")
    pids = []
    for path in paths:
        with open(path) as file:
            pids.append(int(file.read()))
    (front,) = proc.children(client.pid)
    client.kill()
    client.wait()
    gone(front, *pids)


def test_a_client_that_reads_nothing_is_taken_for_dead(open_session: Callable[..., Session]) -> None:
    session = open_session("--patience-s=0.5", "--grace-s=0.2")
    session.send("run", command="seq 300000", output_bytes=1 << 20)
    session.send("run", command="sh -c 'echo $$ >pid; exec sleep 600'")
    pid = session.pid_in("pid")
    assert session.process.wait(DEADLINE_S) == 141
    gone(pid)


def test_a_client_that_reads_late_gets_all_of_it(open_session: Callable[..., Session]) -> None:
    """And the front does not grow meanwhile: it begins no other command, and reads no other request."""
    session = open_session()
    done, before_bytes = session.folder / "done", resident_bytes(session.ready["pid"])
    for number in range(30):
        session.send("run", id=number, command="seq 150000; echo >>done", output_bytes=1 << 20, stream=True)
    wait_for(lambda: done.exists() and done.stat().st_size >= 5, "it stops too early")
    results = [session.until("result") for _ in range(12)]
    assert resident_bytes(session.ready["pid"]) - before_bytes < 32 << 20
    results += [session.until("result") for _ in range(18)]
    assert [result["id"] for result in results] == list(range(30))
    assert {result["stdout_bytes"] for result in results} == {938895}


def test_the_end_of_the_requests_lets_what_was_asked_for_be_done(open_session: Callable[..., Session]) -> None:
    session = open_session("--grace-s=0.2")
    session.out("sh -c 'echo $$ >pid; exec sleep 600' &")
    session.send("run", id=1, command="sleep 0.1; echo one")
    session.write(b'{"type":"run","id":2,"command":"echo two"}')
    answers = session.end()
    assert [(answer["id"], answer.get("stdout")) for answer in answers] == [(1, "one\n"), (2, "two\n"), (None, None)]
    assert answers[-1]["reason"] == "end of input"
    gone(session.pid_in("pid"))


def test_results_that_are_unread_at_the_end_of_the_requests_are_not_lost(
    open_session: Callable[..., Session],
) -> None:
    session = open_session()
    session.send("run", command="seq 150000", output_bytes=1 << 20)
    session.stdin.close()
    with pytest.raises(subprocess.TimeoutExpired):
        session.process.wait(1.5)
    assert session.until("result")["stdout_omitted_bytes"] == 0
    assert session.answer()["type"] == "closed"


def test_close_ends_it_with_a_last_line(open_session: Callable[..., Session]) -> None:
    session = open_session()
    session.send("run", id=1, command="trap 'echo bye >bye' EXIT")
    session.send("close", id=2)
    session.send("run", id=3, command="echo no")
    assert session.answer()["id"] == 1
    assert session.answer() == {"type": "closed", "id": 2, "reason": "close"}
    assert session.process.wait(DEADLINE_S) == 0
    assert (session.folder / "bye").read_text() == "bye\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_and_is_told(busy: tuple[Session, list[int]], number: int) -> None:
    session, pids = busy
    session.process.send_signal(number)
    assert session.until("result")["ended"] is True
    assert session.answer()["reason"] == signal.Signals(number).name
    assert session.process.wait(DEADLINE_S) == 128 + number
    gone(*pids)


def test_ctrl_c_at_the_terminal_of_the_client_ends_the_command_alone(open_session: Callable[..., Session]) -> None:
    session = open_session()
    session.send("run", command="echo begun; sleep 600; echo no", stream=True)
    session.until("output")
    session.process.send_signal(signal.SIGINT)
    assert session.until("result")["status"] == 130
    session.process.send_signal(signal.SIGINT)
    assert session.out("echo on") == "on\n"


def test_a_killed_front_leaves_nothing(busy: tuple[Session, list[int]]) -> None:
    session, pids = busy
    session.process.kill()
    gone(*pids)


def test_a_killed_warden_is_replaced_and_the_state_is_lost(busy: tuple[Session, list[int]]) -> None:
    session, pids = busy
    os.kill(warden(session), signal.SIGKILL)
    result = session.until("result")
    assert (result["state_lost"], result["status"]) == (True, 137)
    assert result["background"] == []
    assert not any(map(lives, pids)), "nobody would end it, if the front was killed next"
    assert session.run("echo on")["stdout"] == "on\n"


def test_a_killed_shell_leaves_nothing_of_its_command(busy: tuple[Session, list[int]]) -> None:
    session, pids = busy
    os.kill(session.ready["shell_pid"], signal.SIGKILL)
    result = session.until("result")
    assert (result["state_lost"], result["status"]) == (True, 137)
    assert not lives(pids[2])
    assert lives(pids[0])
    assert lives(pids[1])


def test_a_shell_that_is_killed_between_two_commands_is_replaced(open_session: Callable[..., Session]) -> None:
    session = open_session()
    session.out("x=1")
    os.kill(session.ready["shell_pid"], signal.SIGKILL)
    wait_for(lambda: not lives(session.ready["shell_pid"]), "it lives")
    results = [session.run("echo ${x-unset}") for _ in range(2)]
    assert results[-1]["stdout"] == "unset\n"
    assert [result["state_lost"] for result in results].count(True) == 1, "told once"


def test_a_life_line_that_breaks_ends_it(shared_home: Home) -> None:
    """The stub of a supervised session was killed, and the client does not close its ends."""
    read, write = os.pipe()
    front = subprocess.Popen(
        [*FRONT, f"--lifeline={read}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=shared_home.environ,
        pass_fds=(read,),
    )
    os.close(read)
    assert front.stdout is not None
    assert json.loads(front.stdout.readline())["type"] == "ready"
    os.close(write)
    assert front.wait(DEADLINE_S) == 141
    assert front.stdin is not None
    front.stdin.close()
    front.stdout.close()


def test_a_session_that_was_stopped_has_not_used_up_its_time(open_session: Callable[..., Session]) -> None:
    """`aish pause`, a laptop that sleeps: the command was stopped as well."""
    session = open_session()
    session.send("run", command="echo begun; sleep 0.3; echo on", timeout_s=1.5, stream=True)
    session.until("output")
    own = [session.ready["pid"], warden(session), session.ready["shell_pid"]]
    everybody = [*own, *proc.children(own[-1])]
    for pid in everybody:
        os.kill(pid, signal.SIGSTOP)
    with pytest.raises(subprocess.TimeoutExpired):
        session.process.wait(2)
    for pid in reversed(everybody):
        os.kill(pid, signal.SIGCONT)
    assert session.until("result")["stdout"] == "begun\non\n"


def test_a_fault_of_the_front_is_told_in_a_line_and_leaves_nothing(shared_home: Home) -> None:
    done = subprocess.run(
        [*FRONT, "--timeout-s=soon"],
        env=shared_home.environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, b"Traceback" in done.stderr) == (70, b"", False)
    assert done.stderr.startswith(b"aish session: a fault in aish: ValueError")
