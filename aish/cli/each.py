"""One act for each of several names: all are tried, the first failure decides the exit status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aish.cli.output import print_json
from aish.client import choice, connect
from aish.client.call import by, carry
from aish.client.finding import recorded
from aish.errors import AishError, UsageError
from aish.model import label
from aish.report import report, told
from aish.wire.plain import plain
from aish.wire.reply import Done

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterable

    from aish.client import Client
    from aish.wire.message import Message


def each(
    verb: str, options: Namespace, request: Callable[[str], Message], *, ended: bool = False, gone: bool = False
) -> int:
    """A request to the daemon for each target; with --json what came of each is printed as one list.

    `options` are those of `arguments.targets`; `ended`: labels mean what has ended, instead of what lives;
    `gone`: the verb is for what an earlier supervisor had, too."""
    with connect(start=gone and recorded(), program=verb) as client:

        def act(target: str) -> object:
            reply = client.request(request(target))
            return {"changed": reply.changed} if isinstance(reply, Done) else plain(reply)

        return for_each(verb, chosen(client, options, ended=ended), act, as_json=options.json)


def chosen(client: Client, options: Namespace, *, ended: bool | None = False) -> list[str]:
    """The processes that were named, or all that live (`ended`: that have ended; None: both) and have the
    labels; with `--tree` what lives below them, too.

    Raises UsageError, NotFoundError."""
    words: list[str] = getattr(options, "label", [])
    names: list[str] = options.target
    tree: bool = getattr(options, "tree", False)
    if words and names:
        raise UsageError("names or labels, not both", hint="`aish ps -q --label KEY=VALUE` lists the ids")
    if not words and not names:
        raise UsageError("which process?", hint="name one, or several by their labels: --label KEY=VALUE")
    labels = label.parse_wanted(words) if words else None
    return carry(choice.chosen(names, labels, ended=ended, tree=tree), by(client))


def for_each(verb: str, names: Iterable[str], act: Callable[[str], object], *, as_json: bool = False) -> int:
    """`act` on each name. Its value is a mapping, or None, of what there is to tell in JSON beside the name."""
    status = 0
    rows: list[dict[str, object]] = []
    for name in names:
        row: dict[str, object] = {"target": name, "error": None}
        try:
            found = act(name)
            row |= found if isinstance(found, dict) else {}
        except AishError as error:
            if not as_json:
                report(f"aish {verb}", error)
            row["error"] = told(error)
            status = status or error.exit_status
        rows.append(row)
    if as_json:
        print_json(rows)
    return status
