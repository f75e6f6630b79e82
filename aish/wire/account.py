"""Whose budget it is: the names of accounts at the gateway, and how people write them. Pure.

p12              a process, with all that it starts
key:NAME         a named key
project:PATH     all processes of an aish.toml, with all that they start; of the path what no blank may be in
user             everything, whoever asks
wrapup:p12       the grace for the last message of a process that is wrapped up; counts for the process, too
"""

from __future__ import annotations

import os
import shlex
from typing import Final
from urllib.parse import quote, unquote

from aish.model.name import KEY

USER: Final = "user"
PROJECT: Final = "project:"
WRAPUP: Final = "wrapup:"


def of_project(path: str) -> str:
    """The account of a project, by its aish.toml."""
    return PROJECT + quote(path, safe="/")


def project(id: str) -> str | None:
    """The aish.toml of a project's account."""
    return unquote(id.removeprefix(PROJECT)) if id.startswith(PROJECT) else None


def of_process(id: str) -> bool:
    """Whether it goes with a process table; else it outlives that."""
    return id != USER and not id.startswith((KEY, PROJECT))


def words(id: str) -> str:
    """For people: "the user", "the project web", "the key editor", "p12"."""
    if id == USER:
        return "the user"
    if id.startswith(KEY):
        return f"the key {id.removeprefix(KEY)}"
    if id.startswith(WRAPUP):
        return f"the last message of {id.removeprefix(WRAPUP)}"
    path = project(id)
    return id if path is None else f"the project {os.path.basename(os.path.dirname(path)) or path}"


def written(id: str) -> str:
    """As `aish limit` takes it, in a shell."""
    path = project(id)
    return id if path is None else PROJECT + shlex.quote(path)
