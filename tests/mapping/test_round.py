"""Which items run next, and how the whole has ended."""

from __future__ import annotations

from aish.mapping.round import DONE, FAILED, RUNNING, WAITING, Round, in_order


def states(round: Round) -> list[str]:
    return [job.state for job in round.jobs]


def test_so_many_at_a_time_in_order() -> None:
    round = Round.of(["a", "b", "c"], most=2)
    first = round.next()
    assert [job.item for job in first] == ["a", "b"]
    for job in first:
        round.began(job, "p")
    assert round.next() == []
    round.ended(first[1], 0, 1.0)
    assert [job.item for job in round.next()] == ["c"]
    assert states(round) == [RUNNING, DONE, WAITING]
    assert not round.over


def test_what_failed_is_tried_again_after_those_that_were_never_tried() -> None:
    round = Round.of(["a", "b"], most=1, retries=1)
    (a,) = round.next()
    round.began(a, "p1")
    round.ended(a, 7, None)
    assert [job.item for job in round.next()] == ["b"]
    (b,) = round.next()
    round.began(b, "p2")
    round.ended(b, 0, None)
    (again,) = round.next()
    assert again is a
    round.began(a, "p3")
    round.ended(a, 7, None)
    assert (a.state, a.attempts, round.status, round.over) == (FAILED, 2, 1, True)


def test_halted_by_the_first_that_failed_for_good() -> None:
    round = Round.of(["a", "b", "c"], most=2, halt=True)
    a, b = round.next()
    round.began(a, "p1")
    round.began(b, "p2")
    round.ended(a, 1, None)
    assert round.next() == []
    assert not round.over
    round.ended(b, 0, None)
    assert round.over
    assert round.status == 2, "c was never run: that is no success"


def test_stopped_nothing_is_tried_again() -> None:
    round = Round.of(["a"], most=1, retries=5)
    (a,) = round.next()
    round.began(a, "p")
    round.stop()
    round.ended(a, 143, None)
    assert (a.state, round.over) == (FAILED, True)


def test_the_status_is_how_many_failed_up_to_what_a_status_holds() -> None:
    round = Round.of([str(number) for number in range(300)], most=1)
    assert round.status == 101
    assert round.told() == "0/300 done"


def test_printed_in_the_order_of_the_items() -> None:
    round = Round.of(["a", "b", "c"], most=3)
    for job in round.next():
        round.began(job, "p")
    round.ended(round.jobs[1], 0, None)
    assert in_order(round.jobs, 0) == []
    round.ended(round.jobs[0], 0, None)
    assert [job.item for job in in_order(round.jobs, 0)] == ["a", "b"]
    round.ended(round.jobs[2], 1, None)
    assert [job.item for job in in_order(round.jobs, 2)] == ["c"]
