"""`@name …` in a pipeline: the stub that stands for a supervised agent or model in the shell's job.

It is called in a forked child of the shell, or by `aish run @name`. `@name` is, in this order: an agent file, a
model (asked directly, without instructions), a process that runs: its model, or another run of its agent. With a
slash it is the path of an agent file, as with commands: `@./review.md`.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from msgspec import structs

from aish.agents import allowance, invocation, schema
from aish.agents import find as agents
from aish.agents.agent import DEFAULT_MODEL, Agent
from aish.agents.asked import Asked, by_schema, parted
from aish.client import launch
from aish.config import settings
from aish.errors import AishError, NotFoundError, SourceError, UsageError
from aish.model import kind
from aish.model.nearest import nearest
from aish.report import clean, report
from aish.tensor import address
from aish.tensor.errors import TensorError
from aish.wire.spec import SpecPart
from aish.worktree.naming import LABEL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.wire.part import ExitPart, ProcessPart
    from aish.wire.spec import LaunchPart


def main(argv: list[str]) -> NoReturn:
    """Run `@name words…` as a supervised process on our standard streams and end as it ends. Never returns."""
    from aish.client import stage

    try:
        part, surroundings = resolve(argv[0], argv[1:], worktree=True), launch.capture()
        fds = (0, 1, 2, *edge_fds())
        end = _placed(part, surroundings, fds) if LABEL in part.labels else stage.run(part, surroundings, fds)
    except AishError as error:
        report(argv[0], error)
        os._exit(error.exit_status)
    except KeyboardInterrupt:
        os._exit(130)
    stage.leave(end)


def _placed(part: SpecPart, surroundings: LaunchPart, fds: tuple[int, ...]) -> ExitPart:
    """In a worktree of its own."""
    from aish.client import stage
    from aish.worktree.starting import given  # not for who needs none

    with given(part, surroundings, named=False, tell=lambda line: _tell(part, line)) as placed:
        return stage.run(placed.part, placed.launch, fds)


def _tell(part: SpecPart, line: str) -> None:
    print(clean(f"@{part.name}: {line}"), file=sys.stderr, flush=True)


def edge_fds() -> tuple[int, ...]:
    """The descriptors of the tensor edges that this stage was given, by its environment. Raises SourceError."""
    fds: list[int] = []
    for variable in (address.ENV_IN, address.ENV_OUT):
        value = os.environ.get(variable)
        if value:
            try:
                fds += address.fds_of(value)
            except TensorError as error:
                raise SourceError(str(error), file=variable, hint=error.hint) from error
    return tuple(fds)


def resolve(
    word: str,
    words: list[str],
    model: str | None = None,
    *,
    worktree: bool = False,
    cwd: str | None = None,
    asked: Asked | None = None,
) -> SpecPart:
    """What `@name words…` stands for; `model` replaces the agent's own. `worktree`: the caller has one made where the
    spec has its label (aish.worktree.starting); who cannot is refused an agent that wants one. `cwd`: another folder
    than the current one. `asked`: options that were typed elsewhere than before the words, see aish.agents.asked.

    An agent that leaves the model to the user gets AISH_MODEL where that is set. Raises UsageError, NotFoundError
    with the nearest name, SourceError of the agent file.
    """
    name = word.removeprefix("@")
    if not name:
        raise UsageError("a name must follow the @", hint="`aish agent ls` and `aish model ls` list them")
    cwd = launch.folder() if cwd is None else cwd
    asked, words = parted(words, asked)
    by = None if asked.schema is None else schema.of_word(asked.schema, cwd)
    if asked.schema is not None and not asked.schema.lstrip().startswith("{"):
        asked.schema = os.path.abspath(os.path.join(cwd, os.path.expanduser(asked.schema)))
    agent = agents.read(os.path.normpath(os.path.join(cwd, name))) if "/" in name else agents.find(name, cwd)
    if agent is not None and by is not None:
        agent = by_schema(agent, by)
    if agent is not None and agent.worktree is not None:
        if not worktree:
            hint = "begin it by aish run, aish spawn or in a pipeline"
            raise UsageError(f"@{name} wants a git worktree of its own, and none is made here", hint=hint)
        return structs.replace(_of(agent, words, cwd, model, asked), labels={LABEL: agent.worktree})
    if agent is not None:
        return _of(agent, words, cwd, model, asked)
    models = known_models()
    if name in models or name == DEFAULT_MODEL:
        if by is not None:
            return _hosted(by_schema(Agent(f"ask-{name}"), by), words, cwd, name, asked)
        _no_session(asked, name)
        ensure_model(name)
        return _spec(invocation.command(words, direct_model=name), cwd, f"ask-{name}", name)
    running = _running(name)
    if running is not None:
        return _again(running, words, cwd, worktree=worktree, asked=asked)
    from aish.agents import adapters

    if name in adapters.names():
        direct = Agent(name, adapter=name)
        return _hosted(direct if by is None else by_schema(direct, by), words, cwd, model, asked)
    near = nearest(name, [*agents.names(cwd), *models, *adapters.names()])
    raise NotFoundError(
        f"no agent or model is called {name}",
        hint=f"did you mean @{near}?" if near else "`aish agent ls` and `aish model ls` list what there is",
    )


def _of(agent: Agent, words: list[str], cwd: str, model: str | None, asked: Asked) -> SpecPart:
    """Of an agent file."""
    if agent.adapter is not None:
        return _hosted(agent, words, cwd, model, asked)
    _no_session(asked, agent.name)
    if model is None and agent.model == DEFAULT_MODEL:
        model = os.environ.get("AISH_MODEL") or None
    wanted = model or agent.model
    ensure_model(wanted)
    argv = invocation.command(words, file=agent.file, name=agent.name, model=model)
    return _spec(argv, cwd, agent.name, wanted, agent)


def _no_session(asked: Asked, name: str) -> None:
    if asked.session is not None:
        hint = "it is for agents that are programs: claude, codex, those of acp"
        raise UsageError(f"@{name} turns text into text: it has no conversation to go on with", hint=hint)


def _hosted(agent: Agent, words: list[str], cwd: str, model: str | None, asked: Asked) -> SpecPart:
    from aish.agents import hosted  # not for who turns text into text

    part = hosted.spec(agent, words, cwd, model, asked=asked)
    if part.model is not None:
        ensure_model(part.model)
    return part


def _running(name: str) -> ProcessPart | None:
    """The supervised process with that id or name, if there is one."""
    from aish.client import connect
    from aish.wire.message import Snapshot
    from aish.wire.reply import View

    with connect() as client:
        rows = client.ask(View, Snapshot()).processes
    return next((row for row in rows if name in (row.id, row.name)), None)


def _again(running: ProcessPart, words: list[str], cwd: str, *, worktree: bool, asked: Asked) -> SpecPart:
    """A stage named by a process: a model is asked, of an agent there is another run. Raises NotFoundError."""
    if running.kind == kind.MODEL:
        _no_session(asked, running.name)
        if asked.schema is not None:
            direct = by_schema(Agent(f"ask-{running.name}"), schema.of_word(asked.schema, cwd))
            return _hosted(direct, words, cwd, running.name, asked)
        return _spec(invocation.command(words, direct_model=running.name), cwd, f"ask-{running.name}", running.name)
    stem, _, number = running.name.rpartition("-")
    for name in (running.name, stem if number.isdecimal() else ""):  # the second one that runs is called NAME-2
        if running.kind == kind.AGENT and name and agents.locate(name, cwd):
            return resolve(name, ["--", *words] if words else [], worktree=worktree, cwd=cwd, asked=asked)
    raise NotFoundError(
        f"{running.name} ({running.id}) runs already, with an input of its own",
        hint=f"`aish logs -f {running.id}` shows what it writes; a stage is an agent or a model",
    )


def known_models() -> set[str]:
    """Models in the store, and those that run."""
    from aish.client import connect
    from aish.store import names
    from aish.wire.message import Snapshot
    from aish.wire.reply import View

    with connect() as client:
        running = {row.name for row in client.ask(View, Snapshot()).processes if row.kind == kind.MODEL}
    return running | set(names())


def ensure_model(name: str) -> None:
    """Have the embedded model in the store before its first use; others the gateway finds or refuses."""
    wanted = settings.load().default_model if name == DEFAULT_MODEL else name
    if wanted != settings.EMBEDDED_MODEL:
        return
    from aish.client import offers
    from aish.store import names, pull

    if wanted not in names():
        offers.tell()  # nobody chose a model, and this one has to be fetched first: there may be a nearer one
        print(f"aish: fetching the embedded model {wanted}, once", file=sys.stderr, flush=True)
        pull(wanted)


def _spec(argv: tuple[str, ...], cwd: str, name: str, model: str, agent: Agent | None = None) -> SpecPart:
    """`agent` None: a model is asked directly."""
    agent = agent or Agent(name)
    return SpecPart(
        argv=[os.fsencode(word) for word in argv],
        cwd=os.fsencode(cwd),
        name=name,
        kind=kind.AGENT,
        model=model,
        **allowance.fields(agent.limits),
        secrets=list(agent.secrets),
        when_reserved=agent.when_reserved,
        grace_s=2.0,
    )
