"""Traps, Ctrl-C in scripts, the statuses of what was killed. Signals are sent when the script says it is ready."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lang.conftest import SHELL

if TYPE_CHECKING:
    from tests.lang.conftest import Aish


def asleep(pid: int) -> None:
    """Wait until a process sits in a system call: the kernel has no event for that."""
    end = time.monotonic() + 20
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "S":
        assert time.monotonic() < end, "still running"
        time.sleep(0.005)


def signalled(aish: Aish, script: str, signo: int, *, group: bool = False, in_wait: bool = False) -> tuple[str, int]:
    """Run a script in a session of its own, send a signal when it has written 'ready' (and, with `in_wait`, when
    it sleeps in `wait`), and see its end."""
    running = aish.popen(script, start_new_session=True)
    assert running.stdout is not None
    assert running.stderr is not None
    try:
        assert running.stdout.readline() == b"ready\n"
        if in_wait:
            asleep(running.pid)
        if group:
            os.killpg(running.pid, signo)
        else:
            os.kill(running.pid, signo)
        out, err = running.communicate(timeout=60)
    finally:
        if running.poll() is None:  # where the tests began with that signal ignored it would go on for ever
            os.killpg(running.pid, signal.SIGKILL)
            running.communicate()
    assert b"a fault in aish" not in err
    assert b"Traceback" not in err
    return out.decode(), running.returncode


BUSY = "while :; do :; done"
WAITING = "sh -c 'echo ready; exec sleep 60'; echo after $?"


@pytest.mark.parametrize(
    "script", [f"echo ready; {BUSY}", "echo ready; read x < fifo", "echo ready; sleep 60; echo no"]
)
def test_interrupt_kills_a_script(script: str, aish: Aish) -> None:
    os.mkfifo(aish.folder / "fifo")
    assert signalled(aish, script, signal.SIGINT, group=True) == ("", -signal.SIGINT)


def test_interrupt_that_the_program_handles_is_not_ours(aish: Aish) -> None:
    """An editor, or a Python prompt, uses Ctrl-C: the script that called it goes on."""
    child = "sh -c 'trap \"exit 3\" INT; echo ready; while :; do sleep 0.05; done'; echo after $?"
    assert signalled(aish, child, signal.SIGINT, group=True) == ("after 3\n", 0)


def test_interrupt_that_kills_the_program_kills_the_script(aish: Aish) -> None:
    assert signalled(aish, WAITING, signal.SIGINT, group=True) == ("", -signal.SIGINT)


def test_interrupt_in_a_substitution(aish: Aish) -> None:
    script = "x=$(echo ready >&2; exec sleep 60); echo no"
    running = aish.popen(script, start_new_session=True)
    assert running.stderr is not None
    assert running.stderr.readline() == b"ready\n"
    os.killpg(running.pid, signal.SIGINT)
    out, _ = running.communicate(timeout=60)
    assert (out, running.returncode) == (b"", -signal.SIGINT)


def test_exit_trap_runs_before_a_death_by_interrupt(aish: Aish) -> None:
    script = f"trap 'echo cleanup' EXIT; echo ready; {BUSY}"
    assert signalled(aish, script, signal.SIGINT) == ("cleanup\n", -signal.SIGINT)


@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGALRM, signal.SIGXCPU])
def test_exit_trap_runs_before_other_deaths(signo: int, aish: Aish) -> None:
    script = f"trap 'echo cleanup' EXIT; echo ready; {BUSY}"
    assert signalled(aish, script, signo) == ("cleanup\n", -signo)


def test_exit_trap_runs_where_the_reader_has_left(aish: Aish) -> None:
    """Fault: `script | head -1` left the script's temporary files behind."""
    running = aish.popen("trap 'echo cleanup >&2' EXIT; while :; do echo y; done")
    assert running.stdout is not None
    running.stdout.readline()
    running.stdout.close()
    assert running.wait(20) == -signal.SIGPIPE
    assert running.stderr is not None
    assert running.stderr.read() == b"cleanup\n"
    running.stderr.close()


def test_exit_trap_takes_no_signal_of_a_copy_away(aish: Aish) -> None:
    """Fault: what comes right behind the fork found the shell's handler, and was lost."""
    script = "trap 'echo exit' EXIT; for s in PIPE USR1 ALRM XFSZ; do sleep 9 & kill -$s $!; wait $!; echo $?; done"
    assert aish(script + "; (kill -USR2 $BASHPID; echo no); echo $?").out.split() == [
        "141",
        "138",
        "142",
        "153",
        "140",
        "exit",
    ]


def test_term_without_traps_is_the_default(aish: Aish) -> None:
    assert signalled(aish, f"echo ready; {BUSY}", signal.SIGTERM) == ("", -signal.SIGTERM)


def test_trap_runs_between_commands(aish: Aish) -> None:
    script = f"trap 'echo caught; exit 7' TERM; echo ready; {BUSY}"
    assert signalled(aish, script, signal.SIGTERM) == ("caught\n", 7)


