"""What an agent file's limits are to the supervisor and the gateway. Pure."""

from __future__ import annotations

from aish.wire import budget
from aish.wire.spec import BudgetPart, LimitPart

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from aish.agents.agent import Limits


def fields(limits: Limits) -> dict[str, Any]:
    """Fields of SpecPart."""
    asked: dict[str, Any] = {
        budget.COUNTS.get(word) or budget.DOLLARS.get(word) or word: bool(most) if word == budget.HARD else most
        for word, most in limits.budget.items()
    }
    tree = LimitPart(
        memory_bytes=limits.memory_bytes,
        cpus=limits.cpus,
        pids=limits.pids,
        children=limits.children,
        depth=limits.depth,
    )
    return {
        "budget_tokens": limits.tokens,
        "budget": BudgetPart(**asked) if asked else None,
        "limits": None if tree == LimitPart() else tree,
        "vram_bytes": limits.vram_bytes,
        "gpu_count": limits.gpu_count or 1,
        "run_timeout_s": limits.wall_s,
    }


def told(limits: Limits) -> str:
    """As `aish limit` takes them; empty: nothing is limited."""
    from aish.model.size import format_bytes  # only for who shows agents

    found = fields(limits)
    tree = {
        "memory": None if limits.memory_bytes is None else format_bytes(limits.memory_bytes),
        "cpus": None if limits.cpus is None else f"{limits.cpus:g}",
        "pids": limits.pids,
        "children": limits.children,
        "depth": limits.depth,
        "vram": None if limits.vram_bytes is None else format_bytes(limits.vram_bytes),
        "gpus": limits.gpu_count,
    }
    whole = budget.whole(limits.tokens, found["budget"], limits.wall_s)
    return " ".join(filter(None, (whole, *(f"{word}={most}" for word, most in tree.items() if most is not None))))
