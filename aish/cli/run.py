"""`aish run`: a supervised process here and now, attached to this terminal or to our streams."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from aish.cli import wanted, worktree
from aish.cli.arguments import Parser
from aish.cli.output import json_line
from aish.client import stage

if TYPE_CHECKING:
    from typing import Final

    from aish.wire.part import ExitPart

SHIM_OPTION: Final = "--as-shim"
"""For shims alone (aish.cli.shims): the name that was typed follows."""


def main(argv: list[str]) -> int:
    """Ends this process as the command ended, so it does not return; but for 0 where the terminal was detached."""
    if argv[:1] == [SHIM_OPTION]:
        from aish.cli import shimmed

        return shimmed.main(argv[1:])
    parser = Parser(
        "run",
        "Run a command supervised and wait for it. At a terminal it gets one of its own that outlives this one;\n"
        "in a pipeline it gets our standard streams. The exit status is the command's.\n"
        "At a terminal Ctrl-] d detaches, the command goes on, and `aish attach` comes back to it; a SIGTERM to us\n"
        "detaches, too. In a pipeline signals are passed on to the command.",
        "example: aish run --budget 50k -- my-agent",
    )
    wanted.options(parser)
    worktree.options(parser)
    parser.add_argument("--json", action="store_true", help="at its end, one line of JSON on stderr: how it ended")
    options, command = parser.command(argv)
    at_terminal = os.isatty(0) and os.isatty(1)
    part = wanted.spec_of(options, command, pty=at_terminal)
    end: ExitPart | None
    with worktree.given(part, wanted.surroundings(options), options, "aish run") as given:
        if at_terminal:
            from aish.client import terminal

            end = terminal.run(given.part, given.launch, rename=options.name is None)
        else:
            from aish.agents.stub import edge_fds

            fds = (0, 1, 2, *edge_fds())
            end = stage.run(given.part, given.launch, fds, rename=options.name is None)
    if options.json:
        print(json_line({"exit": end}), file=sys.stderr, flush=True)
    if end is not None:
        stage.leave(end)
    return 0  # detached: it goes on without us
