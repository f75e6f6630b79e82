"""Who waits in vain is told of who stood still meanwhile."""

from __future__ import annotations

import pytest

from aish.client.patience import told

HOLDER = "the holder (pid 5) has stood still for 12 s: `kill -CONT 5` lets it go on"
DAEMON = "the daemon stood still for 3 s"


@pytest.mark.parametrize(
    ("stood_s", "still", "said"),
    [
        ({}, {}, None),
        ({"holder": 12.2}, {"holder": 5}, HOLDER),
        ({"daemon": 3.0}, {}, DAEMON),
        ({"daemon": 3.0, "holder": 12.0}, {"holder": 5}, f"{DAEMON}; {HOLDER}"),
    ],
)
def test_told(stood_s: dict[str, float], still: dict[str, int], said: str | None) -> None:
    assert told(stood_s, still) == said
