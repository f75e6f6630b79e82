"""`aish agent`: the agent files that can be seen from here."""

from __future__ import annotations

import os

from aish.agents import adapters, allowance
from aish.agents import find as agents
from aish.agents.agent import NAME_HINT, Agent
from aish.cli.arguments import Parser, json_option
from aish.cli.each import for_each
from aish.cli.output import print_json, print_table
from aish.client import launch
from aish.errors import AishError, NotFoundError, SourceError, UsageError
from aish.model.nearest import nearest
from aish.model.size import format_count
from aish.report import clean, report
from aish.spi.acting import TOOLS

_ACTIONS = ("ls", "show", "check", "new")


def main(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        Parser(
            "agent ls|show|check|new",
            "Agents of this project, of the user, built in and of plugins.",
            "  ls           the agents that @NAME finds from this folder\n"
            "  show NAME    what defines one\n"
            "  check NAME…  read agents, by name or file, and say what is wrong with them\n"
            "  new NAME     write a file to begin with\n\n"
            "`aish agent ACTION --help` tells more of each.",
        ).print_help()
        return 0 if argv else 2
    match argv[0]:
        case "ls":
            return _list(argv[1:])
        case "show":
            return _show(argv[1:])
        case "check":
            return _check(argv[1:])
        case "new":
            return _new(argv[1:])
        case action:
            near = nearest(action, _ACTIONS)
            raise UsageError(
                f"no such action: {action}", hint=f"did you mean {near}?" if near else ", ".join(_ACTIONS)
            )


def _list(words: list[str]) -> int:
    parser = Parser("agent ls", "List the agents that @NAME finds from this folder.")
    json_option(parser)
    options = parser.parse_args(words)
    found: list[Agent] = []
    status = 0
    for name in agents.names(launch.folder()):
        try:
            agent = agents.find(name, launch.folder())
        except AishError as error:
            report("aish agent", error)
            status = error.exit_status
            continue
        if agent is not None:
            found.append(agent)
    if options.json:
        print_json([_fields(agent) for agent in found])
    else:
        rows = [
            [
                agent.name,
                agent.adapter or "-",
                agent.model,
                format_count(agent.limits.tokens),
                _tools(agent) or "-",
                agent.description or "-",
                agent.file or "-",
            ]
            for agent in found
        ]
        print_table(("NAME", "ADAPTER", "MODEL", "TOKENS", "TOOLS", "DESCRIPTION", "FILE"), rows, ("TOKENS",))
    return status


def _fields(agent: Agent) -> dict[str, object]:
    return {
        "name": agent.name,
        "description": agent.description,
        "model": agent.model,
        "file": agent.file,
        "tokens": agent.limits.tokens,
        "max_output_tokens": agent.limits.max_output_tokens,
        "limits": allowance.told(agent.limits),
        "adapter": agent.adapter,
        "tools": None if agent.acting is None else list(agent.acting.tools),
        "mcp_servers": None if agent.acting is None else sorted(agent.acting.mcp_servers),
        "permissions": _permissions(agent),
    }


def _tools(agent: Agent) -> str:
    """Its tools, and the servers that have more of them."""
    if agent.acting is None:
        return ""
    return ",".join((*agent.acting.tools, *(f"{name}_*" for name in sorted(agent.acting.mcp_servers))))


def _permissions(agent: Agent) -> str | dict[str, str] | None:
    """One rule for all, or a table; None: it asks for nothing."""
    if agent.adapter is None:
        return None
    return (agent.acting and agent.acting.permissions) or agent.permissions


def _show(words: list[str]) -> int:
    parser = Parser("agent show", "Print what defines an agent: its file, or its table in an aish.toml.")
    parser.add_argument("name", metavar="NAME")
    json_option(parser)
    options = parser.parse_args(words)
    name = options.name.removeprefix("@")
    status, file = 0, agents.locate(name, launch.folder())
    if file is None:
        raise _unknown(name)
    if options.json:
        agent = agents.read(file)
        print_json({**_fields(agent), "instructions": agent.instructions})
        return 0
    try:
        told = _told(agents.read(file))
    except AishError as error:  # what it says is shown all the more
        report("aish agent", error)
        told, status = "", error.exit_status
    print(f"# {clean(file)}")
    if told:
        print(f"# {clean(told)}")
    print(agents.text(file).rstrip("\n"))
    return status


def _told(agent: Agent) -> str:
    """What runs it, what it may do and use, in a line; empty where its file says nothing of that."""
    told: list[str] = []
    if agent.adapter is not None:
        rules = _permissions(agent)
        shown = (
            rules if isinstance(rules, str) else ", ".join(f"{tool} {rule}" for tool, rule in (rules or {}).items())
        )
        tools = [f"tools: {_tools(agent) or 'none'}"] if agent.acting is not None else []
        told = [f"adapter: {agent.adapter}", *tools, f"permissions: {shown}"]
    limits = allowance.told(agent.limits)
    return "; ".join([*told, *([f"limits: {limits}"] if limits else [])])


def _new(words: list[str]) -> int:
    from aish.agents import draft

    parser = Parser(
        "agent new",
        "Write an agent file to begin with, into .aish/agents of the nearest folder that has one, else of this one.",
    )
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("--adapter", metavar="ADAPTER", help="the program that it is: claude, program …")
    parser.add_argument("--tools", metavar="NAMES", help=f"what it may do, such as shell,read: {', '.join(TOOLS)}")
    options = parser.parse_args(words)
    tools = None if options.tools is None else tuple(word for word in options.tools.split(",") if word)
    file = draft.write(options.name.removeprefix("@"), launch.folder(), adapter=options.adapter, tools=tools)
    print(file)
    return 0


def _check(words: list[str]) -> int:
    parser = Parser(
        "agent check", "Read agents and say what is wrong with them; without names all that are found from here."
    )
    parser.add_argument("name", nargs="*", metavar="NAME", help="a name, with or without @, or a file")
    json_option(parser)
    options = parser.parse_args(words)
    nameless = [] if options.name else agents.nameless(launch.folder())
    wanted = options.name or [*agents.names(launch.folder()), *nameless]

    def checked(name: str) -> dict[str, object]:
        if name in nameless:
            why = "its name is none for an agent" if os.path.isfile(name) else "not a file"
            raise SourceError(f"{why}: no @NAME finds it", file=name, hint=NAME_HINT)
        return _fields(_checked(_place(name)))

    status = for_each("agent check", wanted, checked, as_json=options.json)
    if not status and not options.json:
        print(f"{len(wanted)} {'agent' if len(wanted) == 1 else 'agents'}, no problems")
    return status


def _checked(file: str) -> Agent:
    """Raises what is wrong with it, an adapter that there is not among it."""
    agent = agents.read(file)
    if agent.adapter is not None:
        adapters.load(agent.adapter)
    return agent


def _place(name: str) -> str:
    """Raises NotFoundError."""
    if not name.startswith("@") and (os.path.lexists(name) or "/" in name or name.endswith(".md")):
        return name
    file = agents.locate(name.removeprefix("@"), launch.folder())
    if file is None:
        raise _unknown(name.removeprefix("@"))
    return file


def _unknown(name: str) -> NotFoundError:
    near = nearest(name, agents.names(launch.folder()))
    return NotFoundError(
        f"no agent is called {name}", hint=f"did you mean {near}?" if near else "`aish agent ls` lists them"
    )