def test_trap_waits_for_the_foreground_program(aish: Aish) -> None:
    script = "trap 'echo caught' TERM; sh -c 'echo ready; sleep 0.3; echo program'; echo after"
    assert signalled(aish, script, signal.SIGTERM) == ("program\ncaught\nafter\n", 0)


def test_trap_cuts_wait_short(aish: Aish) -> None:
    script = "trap 'echo caught' USR1; sleep 60 & echo ready; wait; echo $?; kill $!"
    assert signalled(aish, script, signal.SIGUSR1, in_wait=True) == (f"caught\n{128 + signal.SIGUSR1}\n", 0)


def test_trap_of_interrupt_keeps_the_script_alive(aish: Aish) -> None:
    script = "trap 'echo caught' INT; n=0; echo ready; while [ $n = 0 ]; do :; done; echo no"
    running = aish.popen(script.replace("echo caught", "echo caught; n=1").replace("echo no", "echo yes"))
    assert running.stdout is not None
    assert running.stdout.readline() == b"ready\n"
    running.send_signal(signal.SIGINT)
    out, _ = running.communicate(timeout=60)
    assert (out, running.returncode) == (b"caught\nyes\n", 0)


def test_background_is_deaf_to_the_keyboard(aish: Aish) -> None:
    """POSIX: without job control SIGINT and SIGQUIT do not reach what runs behind &."""
    script = "sh -c 'kill -INT $$; kill -QUIT $$; echo alive' & wait $!; echo $?"
    assert aish(script).out == "alive\n0\n"


@pytest.mark.parametrize("name", ["TERM", "KILL", "SEGV", "USR1", "PIPE"])
def test_status_of_a_killed_program(name: str, aish: Aish) -> None:
    number = signal.Signals[f"SIG{name}"].value
    found = aish(f"sh -c 'kill -{name} $$'; echo $?")
    assert found.out == f"{128 + number}\n"
    assert (found.err == "") is (name == "PIPE")


def test_shell_that_kills_itself(aish: Aish) -> None:
    assert aish("kill -TERM $$; echo no").status == -signal.SIGTERM


def test_trap_in_a_subshell_is_its_own(aish: Aish) -> None:
    assert aish(
        "trap 'echo outer' USR1; (trap 'echo inner' USR1; kill -USR1 $(sh -c 'echo $PPID')); echo end"
    ).out == ("inner\nend\n")


def test_traps_are_shown_in_a_substitution(aish: Aish) -> None:
    """POSIX: save_traps=$(trap) must work although a subshell resets them."""
    assert aish("trap 'echo x' INT; x=$(trap); echo \"$x\"").out == "trap -- 'echo x' SIGINT\n"


def test_a_trap_comes_before_the_exit_trap_where_errexit_ends_the_script(aish: Aish) -> None:
    """A clean-up was cut short after its first command, by the trap of the signal that had ended the script."""
    traps = "trap 'echo one; echo two' EXIT; trap 'echo trapped; exit 9' TERM"
    script = f"set -e; {traps}; sh -c 'echo ready; exec sleep 60'; echo no"
    assert signalled(aish, script, signal.SIGTERM, group=True) == ("trapped\none\ntwo\n", 9)


def test_kill_and_stop_cannot_be_trapped(aish: Aish) -> None:
    """It is noted and shown, as in bash; the signal ends the shell all the same."""
    found = aish("trap 'echo no' KILL; trap; kill -KILL $$; echo on")
    assert (found.out, found.status) == ("trap -- 'echo no' SIGKILL\n", -9)


def test_unknown_signal_is_told(aish: Aish) -> None:
    found = aish("kill -NOSUCH $$; echo $?; trap x NOSUCH; echo $?")
    assert found.out == "1\n1\n"
    assert "NOSUCH: not a signal" in found.err


def test_lost_child_does_not_hang_the_shell(aish: Aish) -> None:
    """With SIGCHLD ignored in earnest the kernel reaps, and nobody can tell the status: it was 127, `wait` too."""
    script = "trap '' CHLD; sh -c 'exit 3'; echo $?; (exit 4); echo $?; (exit 5) & wait $!; echo $?; trap"
    assert aish(script, timeout=60).out == "3\n4\n5\ntrap -- '' SIGCHLD\n"


def test_signal_sent_to_the_shell_while_it_waits_for_a_job(aish: Aish) -> None:
    script = "trap 'echo usr1' USR1; (echo ready; sleep 1; exit 4) & wait $!; echo $?; wait $!; echo $?"
    out, status = signalled(aish, script, signal.SIGUSR1, in_wait=True)
    assert (out, status) == ("usr1\n138\n4\n", 0)


def test_foreground_program_keeps_its_output_from_us(aish: Aish) -> None:
    """A program writes to the descriptor it inherited; nothing of it passes through Python."""
    read, write = os.pipe()
    running = subprocess.Popen(
        [*SHELL, "-c", "readlink /proc/self/fd/1; :"],
        stdout=write, env=aish.environment,
    )  # fmt: skip
    os.close(write)
    with os.fdopen(read, "rb") as stream:
        shown = stream.read().decode().strip()
        assert shown == os.readlink(f"/proc/self/fd/{stream.fileno()}")
    assert running.wait(20) == 0
