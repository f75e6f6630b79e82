"""An agent that an adapter runs, as a process: the spec of its host."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from aish.agents import adapters, allowance
from aish.agents.agent import DEFAULT_MODEL, GATEWAY, OWN
from aish.agents.asked import Asked
from aish.agents.host import invocation
from aish.errors import UsageError
from aish.model import kind
from aish.model.spec import PARK
from aish.wire.sandbox import SandboxPart
from aish.wire.spec import SpecPart

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aish.agents.agent import Agent, SandboxTable

GRACE_S = 10.0
"""Its program may have helpers of its own to end."""


def spec(
    agent: Agent,
    words: Sequence[str],
    cwd: str,
    model: str | None = None,
    *,
    attached: bool = False,
    asked: Asked | None = None,
    name: str | None = None,
) -> SpecPart:
    """`name`: what the agent is called instead. Raises NotFoundError where there is no such adapter, UsageError for
    what is asked of one that cannot do it."""
    asked = asked or Asked()
    adapter = adapters.load(agent.adapter or "")
    if asked.session is not None and not adapters.keeps_sessions(adapter):
        raise UsageError(
            f"{agent.name} cannot go on with a conversation: {adapter.name} keeps none",
            hint="`aish spawn` it without words: then each message is a turn of one",
        )
    if agent.when_reserved == PARK:
        adapters.check_parks(adapter, agent.name)
    argv = invocation.command(
        words,
        attached=attached,
        adapter=None if agent.file else adapter.name,
        file=agent.file,
        name=name or agent.name,
        model=model,
        session=asked.session,
        schema=asked.schema,
    )
    adapters.check_login(adapter, agent.login)
    own = agent.login != GATEWAY
    keys = getattr(adapter, "own_keys", ()) if own else ()
    return SpecPart(
        argv=[os.fsencode(word) for word in argv],
        cwd=os.fsencode(cwd),
        name=agent.name,
        kind=kind.AGENT,
        model=None if own else model or os.environ.get("AISH_MODEL") or agent.model or DEFAULT_MODEL,
        **allowance.fields(agent.limits),
        when_reserved=agent.when_reserved,
        secrets=[*agent.secrets, *(name for name in keys if name in os.environ and name not in agent.secrets)],
        observe=adapter.name if agent.login == OWN and adapter.own_login == "observed" else None,
        grace_s=GRACE_S,
        sandbox=None if agent.sandbox is None else _sandbox(agent.sandbox, agent, cwd),
    )


def _sandbox(said: SandboxTable, agent: Agent, cwd: str) -> SandboxPart:
    """What its tools may read and write by the file, its sandbox lets them."""

    def paths(words: Sequence[str]) -> list[bytes]:
        return [os.fsencode(os.path.join(cwd, os.path.expanduser(word))) for word in words]

    return SandboxPart(
        profile=said.profile,
        write=paths([*said.write, *(agent.acting.paths if agent.acting is not None else ())]),
        read=paths(said.read),
        hide=paths(said.hide),
        hosts=list(said.hosts),
        models=said.models,
        spawn=said.spawn,
        hosted=True,
    )
