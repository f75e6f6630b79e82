"""`aish restore`: an agent that has ended runs again from a checkpoint, as a new process."""

from __future__ import annotations

from aish.cli import boundary, going_on
from aish.cli.arguments import Parser, json_option
from aish.cli.going_on import Wish
from aish.client import connect
from aish.client.finding import recorded
from aish.errors import ConflictError


def main(argv: list[str]) -> int:
    parser = Parser(
        "restore",
        "Have an agent that has ended go on from one of its checkpoints: a new process, of its name where that is\n"
        "free, in a new git worktree with the files as they were, and with all that is left of its budget.",
        "examples: aish restore p4.3        aish restore before-refactor",
    )
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="p4.3, or its name: `aish checkpoint ls` lists them")
    going_on.options(parser)
    json_option(parser)
    options = parser.parse_args(argv)
    wish = Wish("restore", options.name, options.budget, all=True)
    with connect(start=recorded(), program="restore") as client:
        agent, wanted = boundary.named(client, options.checkpoint)
        if not agent.over:
            name = agent.inspected.process.name
            to = f"{name} {wanted.id}"
            hint = f"`aish rewind {to}` has it go back there, `aish fork {to}` makes a second one"
            raise ConflictError(f"{agent.called} has not ended", hint=hint)
        wanted = boundary.left(client, agent, wanted, "restore")
        started = going_on.begin(client, agent, wanted, wish)
    return going_on.told(wish, started, wanted, options)
