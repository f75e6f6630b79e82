"""The order in which what is to end is asked, urged and killed."""

from __future__ import annotations

from aish.session.ending import ASK, HOPELESS_S, INSIST, INSIST_S, KILL, KILL_SHELL, SHELL_S, Ending


def acts(ending: Ending, *times_s: float) -> list[list[str]]:
    return [ending.acts(time_s) for time_s in times_s]


def test_processes_are_asked_once_and_killed_as_often_as_there_are_some() -> None:
    ending = Ending(frozenset({1}), at_shell=False, now_s=100, grace_s=2)
    assert acts(ending, 100, 100.1, 101.9, 102, 102.1) == [[ASK], [], [], [KILL], [KILL]]


def test_a_shell_that_does_not_come_back_is_urged_and_then_killed() -> None:
    ending = Ending(frozenset({1}), at_shell=True, now_s=100, grace_s=2)
    assert acts(ending, 100, 100 + INSIST_S, 101, 102, 102 + SHELL_S) == [
        [ASK],
        [INSIST],
        [],
        [KILL],
        [KILL_SHELL, KILL],
    ]


def test_it_is_over_when_nobody_is_left_and_the_shell_is_back() -> None:
    ending = Ending(frozenset({1}), at_shell=True, now_s=100, grace_s=2)
    for left, busy, over in ((True, True, False), (False, True, False), (True, False, False), (False, False, True)):
        ending.looked(100, left=left, busy=busy)
        assert ending.over is over


def test_what_even_sigkill_does_not_end_is_left_after_a_while() -> None:
    ending = Ending(None, at_shell=False, now_s=100, grace_s=2)
    ending.looked(102 + HOPELESS_S, left=True, busy=False)
    assert ending.over is True


def test_it_looks_often_at_first_and_then_less_often() -> None:
    ending = Ending(None, at_shell=False, now_s=0, grace_s=100)
    pauses = []
    for _ in range(20):
        before_s = ending.next_s
        ending.acts(before_s)
        pauses.append(round(ending.next_s - before_s, 3))
    assert (pauses[0], pauses[-1], sorted(pauses) == pauses) == (0.01, 0.1, True)


def test_everything_or_what_some_commands_have_started() -> None:
    some, everything = (Ending(numbers, at_shell=False, now_s=0, grace_s=1) for numbers in (frozenset({1, 2}), None))
    assert [some.concerns(number) for number in (1, 2, 3)] == [True, True, False]
    assert everything.concerns(3) is True
