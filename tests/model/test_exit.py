"""An exit that nobody saw is lost, never 0."""

from __future__ import annotations

from aish.model.exit import Exit


def test_wait_statuses() -> None:
    assert Exit.from_wait_status(0) == Exit(0, None)
    assert Exit.from_wait_status(3 << 8) == Exit(3, None)
    assert Exit.from_wait_status(9) == Exit(None, 9)
    assert Exit.from_wait_status(11 | 0x80) == Exit(None, 11)  # with a core dump


def test_a_lost_exit_has_no_status() -> None:
    lost = Exit.from_wait_status(None)
    assert lost.lost
    assert lost.shell_status is None


def test_shell_statuses() -> None:
    assert Exit(0, None).shell_status == 0
    assert Exit(None, 15).shell_status == 143
