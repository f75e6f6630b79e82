"""What replies say of themselves."""

from __future__ import annotations

import pytest

from aish.wire.reply import Started


@pytest.mark.parametrize(
    ("state", "pid", "nothing"),
    [
        ("failed", None, True),
        ("exited", None, True),
        ("exited", 7, False),
        ("queued", None, False),
        ("running", 7, False),
    ],
)
def test_what_was_stopped_before_it_was_started_has_not_begun(state: str, pid: int | None, nothing: bool) -> None:
    """Fault: `aish spawn` of one that somebody stops in the queue would say that it is there."""
    assert Started(id="p1", name="x", state=state, pid=pid).came_to_nothing is nothing
