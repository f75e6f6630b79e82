"""`aish rewind`: an agent goes back to how far it had come once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aish.agents.checkpoints import checkpoint as c
from aish.agents.checkpoints import rewinding
from aish.cli import boundary
from aish.cli.arguments import Parser, json_option
from aish.cli.output import print_json
from aish.client import connect
from aish.errors import ConflictError, NotFoundError
from aish.report import clean

if TYPE_CHECKING:
    from aish.agents.checkpoints.checkpoint import Checkpoint
    from aish.cli.boundary import Found
    from aish.client import Client


def main(argv: list[str]) -> int:
    parser = Parser(
        "rewind",
        "Have an agent go on from an earlier turn, or a checkpoint: the conversation as it was then, and the files\n"
        "of its worktree. It stays the same process. What there is now is kept as a checkpoint first, the\n"
        "transcript keeps all its lines, and what was used stays used.",
        "examples: aish rewind @fix        aish rewind @fix 3        aish rewind @fix before-refactor",
    )
    parser.add_argument("target", metavar="AGENT", help="an id (p12) or a name, with or without @")
    parser.add_argument(
        "to", nargs="?", default="1", metavar="TURNS|CHECKPOINT", help="how many turns back (1), or p4.3, or its name"
    )
    parser.add_argument("--no-wait", action="store_true", help="refuse where a turn is under way")
    json_option(parser)
    options = parser.parse_args(argv)
    with connect(start=False, program="rewind") as client:
        agent = boundary.agent(client, options.target)
        if agent.over:
            hint = "`aish restore CHECKPOINT` has it run again from there"
            raise ConflictError(f"{agent.called} has ended", hint=hint)
        with boundary.standing(client, agent, "rewind", "rewind", waits=not options.no_wait) as lock:
            wanted = _wanted(client, agent, options.to)
            before = rewinding.rewind(agent.shelf, wanted, boundary.occasion(client, agent, c.REWIND), (lock,))
        boundary.done(client, agent, "rewind", wanted)
    if options.json:
        used = {"used_since_tokens": _tokens(before) - _tokens(wanted)}
        print_json({"id": wanted.id, "turn": wanted.turn, "saved": before.id, "exact": wanted.exact, **used})
    else:
        print("\n".join(clean(line) for line in _told(agent, wanted, before)))
    return 0


def _wanted(client: Client, agent: Found, word: str) -> Checkpoint:
    """Raises NotFoundError."""
    if not (word.isascii() and word.isdigit()):
        return boundary.named(client, word, agent).checkpoint
    position, turns = agent.shelf.position, int(word)
    found = c.turns_back(agent.shelf.all(), position.at, position.turn, turns)
    if found is None:
        raise NotFoundError(
            f"{agent.called} stands at turn {position.turn}: nothing is kept of {turns} before it",
            hint=f"`aish checkpoint ls {agent.inspected.process.name}` lists what there is",
        )
    return found


def _told(agent: Found, wanted: Checkpoint, before: Checkpoint) -> list[str]:
    spent = _tokens(before) - _tokens(wanted)
    lines = [f"{agent.called}: back at {wanted.id}, turn {wanted.turn}; what was there is {before.id}"]
    if wanted.worktree is None:
        lines.append(f"  files stay as they are: {wanted.missing.get(c.WORKTREE, '-')}")
    elif c.WORKTREE in wanted.missing:
        lines.append(f"  files: {wanted.missing[c.WORKTREE]}")
    if spent > 0:
        lines.append(f"  the {spent:,} tokens used since then stay used")
    return lines


def _tokens(each: Checkpoint) -> int:
    return each.usage.input + each.usage.output if each.usage is not None else 0
