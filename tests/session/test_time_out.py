"""A time-out, or a client that has seen enough, ends every kind of command, and the shell's state stays."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.session.conftest import lives, processes

if TYPE_CHECKING:
    from tests.session.conftest import Session

SHORT_S = 0.15


@pytest.mark.parametrize(
    "command",
    [
        "while :; do :; done",
        "f() { while true; do x=$((x+1)); done; }; f",
        "mkfifo p; read line <p",
        "mkfifo p; exec 7<p",
        "sleep 600 & wait",
        "sleep 600",
        "sleep 600 | cat",
        "(sleep 600)",
        "x=$(sleep 600)",
        "sleep 600 && echo on || echo or",
        "trap '' INT TERM HUP; sleep 600",
        "trap 'echo trapped' INT TERM; while :; do sleep 600; done",
        "exec sleep 600",
        "eval 'sleep 600'",
        "set -e; sleep 600",
        "set +m; sleep 600",
        "trap 'sleep 600' EXIT; exit",
        "for ((;;)); do :; done",
        "cat <(sleep 600)",
        "sleep 600 > >(cat)",
        "coproc sleep 600; wait",
        "select x in a b; do :; done < <(sleep 600)",
        "time sleep 600",
        "while read x; do :; done < <(sleep 600)",
    ],
)
def test_nothing_outlasts_its_time_and_the_state_stays(session: Session, command: str) -> None:
    """And the rest of the line is not run: `sleep 600; rm` must not become `rm`."""
    session.out("kept=yes")
    result = session.run(f"{command}; touch went-on", timeout_s=SHORT_S)
    assert (result["timed_out"], result["status"], result["state_lost"]) == (True, 124, False)
    assert session.out("echo $kept; ls") in ("yes\n", "yes\np\n")
    assert processes(session) == set()


def test_a_program_that_does_not_want_to_end_is_killed(session: Session) -> None:
    script = "import signal, time; signal.signal(15, signal.SIG_IGN); open('ready', 'w'); time.sleep(600)"
    result = session.run(f'{sys.executable} -I -S -c "{script}"', timeout_s=1)
    assert (result["status"], result["duration_s"] >= 1.3) == (124, True)
    assert processes(session) == set()


def test_a_stopped_program_ends_too(session: Session) -> None:
    """Nobody is there who would let it go on."""
    assert session.run("sh -c 'kill -STOP $$'; echo no", timeout_s=SHORT_S)["status"] == 124
    session.out("sh -c 'echo $$ >pid; kill -STOP $$' &")
    session.pid_in("pid")
    assert session.ask("end")["type"] == "done"
    assert processes(session) == set()


def test_a_shell_that_is_stuck_is_replaced_and_the_result_says_so(session: Session) -> None:
    """Stopped, it cannot give anything up."""
    session.out("x=1; cd /")
    shell = int(session.out("echo $$"))
    result = session.run("kill -STOP $$; echo no", timeout_s=SHORT_S)
    assert (result["timed_out"], result["status"], result["state_lost"], result["cwd"]) == (True, 124, True, "/")
    assert session.out("echo ${x-unset}; pwd") == "unset\n/\n"
    assert not lives(shell)


def test_a_command_without_time_out_is_ended_by_another_request(session: Session) -> None:
    session.send("run", id="long", command="echo begun; sleep 600; echo no", timeout_s=None, stream=True)
    assert session.answer() == {"type": "output", "id": "long", "stream": "stdout", "text": "begun\n"}
    session.send("end", id="e", run="long")
    result = session.answer()
    assert (result["id"], result["ended"], result["timed_out"], result["status"]) == ("long", True, False, 143)
    assert result["stdout"] == "begun\n"
    assert session.answer() == {"type": "done", "id": "e"}


@pytest.mark.parametrize("body", ["sleep 600", "while :; do :; done", "sleep 600 & wait", "x=$(sleep 600)"])
def test_an_interrupt_is_what_ctrl_c_is_at_a_prompt(session: Session, body: str) -> None:
    session.send("run", id=1, command=f"x=1; echo begun; {body}; echo no", stream=True)
    session.until("output")
    assert session.ask("signal", id=2, run=1)["type"] == "done"
    result = session.answer()
    assert (result["id"], result["status"], result["stdout"], result["ended"]) == (1, 130, "begun\n", False)
    assert session.out("echo $x") == "1\n"
    session.ask("end")


def test_an_interrupt_that_a_program_handles_is_its_own_affair(session: Session) -> None:
    script = "print('begun', flush=True)\n time.sleep(600)\nexcept KeyboardInterrupt:\n print('handled')"
    session.file("p.py", f"import time\ntry:\n {script}")
    session.send("run", id=1, command=f"{sys.executable} -I -S p.py; echo on", stream=True)
    session.until("output")
    session.ask("signal", run=1)
    assert session.until("result")["stdout"] == "begun\nhandled\non\n"


def test_a_signal_reaches_the_background_of_an_earlier_command(session: Session) -> None:
    session.out(
        "sh -c 'trap \"echo usr >got; exit\" USR1; echo $$ >pid; while :; do sleep 0.01; done' &", id="server"
    )
    session.pid_in("pid")
    assert session.ask("signal", run="server", signal="SIGUSR1")["signalled"] >= 1
    assert session.out("wait; cat got") == "usr\n"


def test_an_interrupt_between_two_commands_is_not_for_the_next_one(session: Session) -> None:
    session.send("run", id=1, command=":")
    session.send("signal", id=2, run=1)
    found = [session.answer(), session.answer()]
    assert {answer["type"] for answer in found} <= {"result", "done", "error"}
    assert session.out("echo untouched") == "untouched\n"


def test_the_queue_is_not_touched_by_the_end_of_one(session: Session) -> None:
    session.send("run", id=1, command="sleep 600", timeout_s=SHORT_S)
    session.send("run", id=2, command="sleep 600")
    session.send("run", id=3, command="echo three")
    session.send("end", id=4, run=2)
    assert session.until("error")["id"] == 2
    assert [session.until("result")["id"] for _ in range(2)] == [1, 3]
