"""Which folders for groups are used after somebody has taken some away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aish.supervisor.daemon.cgroup import Layout
from aish.supervisor.daemon.groups import Groups, renewed
from aish.wire.spec import LimitPart

if TYPE_CHECKING:
    from pathlib import Path

ALL = frozenset({"memory", "pids"})


def test_what_is_still_there_stays_in_use_for_groups_are_in_it() -> None:
    """Fault: a daemon that was moved looks for the groups of who runs where it is now."""
    old = Layout(v2="/v2/old", v1={"memory": "/m/old", "cpu": "/c/old"})
    new = Layout(v2="/v2/new", v1={"memory": "/m/new", "cpu": "/c/new", "pids": "/p/new"})
    found = renewed(old, new, lambda folder: folder != "/c/old")
    assert (found.v2, found.v1) == ("/v2/old", {"memory": "/m/old", "cpu": "/c/new", "pids": "/p/new"})


def test_what_v2_holds_now_is_not_held_by_v1_as_well() -> None:
    old = Layout(v2="/v2/old", v1={"memory": "/m/old", "cpu": "/c/old"})
    new = Layout(v2="/v2/new", v2_controllers=ALL, v1={"cpu": "/c/new"})
    found = renewed(old, new, lambda folder: folder != "/v2/old")
    assert (found.v2, found.holds("memory"), found.v1) == ("/v2/new", "v2", {"cpu": "/c/old"})


def test_nothing_is_left() -> None:
    assert renewed(Layout(v2="/v2"), Layout(why_not="read-only"), lambda _: False).tier == "rlimits"


def test_what_is_adopted_gets_its_groups_where_they_can_be_made_now(tmp_path: Path) -> None:
    """Fault: with the folder gone it got none, and nothing held its limits."""
    found = iter([Layout(v1={"freezer": str(tmp_path / "gone")}), Layout(v1={"freezer": str(tmp_path)})])
    groups = Groups(lambda: next(found))
    groups.prepare("p1", LimitPart(cpus=1.0))
    assert (tmp_path / "p1").is_dir()
