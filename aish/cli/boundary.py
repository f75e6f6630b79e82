"""What the verbs about checkpoints share: which agent, which checkpoint, the boundary of its turns."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, NamedTuple

from aish.agents import adapters, keeping
from aish.agents.checkpoints import branching, rewinding
from aish.agents.checkpoints import checkpoint as c
from aish.agents.checkpoints.shelf import Shelf
from aish.agents.checkpoints.taking import Occasion, known_place
from aish.agents.checkpoints.usage import used
from aish.agents.host import invocation
from aish.client import connect
from aish.config import folders
from aish.errors import AishError, ConflictError, NotFoundError
from aish.model import kind
from aish.model.state import ENDED
from aish.report import clean
from aish.wire.message import Inspect, Mark, Snapshot
from aish.wire.reply import Done, Inspected, View

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aish.agents.checkpoints.checkpoint import Checkpoint
    from aish.client import Client
    from aish.wire.part import TokensPart

PATIENCE_S = 10.0
"""For the gateway's figures."""


class Found(NamedTuple):
    """An agent, and what lies beside its transcript."""

    inspected: Inspected
    epoch: int
    shelf: Shelf

    @property
    def called(self) -> str:
        return f"{self.inspected.process.name} ({self.inspected.process.id})"

    @property
    def over(self) -> bool:
        return self.inspected.process.lifecycle in ENDED


def agent(client: Client, target: str) -> Found:
    """Raises NotFoundError, RefusedError, ConflictError of what has no turns."""
    inspected = client.ask(Inspected, Inspect(target=target))
    row = inspected.process
    shelf = Shelf(keeping.folder(folders.state(), row.id, client.welcome.epoch))
    found = Found(inspected, client.welcome.epoch, shelf)
    argv = inspected.spec.argv
    if row.kind != kind.AGENT or not invocation.is_host(argv):
        hint = "those have some that aish hosts: an agent file with `adapter` or `tools`"
        raise ConflictError(f"{found.called} has no turns that aish knows of, and so no checkpoints", hint=hint)
    if "--attached" in [os.fsdecode(word) for word in argv[: argv.index(b"--")]]:
        raise ConflictError(
            f"{found.called} has the terminal to itself: aish does not see its turns",
            hint="`aish spawn -- @NAME` without a terminal, and `aish ask` for each turn",
        )
    return found


class Named(NamedTuple):
    agent: Found
    checkpoint: Checkpoint


def named(client: Client, word: str, of: Found | None = None) -> Named:
    """By p4.3, or by the name that it was given; `of` one agent alone. Raises NotFoundError, ConflictError where
    several have that name."""
    parted = c.parted(word)
    if parted is not None and (of is None or of.inspected.process.id == parted[0]):
        found = of or agent(client, parted[0])
        return Named(found, found.shelf.get(parted[1], parted[0]))
    if parted is not None and of is not None:
        raise NotFoundError(f"{word} is a checkpoint of another agent than {of.called}")
    shelves = [of.shelf] if of is not None else everyone(client)
    fits = [each for shelf in shelves for each in shelf.all().values() if each.label == word.removeprefix("@")]
    if not fits:
        whose = f" of {of.called}" if of is not None else ""
        raise NotFoundError(f"no checkpoint{whose} is called {word}", hint="`aish checkpoint ls` lists them")
    if len(fits) > 1:
        raise ConflictError(f"several checkpoints are called {word}", hint=", ".join(each.id for each in fits))
    return Named(of or agent(client, fits[0].agent), fits[0])


def everyone(client: Client) -> list[Shelf]:
    """Of all agents that the caller may see, oldest first."""
    rows = client.ask(View, Snapshot(all=True, figures=False)).processes
    agents = [row.id for row in rows if row.kind == kind.AGENT]
    return [Shelf(keeping.folder(folders.state(), id, client.welcome.epoch)) for id in agents]


@contextlib.contextmanager
def standing(client: Client, found: Found, verb: str, deed: str, *, waits: bool = True) -> Iterator[int]:
    """The agent stands still, with nothing begun there. The lock's descriptor. Raises RefusedError, ConflictError,
    StorageError."""
    client.ask(Done, Mark(target=found.inspected.process.id, deed=deed))
    try:
        with found.shelf.boundary.still(_teller(found, verb) if waits else None) as lock:
            rewinding.finish(found.shelf, (lock,))
            yield lock
    except ConflictError as error:
        if str(error).startswith("it is in"):
            raise ConflictError(f"{found.called}{str(error).removeprefix('it')}", hint=error.hint) from None
        raise


def left(client: Client, found: Found, wanted: Checkpoint, verb: str, *, waits: bool = True) -> Checkpoint:
    """The same, with nothing more said in its conversation, so that another one can begin with it whenever it likes.
    Raises AishError."""
    if wanted.conversation is None or not adapters.keeps_newest_only(adapters.load(wanted.adapter)):
        return wanted
    with standing(client, found, verb, "checkpoint", waits=waits):
        branching.leave(found.shelf, wanted.conversation)
        return found.shelf.get(wanted.number, wanted.agent)


def _teller(found: Found, verb: str) -> Callable[[], None]:
    def waits() -> None:
        print(clean(f"aish {verb}: waits for the end of the turn of {found.called}"), file=sys.stderr, flush=True)

    return waits


def done(client: Client, found: Found, deed: str, reached: Checkpoint) -> None:
    """It has happened, whether anybody hears of it or not."""
    with contextlib.suppress(AishError):
        client.ask(Done, Mark(target=found.inspected.process.id, deed=deed, done=True, checkpoint=reached.id))


def occasion(client: Client, found: Found, why: str, label: str | None = None) -> Occasion:
    """Raises ConflictError where its host has not begun."""
    there = found.shelf.all()
    if not there:
        raise ConflictError(f"{found.called} has not begun", hint="it has checkpoints once it runs")
    last = list(there.values())[-1]
    inspected = client.ask(Inspected, Inspect(target=found.inspected.process.id))
    tokens = inspected.process.tokens if found.over else _used(inspected.process.id)
    place = known_place(found.shelf)
    adapter = adapters.load(last.adapter)
    return Occasion(
        why=why,
        agent=inspected.process.id,
        name=inspected.process.name,
        epoch=found.epoch,
        adapter=last.adapter,
        keeps_conversation=adapters.keeps_conversation(adapter),
        keeps_newest_only=adapters.keeps_newest_only(adapter),
        model=inspected.process.model,
        usage=tokens,
        place=place,
        no_place=last.missing.get(c.WORKTREE, "its worktree is gone"),
        label=label,
    )


def _used(id: str) -> TokensPart | None:
    """By a connection of its own: one that was not answered in time is of no more use."""
    with connect(start=False, program="checkpoint") as client:
        return used(client, id, PATIENCE_S)
