"""An agent that an adapter runs, as a process: the spec of its host."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from aish.agents import adapters, allowance
from aish.agents.agent import DEFAULT_MODEL
from aish.agents.host import invocation
from aish.model import kind
from aish.wire.spec import SpecPart

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aish.agents.agent import Agent

GRACE_S = 10.0
"""Its program may have helpers of its own to end."""


def spec(
    agent: Agent, words: Sequence[str], cwd: str, model: str | None = None, *, attached: bool = False
) -> SpecPart:
    """Raises NotFoundError where there is no such adapter."""
    adapter = adapters.load(agent.adapter or "")
    argv = invocation.command(
        words,
        attached=attached,
        adapter=None if agent.file else adapter.name,
        file=agent.file,
        name=agent.name,
        model=model,
    )
    own = agent.login == "own"
    return SpecPart(
        argv=[os.fsencode(word) for word in argv],
        cwd=os.fsencode(cwd),
        name=agent.name,
        kind=kind.AGENT,
        model=None if own else model or os.environ.get("AISH_MODEL") or agent.model or DEFAULT_MODEL,
        budget_tokens=agent.limits.tokens,
        budget=allowance.budget(agent.limits),
        secrets=list(agent.secrets),
        when_reserved=agent.when_reserved,
        observe=adapter.name if own and adapter.own_login == "observed" else None,
        grace_s=GRACE_S,
    )
