"""`aish checkpoint`: how far an agent has come, to go back to or to go on from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from aish.agents.checkpoints import checkpoint as c
from aish.agents.checkpoints.taking import take
from aish.cli import boundary
from aish.cli.arguments import Parser, json_option
from aish.cli.each import for_each
from aish.cli.output import age, print_json, print_table, usd
from aish.client import connect
from aish.client.finding import recorded
from aish.errors import UsageError
from aish.model.size import format_bytes, format_count
from aish.report import clean
from aish.wire.plain import plain

if TYPE_CHECKING:
    from aish.agents.checkpoints.checkpoint import Checkpoint

_LABEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,62}")
_NUMBER: Final = re.compile(r"p?\d+(\.\d+)?")


def main(argv: list[str]) -> int:
    action, words = (argv[0], argv[1:]) if argv else ("", [])
    match action:
        case "ls":
            return _list(words)
        case "show":
            return _show(words)
        case "rm":
            return _remove(words)
        case _:
            return _take(argv)


def _take(argv: list[str]) -> int:
    parser = Parser(
        "checkpoint",
        "Keep how far an agent has come: its conversation, the files of its worktree, what it has used. One is\n"
        "taken after each turn anyway, and the last ones of these are kept; one that is asked for stays.",
        "  ls [AGENT]        those of an agent, or of all\n"
        "  show CHECKPOINT   what is in it, and what is not\n"
        "  rm CHECKPOINT…    drop them\n\n"
        "example: aish checkpoint @fix --name before-refactor",
    )
    parser.add_argument("target", metavar="AGENT", help="an id (p12) or a name, with or without @")
    parser.add_argument("--name", metavar="NAME", help="what it is called, beside its number")
    parser.add_argument("--no-wait", action="store_true", help="refuse where a turn is under way")
    json_option(parser)
    options = parser.parse_args(argv)
    if options.name is not None:
        check_label(options.name)
    with connect(start=False, program="checkpoint") as client:
        agent = boundary.agent(client, options.target)
        with boundary.standing(client, agent, "checkpoint", "checkpoint", waits=not options.no_wait) as lock:
            taken = take(agent.shelf, boundary.occasion(client, agent, c.ASKED, options.name), (lock,))
        boundary.done(client, agent, "checkpoint", taken)
    print_json(as_json(taken)) if options.json else print("\n".join(told(taken)))
    return 0


def check_label(label: str) -> None:
    """Raises UsageError."""
    if not _LABEL.fullmatch(label) or _NUMBER.fullmatch(label):
        raise UsageError(
            f"--name {label}: letters, digits and . _ / -, and no number alone", hint="--name before-refactor"
        )


def _list(words: list[str]) -> int:
    parser = Parser("checkpoint ls", "List checkpoints, oldest first; the one that an agent goes on from has a *.")
    parser.add_argument("target", nargs="?", metavar="AGENT", help="only those of this one")
    json_option(parser)
    options = parser.parse_args(words)
    with connect(start=recorded(), program="checkpoint") as client:
        if options.target is None:
            shelves = boundary.everyone(client)
        else:
            shelves = [boundary.agent(client, options.target).shelf]
    found = [(each, shelf.position.at == each.number) for shelf in shelves for each in shelf.all().values()]
    if options.json:
        print_json([as_json(each) | {"current": here} for each, here in found])
    elif found:
        header = ("", "CHECKPOINT", "AGENT", "TURN", "AGE", "WHY", "NAME", "TOKENS", "USD", "EXACT")
        print_table(header, [_cells(each, here) for each, here in found], ("TURN", "AGE", "TOKENS", "USD"))
    return 0


def _cells(each: Checkpoint, here: bool) -> tuple[str, ...]:
    used = each.usage
    return (
        "*" if here else "",
        each.id,
        each.name,
        str(each.turn),
        age(each.taken_s),
        each.why if each.status in (None, "done") else f"{each.why} ({each.status})",
        each.label or "-",
        "-" if used is None else format_count(used.input + used.output),
        "-" if used is None else usd(used),
        "yes" if each.exact else "no: " + ", ".join(each.missing),
    )


def _show(words: list[str]) -> int:
    parser = Parser("checkpoint show", "Show what is in a checkpoint, and what is not, with the reason.")
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="p4.3, or its name")
    json_option(parser)
    options = parser.parse_args(words)
    with connect(start=recorded(), program="checkpoint") as client:
        found = boundary.named(client, options.checkpoint).checkpoint
    print_json(as_json(found)) if options.json else print("\n".join(told(found)))
    return 0


def _remove(words: list[str]) -> int:
    parser = Parser("checkpoint rm", "Drop checkpoints. What an agent goes on from stays.")
    parser.add_argument("checkpoint", nargs="+", metavar="CHECKPOINT", help="p4.3, or its name")
    json_option(parser)
    options = parser.parse_args(words)
    with connect(start=recorded(), program="checkpoint") as client:

        def act(word: str) -> dict[str, object]:
            agent, found = boundary.named(client, word)
            with boundary.standing(client, agent, "checkpoint rm", "drop"):
                agent.shelf.drop([found.number])
            return {"id": found.id}

        return for_each("checkpoint rm", options.checkpoint, act, as_json=options.json)


def as_json(each: Checkpoint) -> dict[str, Any]:
    return {"id": each.id, **plain(each), "exact": each.exact}


def _cached(each: Checkpoint) -> str | None:
    if each.cache is None:
        return None if c.CACHE in each.missing else "none yet"
    return f"{each.cache.tokens:,} tokens of {each.model}, {format_bytes(each.cache.bytes)}"


def told(each: Checkpoint) -> list[str]:
    """For people. Pure but for the clock."""
    exact = "exact" if each.exact else "not exact"
    lines = [
        f"{each.id}  {each.name}, turn {each.turn}, {age(each.taken_s)} ago"
        + (f", {each.label}" if each.label else "")
    ]
    has = {
        c.TRANSCRIPT: each.transcript and f"{each.transcript.bytes:,} bytes",
        c.CONVERSATION: each.conversation or ("none yet" if c.CONVERSATION not in each.missing else None),
        c.WORKTREE: each.worktree and f"{each.worktree.commit[:12]} of {each.worktree.folder}",
        c.CACHE: _cached(each),
        c.USAGE: each.usage and f"{each.usage.input + each.usage.output:,} tokens, {usd(each.usage)} USD",
    }
    for part in c.PARTS:
        texts = [text for text in (has[part], each.missing.get(part)) if text]
        lines.append(
            f"  {part:<12}  {'; '.join(texts) or '-'}"
            if has[part]
            else f"  {part:<12}  - {texts[0] if texts else ''}"
        )
    return [clean(line) for line in (*lines, f"  {exact}")]
