"""What a plan lets be read, written and asked for, for who acts in its name from outside. Pure: paths are real."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aish.sandbox import paths
from aish.sandbox.bwrap import guarded

if TYPE_CHECKING:
    from aish.sandbox.profile import Plan


def reads(plan: Plan, path: str) -> bool:
    return paths.covered(path, (*plan.read, *plan.write)) and not paths.covered(path, plan.hide)


def writes(plan: Plan, path: str) -> bool:
    """What is only read may lie within what is written to, and the other way round: the nearest root decides. What
    git uses stays as it is in both tiers, though a program in one of them can change it."""
    if not reads(plan, path) or any(paths.covered(path, guarded(git)) for git in plan.git):
        return False
    nearest = max((root for root in (*plan.read, *plan.write) if paths.within(path, root)), key=len)
    return nearest in plan.write
