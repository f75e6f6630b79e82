"""The spec of an agent that goes on from a checkpoint of another. Pure."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from msgspec import structs

from aish.agents.host import invocation
from aish.worktree import naming

if TYPE_CHECKING:
    from aish.agents.checkpoints.checkpoint import Checkpoint
    from aish.agents.checkpoints.splitting import Share
    from aish.wire.spec import SpecPart

PREFIX_WORDS = 4
"""What the words of a host begin with: the interpreter and the module."""


def spec(before: SpecPart, wanted: Checkpoint, name: str, share: Share) -> SpecPart:
    """It waits for messages, whatever the other one was given as its prompt. What belongs to one process alone stays
    with that: its group, its schedule, its place in a project, its sockets. Raises UsageError."""
    said = invocation.parse_words([os.fsdecode(word) for word in before.argv[PREFIX_WORDS:]])
    options = {option.removeprefix("--"): getattr(said, option.removeprefix("--")) for option in invocation.OPTIONS}
    options |= {"session": None, "begin": f"{wanted.epoch}-{wanted.agent}/{wanted.number}"}
    options["model"] = options["model"] or before.model
    labels = {key: value for key, value in before.labels.items() if key != naming.LABEL}
    cwd = before.cwd
    if wanted.worktree is not None:
        labels[naming.LABEL] = ""
        prefix = os.path.relpath(os.fsdecode(before.cwd), wanted.worktree.folder)
        home = wanted.worktree.home
        cwd = os.fsencode(home if prefix == "." or prefix.startswith("..") else os.path.join(home, prefix))
    return structs.replace(
        before,
        argv=[os.fsencode(word) for word in invocation.command([], **options)],
        cwd=cwd,
        name=name,
        labels=labels,
        budget_tokens=share.tokens,
        budget=share.part,
        group=None,
        schedule=None,
        project=None,
        digest=None,
        sockets=[],
        with_parent=False,
        needs=[],
    )
