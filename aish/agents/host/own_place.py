"""Where a program in a sandbox has its conversations: the place that it always has them in, or one that stays."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aish.spi.agent_adapter import Command, Confinement


def given(
    command: Command,
    confinement: Confinement | None,
    variable: str,
    name: str,
    *,
    file: str | None = None,
    below: str | None = None,
) -> Command:
    """The command with `variable`, which names its place, ~/`name` as a rule. That is left as it is where the sandbox
    lets it be read: settings and login are there. `file`: the place is a file, to be called so. `below`: it is that
    folder in what is named, which others have for theirs, too."""
    if confinement is None or confinement.stays is None:
        return command
    usual = os.environ.get(variable) or os.path.expanduser(f"~/{name}")
    if confinement.reads(os.path.realpath(usual if below is None else os.path.join(usual, below))):
        return command
    under = file or (None if below is None else os.path.basename(name).removeprefix("."))
    place = confinement.stays if under is None else os.path.join(confinement.stays, under)
    return replace(command, environ={**command.environ, variable: place})
