"""Where a program in a sandbox has its conversations: the place that it always has them in, or one that stays."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aish.spi.agent_adapter import Command, Confinement


def given(
    command: Command, confinement: Confinement | None, variable: str, name: str, *, file: str | None = None
) -> Command:
    """The command with `variable`, which names its place, ~/`name` as a rule. That is left as it is where the sandbox
    lets it be read: settings and login are there. `file`: the place is a file, to be called so."""
    if confinement is None or confinement.stays is None:
        return command
    usual = os.environ.get(variable) or os.path.expanduser(f"~/{name}")
    if confinement.reads(os.path.realpath(usual)):
        return command
    place = confinement.stays if file is None else os.path.join(confinement.stays, file)
    return replace(command, environ={**command.environ, variable: place})
