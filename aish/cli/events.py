"""`aish events`: what happened, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aish.cli.arguments import Parser, json_option
from aish.cli.output import clock, json_line
from aish.client import connect, follow
from aish.errors import DisconnectedError, UsageError
from aish.report import clean
from aish.wire.message import EventList, Events

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aish.client import Client
    from aish.wire.message import Reply
    from aish.wire.part import EventPart


def main(argv: list[str]) -> int:
    parser = Parser("events", "Show what happened: one line an event, oldest first.")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what happens")
    parser.add_argument("--since", type=int, default=0, metavar="NUMBER", help="only events after this number")
    parser.add_argument("target", nargs="?", metavar="PROCESS", help="only those of this one: an id or a name")
    json_option(parser)
    options = parser.parse_args(argv)
    if not 0 <= options.since < 1 << 63:
        raise UsageError(f"--since {options.since}: expected an event's number, the first column")
    since = options.since
    with connect(start=options.follow, program="events") as client:
        while True:
            client.send(Events(since=since, follow=options.follow, target=options.target))
            try:
                for reply in _replies(client):
                    if isinstance(reply, EventList):
                        for event in reply.events:
                            print(json_line(event) if options.json else _line(event), flush=options.follow)
                            since = event.number
                    if not options.follow:
                        return 0
            except DisconnectedError:
                client.reconnect()


def _replies(client: Client) -> Iterator[Reply]:
    """One after another. Raises DisconnectedError, and BrokenPipeError when nobody reads our output any more: the
    next event, which would tell it, may be hours away."""
    while True:
        if not client.buffered and not follow.answered(client.fileno()):
            raise BrokenPipeError
        yield client.receive()


def _line(event: EventPart) -> str:
    who = f"{event.name} ({event.process})" if event.process else "-"
    return clean(f"{event.number:>6}  {clock(event.time_s)}  {event.kind:<12} {who}  {event.text}".rstrip())
