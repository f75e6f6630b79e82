"""The tools of an agent, by the names in its file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_ai.toolsets import CombinedToolset, FunctionToolset

from aish.plugins.builtin.child import Child
from aish.plugins.builtin.fetch import Fetch
from aish.plugins.builtin.files import Files
from aish.plugins.builtin.guard import Guard
from aish.plugins.builtin.places import Places
from aish.plugins.builtin.search import Search
from aish.plugins.builtin.shell import Shell
from aish.plugins.builtin.supervised import GROUPS, Supervised
from aish.spi import acting as a

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic_ai.tools import Tool
    from pydantic_ai.toolsets import AbstractToolset

    from aish.plugins.builtin.guard import Record
    from aish.plugins.builtin.wish import Wish
    from aish.spi.acting import Acting
    from aish.spi.agent_adapter import Host, Task


def guarded(acting: Acting, task: Task, host: Host, record: Record, result_chars: int) -> Guard:
    """Raises InputError for a server that cannot be."""
    confinement = host.confinement
    places = Places(task.cwd, acting.paths, confinement)
    shell = Shell(places.cwd, confinement, lambda text: host.record("output", name=a.SHELL, text=text))
    files, search = Files(places), Search(places, confinement)
    fetch, child = Fetch(acting.hosts, confinement=confinement), Child()
    supervised = Supervised(places)
    known: dict[str, tuple[Callable[..., Any], Callable[..., Wish]]] = {
        a.SHELL: (shell.shell, shell.shell_wish),
        a.READ: (files.read, files.read_wish),
        a.WRITE: (files.write, files.write_wish),
        a.EDIT: (files.edit, files.edit_wish),
        a.SEARCH: (search.search, search.search_wish),
        a.FETCH: (fetch.fetch, fetch.fetch_wish),
        a.ASK: (child.ask, child.ask_wish),
    }
    if a.NEAREST in acting.tools:
        from aish.plugins.builtin.nearest import Nearest  # and numpy, for who has it

        nearest = Nearest(places, files, host.gateway, confinement)
        known[a.NEAREST] = nearest.nearest, nearest.nearest_wish
    functions: list[Callable[..., Any] | Tool[None]] = []
    wishes: dict[str, Callable[..., Wish]] = {}
    for name in acting.tools:
        if name in GROUPS:
            functions += supervised.tools(name)
            wishes |= supervised.wishes(name)
        else:
            functions.append(known[name][0])
            wishes[name] = known[name][1]
    toolsets: list[AbstractToolset[None]] = [FunctionToolset(functions, id="aish")]
    if acting.mcp_servers:
        from aish.plugins.builtin import servers  # heavy, and only for who has some

        toolsets += servers.toolsets(acting.mcp_servers, host)
    return Guard(
        CombinedToolset(toolsets),
        host=host,
        wishes=wishes,
        rules=acting.permissions,
        otherwise=task.permissions,
        record=record,
        result_chars=result_chars,
        groups={tool: group for group, tools in GROUPS.items() for tool in tools},
    )
