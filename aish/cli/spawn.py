"""`aish spawn`: a supervised process in the background."""

from __future__ import annotations

import os
import secrets
import sys
from typing import TYPE_CHECKING

from aish.cli import wanted, worktree
from aish.cli.arguments import Parser, json_option
from aish.cli.output import print_json
from aish.client import connect, needing
from aish.client.finding import outside
from aish.client.stage import not_started
from aish.config import folders
from aish.wire.message import Spawn
from aish.wire.reply import Started

if TYPE_CHECKING:
    from argparse import Namespace

    from aish.wire.spec import LaunchPart, SpecPart


def main(argv: list[str]) -> int:
    parser = Parser(
        "spawn",
        "Start a supervised process in the background: stdin is empty, output goes to its log (aish logs).\n"
        "With --pty it has a terminal of its own instead, to which `aish attach` attaches yours.",
        "example: aish spawn --name train --vram 8G -- python train.py",
    )
    wanted.options(parser)
    worktree.options(parser)
    parser.add_argument("--pty", action="store_true", help="with a terminal of its own, for aish attach")
    json_option(parser)
    options, command = parser.command(argv)
    part = wanted.spec_of(options, command, pty=options.pty)
    first = not os.path.exists(folders.daemon_socket())
    with worktree.given(part, wanted.surroundings(options), options, "aish spawn") as given:
        started = _begun(given.part, given.launch, options)
    if started.unheld and not options.json:
        print(
            f"aish spawn: nothing here holds a limit of {', '.join(started.unheld)}: `aish doctor`", file=sys.stderr
        )
    if first and not outside():
        print("aish: it has a supervisor of this sandbox's own, and ends with the sandbox", file=sys.stderr)
    elif first:
        _tell_of_logout()
    if options.json:
        print_json(started)
    if started.came_to_nothing:
        return not_started("aish spawn", started).code or 0
    if not options.json:
        why = f"  {started.state}: {started.reason}" if started.reason else ""
        print(f"{started.id}  {started.name}{why}")
    return 0


def _begun(part: SpecPart, surroundings: LaunchPart, options: Namespace) -> Started:
    request = Spawn(token=secrets.token_hex(16), spec=part, launch=surroundings, rename=options.name is None)
    with connect(program="spawn") as client:
        started = client.ask(Started, request)
        for doubt in needing.doubts(client, started, part):
            print(f"aish spawn: {doubt}", file=sys.stderr)
    return started


def _tell_of_logout() -> None:
    """That the last logout ends what is supervised is to be known before it happens."""
    from aish.client import scope

    place = scope.find()
    if place.survives is False:
        print(f"aish: {place.text}\n  {place.hint}", file=sys.stderr)
