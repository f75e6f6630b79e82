"""`@name …` in a pipeline: the stub that stands for a supervised agent or model in the shell's job.

It is called in a forked child of the shell, or by `aish run @name`. `@name` is, in this order: an agent file, a
model (asked directly, without instructions).
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from aish.errors import AishError, NotFoundError, UsageError
from aish.model import kind
from aish.model.nearest import nearest
from aish.wire.message import SpecPart

_EDGES = ("AISH_TENSOR_IN", "AISH_TENSOR_OUT")


def main(argv: list[str]) -> NoReturn:
    """Run `@name words…` as a supervised process on our standard streams and end as it ends. Never returns."""
    from aish.client import launch, stage
    from aish.report import report

    try:
        end = stage.run(resolve(argv[0], argv[1:]), launch.capture(), (0, 1, 2, *edge_fds()))
    except AishError as error:
        report(argv[0], error)
        os._exit(error.exit_status)
    except KeyboardInterrupt:
        os._exit(130)
    stage.leave(end)


def edge_fds() -> tuple[int, ...]:
    """The descriptors of tensor edges that this stage was given, by its environment."""
    fds: list[int] = []
    for variable in _EDGES:
        value = os.environ.get(variable)
        if value:
            from aish.tensor import edge

            fds += edge.announced_fds(value)
    return tuple(fds)


def resolve(word: str, words: list[str]) -> SpecPart:
    """What `@name words…` stands for. Raises NotFoundError with the nearest name, SourceError of the agent file."""
    name = word.removeprefix("@")
    if not name:
        raise UsageError("a name must follow the @", hint="`aish ps`, `aish model ls` and `aish agent ls` list them")
    from aish.agents import find as agents
    from aish.agents.invocation import command
    from aish.store import names as stored_names

    cwd = os.getcwd()
    agent = agents.find(name, cwd)
    if agent is not None:
        ensure_model(agent.model)
        argv = command(words, file=agent.file, name=agent.name)
        return _spec(argv, cwd, agent.name, agent.model, agent.limits.tokens)
    models = set(stored_names()) | _running_models()
    if name in models or name == "default":
        ensure_model(name)
        return _spec(command(words, direct_model=name), cwd, f"ask-{name}", name, None)
    near = nearest(name, [*agents.names(cwd), *models])
    raise NotFoundError(
        f"no agent or model is called {name}",
        hint=f"did you mean @{near}?" if near else "`aish agent ls` and `aish model ls` list what there is",
    )


def _running_models() -> set[str]:
    from aish.client.connection import connect
    from aish.wire.message import Snapshot, View

    with connect() as client:
        return {row.name for row in client.ask(View, Snapshot()).processes if row.kind == kind.MODEL}


def ensure_model(name: str | None) -> None:
    """Have the embedded default model in the store before its first use; others the gateway finds or refuses."""
    from aish.config import settings
    from aish.store import names, pull

    wanted = settings.load().default_model if name in (None, "default") else name
    if wanted == settings.EMBEDDED_MODEL and wanted not in names():
        print(f"aish: fetching the embedded model {wanted}, once", file=sys.stderr)
        pull(wanted)


def _spec(argv: tuple[str, ...], cwd: str, name: str, model: str | None, budget_tokens: int | None) -> SpecPart:
    return SpecPart(
        argv=[os.fsencode(word) for word in argv],
        cwd=os.fsencode(cwd),
        name=name,
        kind=kind.AGENT,
        model=model,
        budget_tokens=budget_tokens,
        grace_s=2.0,
    )
