"""What an end means: pure."""

from __future__ import annotations

import pytest

from aish.model import exit as exits
from aish.supervisor.daemon.row import Row
from aish.supervisor.daemon.verdict import recurs
from aish.wire.spec import SchedulePart, SpecPart


@pytest.mark.parametrize(
    ("reason", "goes_on"),
    [(None, True), (exits.TIMEOUT, True), (exits.WRAPUP, True), (exits.CANCELLED, False), (exits.PARENT, False)],
)
def test_a_last_word_ends_the_run_and_not_the_schedule(reason: str | None, *, goes_on: bool) -> None:
    """A nightly agent that was wrapped up once was never run again."""
    spec = SpecPart(argv=[b"true"], schedule=SchedulePart(cron="@daily"))
    row = Row(id="p1", number=1, name="nightly", spec=spec, created_s=0.0)
    row.stop_reason = reason
    assert recurs(row) is goes_on
