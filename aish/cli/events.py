"""`aish events`: what happened, in order."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from msgspec import structs

from aish.cli.arguments import Parser, json_option, label_option
from aish.cli.output import json_line, when
from aish.client import connect, follow
from aish.client.finding import recorded
from aish.errors import DisconnectedError, UsageError
from aish.model import event as events
from aish.model import label, moment
from aish.model.nearest import nearest
from aish.report import clean
from aish.wire.message import Events
from aish.wire.reply import EventList

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from aish.client import Client
    from aish.wire.part import EventPart
    from aish.wire.reply import Reply

LAST_MOST = 10_000


def main(argv: list[str]) -> int:
    options = _parser().parse_args(argv)
    request = _request(options)
    told = _Lines()
    with connect(start=options.follow or recorded(), program="events") as client:
        while True:
            client.send(request)
            try:
                for reply in _replies(client):
                    if not isinstance(reply, EventList):
                        continue
                    for event in reply.events:
                        print(json_line(event) if options.json else told.line(event), flush=options.follow)
                    request = structs.replace(request, since=reply.until, last=None)
                    if not options.follow:
                        if not reply.more:
                            return 0
                        client.send(request)
            except DisconnectedError:
                client.reconnect()


def _parser() -> Parser:
    parser = Parser("events", "Show what happened: one line an event, oldest first.")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what happens")
    parser.add_argument("-n", "--last", type=int, metavar="N", help="only the last N, before what follows")
    parser.add_argument(
        "--since", metavar="WHEN", help="after an event's NUMBER, or from a time on: 5m (ago), 14:30, 2026-07-01"
    )
    parser.add_argument(
        "--kind", action="append", default=[], metavar="KIND,…", help="only these, such as exited,failed"
    )
    parser.add_argument(
        "--name", action="append", default=[], metavar="NAME", help="of processes of that name or id, gone ones too"
    )
    label_option(parser, "of processes that have this label now")
    parser.add_argument("target", nargs="?", metavar="PROCESS", help="only those of this one: an id or a name")
    json_option(parser)
    return parser


def _request(options: Namespace) -> Events:
    """Raises UsageError."""
    if options.last is not None and not 0 <= options.last <= LAST_MOST:
        raise UsageError(f"--last {options.last}: expected 0 to {LAST_MOST}")
    since, since_s = 0, None
    if options.since is not None and options.since.isdecimal():
        since = int(options.since)
        if since >= 1 << 63:
            raise UsageError(f"--since {options.since}: expected an event's number, the first column, or a time")
    elif options.since is not None:
        try:
            since_s = moment.parse_moment_s(options.since, time.time())
        except UsageError as error:
            raise UsageError(
                f"--since {clean(options.since)}: {error}", hint=f"an event's number; or {error.hint}"
            ) from None
    kinds = [kind for word in options.kind for kind in word.split(",") if kind]
    for kind in kinds:
        if kind not in events.KINDS:
            near = nearest(kind, events.KINDS)
            hint = f"did you mean {near}?" if near else "docs/reference/events.md lists them"
            raise UsageError(f"--kind {clean(kind)}: no such kind of event", hint=hint)
    return Events(
        since=since,
        since_s=since_s,
        follow=options.follow,
        target=options.target,
        kinds=kinds,
        names=[name.removeprefix("@") for name in options.name],
        labels=label.parse_wanted(options.label),
        last=options.last,
    )


def _replies(client: Client) -> Iterator[Reply]:
    """One after another. Raises DisconnectedError, and BrokenPipeError when nobody reads our output any more: the
    next event, which would tell it, may be hours away."""
    while True:
        if not client.buffered and not follow.answered(client.fileno()):
            raise BrokenPipeError
        yield client.receive()


class _Lines:
    """For people: those that follow lines with a date are as wide."""

    def __init__(self) -> None:
        self._wide = 0

    def line(self, event: EventPart) -> str:
        at = when(event.time_s, time.time())
        self._wide = max(self._wide, len(at))
        who = f"{event.name} ({event.process})" if event.process else "-"
        return clean(f"{event.number:>6}  {at:>{self._wide}}  {event.kind:<12} {who}  {event.text}".rstrip())
