"""`aish mcp`: the supervisor as tools for any client of the Model Context Protocol, on stdin and stdout."""

from __future__ import annotations

import asyncio
import sys
from importlib.util import find_spec

from aish.cli.arguments import Parser
from aish.cli.dispatch import version
from aish.errors import UnavailableError, UsageError
from aish.model.nearest import nearest
from aish.tools.scope import SCOPES


def main(argv: list[str]) -> int:
    parser = Parser(
        "mcp",
        "Speak the Model Context Protocol on stdin and stdout: editors and agents start this as a server of tools,\n"
        "by which their models start, watch, ask and end supervised processes. It never answers what agents ask,\n"
        "raises limits, adopts, makes keys or shuts down. See docs/reference/mcp.md.",
        "example: claude mcp add aish -- aish mcp",
    )
    parser.add_argument("--read-only", action="store_true", help="only the tools that look")
    parser.add_argument(
        "--scope",
        metavar="WHAT",
        help="what may be ended, signalled, written to: own, what this client has started (the user's default);"
        " all that the caller may (default of a supervised process, which controls what is below it anyway)",
    )
    parser.add_argument("--ends-with-me", action="store_true", help="what it has started ends with it")
    options = parser.parse_args(argv)
    if options.scope is not None and options.scope not in SCOPES:
        near = nearest(options.scope, SCOPES)
        raise UsageError(f"--scope {options.scope}: expected own or all", hint=near and f"did you mean {near}?")
    if find_spec("mcp") is None:
        raise UnavailableError("the library `mcp` is not installed", hint="pip install 'aish-shell[mcp]'")
    from aish.tools_server import stdio  # and with it the library: a second's work

    if sys.stdin.isatty():
        print("aish mcp: a client speaks to this, and not a person: docs/reference/mcp.md", file=sys.stderr)
    asyncio.run(
        stdio.serve(
            version=version().removeprefix("aish "),
            read_only=options.read_only,
            wanted=options.scope,
            ends=options.ends_with_me,
        )
    )
    return 0
