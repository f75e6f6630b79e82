"""A new agent file: commented, right as it is, and for its author to change."""

from __future__ import annotations

import os

from aish.agents import adapters
from aish.agents.agent import NAME_HINT, valid_name
from aish.agents.definition import parse
from aish.agents.find import project_folder
from aish.errors import ConflictError, SourceError, StorageError, UsageError
from aish.spi.acting import BUILTIN, EDIT, FETCH, MESSAGE, SHELL, SPAWN, WRITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_TEXT: Final = """\
---
description: What it is for, in a line
# model: default            # `aish model ls` lists them
# temperature: 0
limits:
  tokens: 100k              # input and output of all its requests
# prompt: |                 # the task after the text suits small models
#   {input}
#   Say what is to be done with the text above.
---
Say here what it is to do with the text that it gets.
"""
_PROGRAM: Final = """\
---
description: What it is for, in a line
adapter: %s
%s# model: default            # `aish model ls` lists them
permissions: ask            # or allow, deny
limits:
  tokens: 500k              # input and output of all its requests
#   usd: 2
---
Say here how it is to work.
"""
_ACTS: Final = """\
---
description: What it is for, in a line
tools: [%s]
permissions: %s
%s# model: default            # `aish model ls` lists them
%s# paths: [../shared]        # what it may read and write beside the folder where it runs
# mcp_servers: .mcp.json
# schema: answer.json       # its answer is JSON by that
limits:
  tokens: 300k              # input and output of all its requests
  requests: 60
#   usd: 2
#   wall: 30m
---
Say here what it is to do, and what its answer shall be.
"""


def text(adapter: str | None, tools: tuple[str, ...] | None) -> str:
    """The file's text; `tools` None and `adapter` None: one that turns text into text."""
    if tools is None and adapter is None:
        return _TEXT
    if adapter not in (None, BUILTIN):
        program = "program: ./agent.py\n" if adapter == "program" else ""
        return _PROGRAM % (adapter, program)
    tools = tools or ()
    asked = [f"{tool}: ask" for tool in (SHELL, WRITE, EDIT, SPAWN, MESSAGE) if tool in tools]
    hosts = "hosts: [docs.python.org] # all that fetch may ask\n" if FETCH in tools else ""
    return _ACTS % (", ".join(tools), f"{{{', '.join(asked)}}}" if asked else "ask", _sandbox(tools), hosts)


def _sandbox(tools: tuple[str, ...]) -> str:
    if SPAWN in tools:
        return "sandbox: {profile: dev, spawn: true} # or closed, open; without it what it starts does what you may\n"
    if SHELL in tools:
        return "sandbox: dev                # or closed, open; without it its shell does what you may\n"
    return ""


def write(name: str, cwd: str, *, adapter: str | None, tools: tuple[str, ...] | None) -> str:
    """The path of a new file. Raises UsageError, NotFoundError for an adapter that there is not, ConflictError where
    there is such a file: nothing is overwritten."""
    if not valid_name(name):
        raise UsageError(f"@{name[:80]} cannot be a name", hint=NAME_HINT)
    if tools is not None and adapter not in (None, BUILTIN):
        raise UsageError(f"--tools are of the built-in agent: {adapter} has its own", hint="one of the two")
    if adapter is not None:
        adapters.load(adapter)
    content = text(adapter, tools)
    folder = project_folder(cwd) or os.path.join(cwd, ".aish", "agents")
    file = os.path.join(folder, f"{name}.md")
    try:
        parse(content, file)
    except SourceError as error:  # a tool that there is not
        raise UsageError(error.message, hint=error.hint) from error
    try:
        os.makedirs(folder, exist_ok=True)
        with open(file, "x", encoding="utf-8") as stream:
            stream.write(content)
    except FileExistsError:
        raise ConflictError(f"{file} is there already", hint=f"another name, or: aish agent show {name}") from None
    except OSError as error:
        raise StorageError(f"{file} cannot be written: {error.strerror}") from error
    return file
