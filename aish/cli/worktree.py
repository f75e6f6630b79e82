"""The options and operands about git worktrees: of spawn and run, of land and discard."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, NamedTuple

from aish.client import connect, launch
from aish.client.finding import recorded
from aish.errors import ConflictError, NotFoundError, NotRunningError, UsageError
from aish.report import clean
from aish.wire.message import Inspect
from aish.wire.reply import Inspected
from aish.worktree import naming

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from aish.cli.arguments import Parser
    from aish.wire.part import ProcessPart
    from aish.wire.spec import LaunchPart, SpecPart
    from aish.worktree.record import Record, Records
    from aish.worktree.starting import Given


def options(parser: Parser) -> None:
    group = parser.add_argument_group("a git worktree of its own")
    group.add_argument(
        "--worktree",
        nargs="?",
        const="",
        metavar="NAME",
        help="run it in a new git worktree of this repository, on a branch aish/NAME; `aish land` brings it home",
    )
    group.add_argument("--worktree-again", action="store_true", help="go on with the worktree of that name")
    group.add_argument("--worktree-dirty", action="store_true", help="take uncommitted changes along into it")


def label(part: SpecPart, wanted: Namespace) -> dict[str, str]:
    """What says that it is to have a worktree. Raises UsageError."""
    if any(word.partition("=")[0] == naming.LABEL for word in wanted.label):
        raise UsageError(f"the label {naming.LABEL} is aish's own", hint="--worktree makes one")
    given = part.labels.get(naming.LABEL)
    asked = getattr(wanted, "worktree", None)  # None: also of verbs that make none
    wish = given if asked is None else asked or given or ""
    if wish is None and getattr(wanted, "worktree_again", False):
        wish = ""
    if wish is None and getattr(wanted, "worktree_dirty", False):
        raise UsageError("--worktree-dirty says nothing without --worktree")
    return {} if wish is None else {naming.LABEL: wish}


def given(
    part: SpecPart, surroundings: LaunchPart, wanted: Namespace, program: str
) -> AbstractContextManager[Given | _Same]:
    """What is spawned, within the context. Raises as `aish.worktree.starting.given`."""
    if naming.LABEL not in part.labels:
        return contextlib.nullcontext(_Same(part, surroundings))
    from aish.worktree import starting

    return starting.given(
        part,
        surroundings,
        named=wanted.name is not None,
        again=wanted.worktree_again,
        dirty=wanted.worktree_dirty,
        tell=teller(program),
    )


class _Same(NamedTuple):
    part: SpecPart
    launch: LaunchPart


def teller(program: str) -> Callable[[str], None]:
    return lambda line: print(clean(f"{program}: {line}"), file=sys.stderr, flush=True)


class Found(NamedTuple):
    """A worktree that was named, and its repository's."""

    records: Records
    record: Record


def find(word: str) -> Found:
    """By a process that has it, wherever its repository is; else by its name, in the repository here.

    Raises NotFoundError, as `aish.worktree.repository.find`."""
    from aish.worktree import record, repository

    process = _process(word)
    if process is not None and (name := process.process.labels.get(naming.LABEL)):
        folder = os.fsdecode(process.spec.cwd)
        # Not by the worktree's own word: who worked in it may have written that.
        records = record.Records(repository.common_of(_standing(repository.above_worktree(folder))))
        found = records.load(name)
        if found is not None and (folder == found.folder or folder.startswith(found.folder + "/")):
            return Found(records, found)
        raise NotFoundError(f"the worktree {name} is gone", hint="it was landed or discarded")
    records = record.Records(repository.common_of(launch.folder()))
    name = naming.plain(word.removeprefix("@").removeprefix(naming.BRANCHES))
    found = records.load(name)
    if found is None:
        what = "has no worktree" if process is not None else "is neither a process nor a worktree"
        raise NotFoundError(f"{word} {what}", hint="`aish land` lists the worktrees of the repository here")
    return Found(records, found)


def _process(word: str) -> Inspected | None:
    """None: nobody has that name, or all is over and forgotten."""
    if word.startswith(naming.BRANCHES):
        return None  # a branch is a worktree's, whatever a process is called
    try:
        with connect(start=recorded(), program="land") as client:
            return client.ask(Inspected, Inspect(target=word))
    except (NotFoundError, NotRunningError):
        return None


def _standing(folder: str) -> str:
    """The nearest folder that is there: a worktree may be gone."""
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return folder


def check_idle(rows: list[ProcessPart], what: str, hint: str) -> None:
    """Raises ConflictError while somebody works there."""
    from aish.worktree.residents import living

    running = living(rows)
    if running:
        names = ", ".join(f"{row.name} ({row.id})" for row in running)
        raise ConflictError(f"{names} still works in {what}", hint=hint)
