"""`aish fork`: a second agent that has the conversation and the files of the first, and goes its own way."""

from __future__ import annotations

from aish.agents.checkpoints import checkpoint as c
from aish.agents.checkpoints.taking import take
from aish.cli import boundary, going_on
from aish.cli.arguments import Parser, json_option
from aish.cli.going_on import Wish
from aish.client import connect
from aish.errors import ConflictError


def main(argv: list[str]) -> int:
    parser = Parser(
        "fork",
        "Have a new process go on with the conversation of an agent, in a git worktree of its own with the files of\n"
        "that one's. The first goes on as before. Of what is left of its budget the new one gets half, and it has\n"
        "that less.",
        "examples: aish fork @fix        aish fork @fix before-refactor --as other-way --budget tokens=50k",
    )
    parser.add_argument("target", metavar="AGENT", help="an id (p12) or a name, with or without @")
    parser.add_argument(
        "checkpoint", nargs="?", metavar="CHECKPOINT", help="p4.3, or its name; default: as it is now"
    )
    going_on.options(parser)
    parser.add_argument("--no-wait", action="store_true", help="refuse where a turn is under way")
    json_option(parser)
    options = parser.parse_args(argv)
    wish = Wish("fork", options.name, options.budget, all=False)
    with connect(start=False, program="fork") as client:
        agent = boundary.agent(client, options.target)
        if agent.over:
            hint = "`aish restore CHECKPOINT` has it run again from there"
            raise ConflictError(f"{agent.called} has ended", hint=hint)
        if options.checkpoint is None:
            with boundary.standing(client, agent, "fork", "checkpoint", waits=not options.no_wait) as lock:
                wanted = take(agent.shelf, boundary.occasion(client, agent, c.FORK), (lock,))
        else:
            wanted = boundary.named(client, options.checkpoint, agent).checkpoint
            wanted = boundary.left(client, agent, wanted, "fork", waits=not options.no_wait)
        started = going_on.begin(client, agent, wanted, wish)
    return going_on.told(wish, started, wanted, options)
