"""A thousand children at once: none is left, and none comes back. How fast is a goal of `./dev bench-supervisor`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Supervised

COUNT = 1000


def ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("home")
def test_stop_of_1000_children_leaves_nobody(up: Supervised) -> None:
    pids = {up.spawn("sleep", "300", restart="always").pid or 0 for _ in range(COUNT)}
    assert len(pids) == COUNT
    assert not any(map(ended, pids))
    done = up.home.aish("shutdown", timeout=120)
    assert done.returncode == 0, done.stderr
    assert all(map(ended, pids))
    rows = json.loads(up.home.aish("ps", "--all", "--json").stdout)
    assert len(rows) == COUNT
    assert {row["state"] for row in rows} == {"exited"}, "one came back"
