"""Whose a process is, however it has left its parents: what is ended with a command, and what must not be."""

from __future__ import annotations

from aish.session.kin import Row, assigned, parse_row, tops

SHELL = 10
OWN = {1, 5, SHELL}


def row(pid: int, parent: int, group: int | None = None, session: int = 5) -> Row:
    return Row(pid, parent, group or pid, session, pid * 100)


def whose(rows: list[Row], known: dict[int, int], now: int, tagged: dict[int, int] | None = None) -> dict[int, int]:
    def keys(by_pid: dict[int, int]) -> dict[tuple[int, int], int]:
        return {(pid, pid * 100): number for pid, number in by_pid.items()}

    return {pid: number for (pid, _), number in assigned(rows, keys(known), keys(tagged or {}), OWN, now).items()}


def test_what_is_new_belongs_to_the_command_that_runs() -> None:
    assert whose([row(20, SHELL), row(21, 20, 20), row(22, SHELL)], {}, 3) == {20: 3, 21: 3, 22: 3}


def test_what_a_server_in_the_background_starts_is_its_own() -> None:
    rows = [row(20, SHELL), row(21, 20), row(22, 21), row(30, SHELL)]
    assert whose(rows, {20: 1}, 3) == {20: 1, 21: 1, 22: 1, 30: 3}


def test_who_has_lost_its_parent_is_told_by_tag_group_or_session() -> None:
    server, worker, daemon = row(20, SHELL, 20, 77), row(21, 5, 20, 5), row(22, 5, 22, 77)
    assert whose([server, worker, daemon, row(23, 5)], {20: 1}, 3, {23: 2}) == {20: 1, 21: 1, 22: 1, 23: 2}


def test_the_group_and_the_session_of_the_shell_tell_nothing() -> None:
    """A substitution is in the shell's own group: it does not belong to all that are."""
    assert whose([row(20, SHELL, SHELL), row(21, SHELL, SHELL)], {20: 1}, 3) == {20: 1, 21: 3}


def test_a_number_that_was_given_away_again_is_somebody_else() -> None:
    assert assigned([Row(20, SHELL, 20, 5, 999)], {(20, 1): 1}, {}, OWN, 3) == {(20, 999): 3}


def test_of_many_processes_those_on_top_are_shown() -> None:
    rows = [row(20, SHELL), row(21, 20), row(22, 21), row(30, 5)]
    assert [(top.pid, count) for top, count in tops(rows)] == [(20, 3), (30, 1)]


def test_a_row_is_read_whatever_a_program_calls_itself() -> None:
    text = b"7 (a) b (c)) S 3 4 5 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 4242 0 0"
    assert parse_row(7, text) == Row(7, 3, 4, 5, 4242)
    assert parse_row(7, text.replace(b") S", b") Z")) is None
    assert parse_row(7, b"") is None
