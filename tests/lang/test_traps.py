"""Traps where the comparison with bash does not reach: within each other, and at the edges of processes."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.lang.conftest import Aish


def test_an_err_trap_that_fails_does_not_call_itself(aish: Aish) -> None:
    assert aish("trap 'echo err; false' ERR; false; echo on").out == "err\non\n"


def test_a_debug_trap_does_not_trace_itself(aish: Aish) -> None:
    assert aish("trap 'echo d; :' DEBUG; echo a").out == "d\na\n"


def test_a_trap_that_is_no_program_is_told_and_the_script_goes_on(aish: Aish) -> None:
    found = aish("trap 'echo )' USR1; kill -USR1 $$; echo on")
    assert (found.out, found.status) == ("on\n", 0)
    assert "trap USR1:1:6" in found.err


def test_exit_in_a_trap_gives_the_status_from_before(aish: Aish) -> None:
    assert aish("trap 'true; exit' EXIT; exit 7").status == 7


def test_a_subshell_in_a_trap_has_its_own_status(aish: Aish) -> None:
    assert aish("trap '(false; exit); echo $?' EXIT; exit 5").out == "1\n"


def test_a_real_time_signal_has_its_name(aish: Aish) -> None:
    number = signal.SIGRTMIN + 2
    assert aish(f"trap 'echo rt' RTMIN+2; trap; kill -{number} $$; kill -l {number}").out == (
        "trap -- 'echo rt' SIGRTMIN+2\nrt\nRTMIN+2\n"
    )


def test_wait_is_cut_short_by_a_trapped_signal_and_can_go_on(aish: Aish) -> None:
    script = "trap 'echo t' USR1; sleep 0.4 & (kill -USR1 $$) & wait %1; echo $?; wait %1; echo $?"
    out = aish(script).out
    assert out in ("t\n138\n0\n", "t\n0\n0\n", "t\n0\n127\n")


def test_child_signals_do_not_cut_wait_short(aish: Aish) -> None:
    """Each child that ends sends one: `wait` for all of them would never be for all."""
    assert aish("trap : CHLD; sleep 0.1 & (sleep 0.3; echo late) & wait; echo done").out == "late\ndone\n"


def test_wait_n_sleeps_until_the_first_is_done(aish: Aish) -> None:
    """By the processes' own descriptors: a child of somebody else in this process wakes nobody."""
    running = aish.popen("sleep 30 & s=$!; (exit 4) & wait -n; echo $?; kill $s")
    out, _ = running.communicate(timeout=60)
    assert (out, running.returncode) == (b"4\n", 0)


def test_traps_are_shown_in_a_substitution_and_not_run_there(aish: Aish) -> None:
    assert aish("trap 'echo bye' EXIT; x=$(trap); trap - EXIT; echo \"$x\"").out == "trap -- 'echo bye' EXIT\n"


def test_a_dying_shell_runs_its_exit_trap_once(aish: Aish) -> None:
    running = aish.popen("trap 'echo bye' EXIT; echo ready; while :; do sleep 0.05; done")
    assert running.stdout is not None
    assert running.stdout.readline() == b"ready\n"
    running.send_signal(signal.SIGTERM)
    out, _ = running.communicate(timeout=60)
    assert (out, running.returncode) == (b"bye\n", -signal.SIGTERM)


def test_signals_that_come_while_a_program_runs_are_acted_upon_once(aish: Aish) -> None:
    """`timeout` sends two, to the process and to its group: what a script does to clean up was done twice."""
    sends = "n=0; while [ $n -lt 200 ]; do kill -USR1 $PPID; n=$((n + 1)); done"
    assert aish(f"trap 'echo t' USR1; sh -c '{sends}'; echo end").out == "t\nend\n"


def test_an_exit_trap_that_sets_another_does_not_run_that(aish: Aish) -> None:
    """The shell leaves once; a ( ) within the trap leaves by itself, with a trap of its own."""
    script = 'trap \'echo 1; (trap "echo 2" EXIT); trap "echo 3" EXIT; exit 4\' EXIT; exit 5'
    found = aish(script)
    assert (found.out, found.status) == ("1\n2\n", 4)


def test_a_trap_runs_before_the_command_behind_a_condition(aish: Aish) -> None:
    """It waited for the end of the list: behind `if kill ...; then` the body's first command came first."""
    kill = "kill -USR1 $$"
    script = (
        f"trap 'echo t' USR1; if {kill}; then echo if; fi; {kill} && echo and; ! {kill} || echo or; "
        f"if false; then :; elif {kill}; then echo elif; fi; while {kill}; do echo do; break; done"
    )
    assert aish(script).out.split() == ["t", "if", "t", "and", "t", "or", "t", "elif", "t", "do"]
