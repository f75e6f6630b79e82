"""`aish agent`: the agent files that can be seen from here."""

from __future__ import annotations

from aish.agents import find as agents
from aish.agents.agent import Agent
from aish.cli.arguments import Parser, json_option
from aish.cli.each import for_each
from aish.cli.output import print_json, print_table
from aish.client import launch
from aish.errors import AishError, NotFoundError, UsageError
from aish.model.nearest import nearest
from aish.model.size import format_count
from aish.report import clean, report

_ACTIONS = ("ls", "show", "check")


def main(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        Parser(
            "agent ls|show|check",
            "Agent files of this project, of the user and built in.",
            "  ls           the agents that @NAME finds from this folder\n"
            "  show NAME    the file that defines one\n"
            "  check FILE…  read agent files and say what is wrong with them\n\n"
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
        case action:
            near = nearest(action, _ACTIONS)
            raise UsageError(f"no such action: {action}", hint=f"did you mean {near}?" if near else "ls, show, check")


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
            [agent.name, agent.model, format_count(agent.limits.tokens), agent.description or "-", agent.file or "-"]
            for agent in found
        ]
        print_table(("NAME", "MODEL", "TOKENS", "DESCRIPTION", "FILE"), rows, ("TOKENS",))
    return status


def _fields(agent: Agent) -> dict[str, object]:
    return {
        "name": agent.name,
        "description": agent.description,
        "model": agent.model,
        "file": agent.file,
        "tokens": agent.limits.tokens,
        "max_output_tokens": agent.limits.max_output_tokens,
        "wall_s": agent.limits.wall_s,
    }


def _show(words: list[str]) -> int:
    parser = Parser("agent show", "Print the file that defines an agent.")
    parser.add_argument("name", metavar="NAME")
    json_option(parser)
    options = parser.parse_args(words)
    name = options.name.removeprefix("@")
    file = agents.locate(name, launch.folder())
    if file is None:
        near = nearest(name, agents.names(launch.folder()))
        raise NotFoundError(
            f"no agent is called {name}", hint=f"did you mean {near}?" if near else "`aish agent ls` lists them"
        )
    if options.json:
        agent = agents.read(file)
        print_json({**_fields(agent), "instructions": agent.instructions})
        return 0
    with open(file, encoding="utf-8", errors="replace") as stream:
        print(f"# {clean(file)}")
        print(stream.read(), end="")
    return 0


def _check(words: list[str]) -> int:
    parser = Parser("agent check", "Read agent files and say what is wrong with them.")
    parser.add_argument("file", nargs="+", metavar="FILE")
    json_option(parser)
    options = parser.parse_args(words)
    return for_each("agent check", options.file, lambda file: _fields(agents.read(file)), as_json=options.json)
