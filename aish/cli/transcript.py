"""`aish transcript`: what an agent was asked, said, did and was allowed."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from aish.agents import keeping
from aish.cli.arguments import Parser
from aish.cli.output import when
from aish.client import connect, follow
from aish.client.finding import recorded
from aish.config import folders
from aish.errors import DisconnectedError, NotFoundError, StorageError, UsageError
from aish.model.kind import AGENT
from aish.model.state import ENDED
from aish.report import clean
from aish.wire.message import Inspect, Wait
from aish.wire.reply import Inspected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aish.client import Client

TEXT_OF: Final = ("text", "title", "name", "answer", "id", "status", "message")
"""Which value of an entry is shown: the first that it has; others beside it where they are short."""


def main(argv: list[str]) -> int:
    parser = Parser("transcript", "Show what an agent was asked, said, did and was allowed, oldest first.")
    parser.add_argument("target", metavar="AGENT", help="an id (p12) or a name; ended ones too")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what comes, until it has ended")
    parser.add_argument("-n", "--last", type=int, metavar="N", help="only the last N entries")
    parser.add_argument("--json", action="store_true", help="the entries themselves, one JSON object a line")
    options = parser.parse_args(argv)
    if options.last is not None and options.last < 0:
        raise UsageError(f"--last {options.last}: expected 0 or more")
    with connect(start=recorded(), program="transcript") as client:
        row = client.ask(Inspected, Inspect(target=options.target)).process
        path = keeping.transcript(folders.state(), row.id, client.welcome.epoch)
        lives = row.lifecycle not in ENDED
        try:
            fd = _opened(path, follow=options.follow and lives)
        except FileNotFoundError as error:
            raise _none(f"{row.name} ({row.id})", yet=lives and row.kind == AGENT) from error
        try:
            start = 0 if options.last is None else follow.last_lines(fd, options.last)
            told = Told()
            for line in _lines(client, row.id, fd, start, following=options.follow):
                _show(line, told, as_json=options.json)
        finally:
            os.close(fd)
    return 0


def _none(name: str, *, yet: bool) -> NotFoundError:
    if yet:
        return NotFoundError(
            f"{name} has no transcript yet", hint="it has only begun: `aish transcript -f` waits for it"
        )
    return NotFoundError(
        f"{name} has no transcript", hint="agents that aish hosts have one; `aish logs` shows what others wrote"
    )


def _opened(path: str, *, follow: bool) -> int:
    """Raises FileNotFoundError, StorageError. Who follows may come before the first entry."""
    try:
        if follow:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            return os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from error


def _lines(client: Client, id_: str, fd: int, start: int, *, following: bool) -> Iterator[bytes]:
    """Whole lines, from that offset on; following, until the process has ended and all is read."""
    tail, rest = follow.Tail(fd, start), b""
    with follow.Growth() as growth:
        growth.watch(fd)
        if following:
            client.send(Wait(target=id_))
        ended = not following
        while True:
            growth.clear()
            over = ended
            while data := tail.read():
                *lines, rest = (rest + data).split(b"\n")
                yield from lines
            sys.stdout.flush()
            if over or follow.reader_left():
                return
            if client.buffered or follow.wait(growth, [client.fileno()], 1000):
                try:
                    client.receive()
                    ended = True
                except DisconnectedError:
                    client.reconnect()
                    client.send(Wait(target=id_))


class Told:
    """What a tool printed while it ran, so that its result does not say it once more."""

    def __init__(self) -> None:
        self._text = ""

    def news(self, entry: dict[str, Any]) -> dict[str, Any]:
        """The entry, a result with what was not told yet. Pure but for what it keeps."""
        kind, text = entry.get("kind"), entry.get("text")
        if kind == "output" and isinstance(text, str):
            self._text += text
        elif kind == "result":
            told, self._text = self._text, ""
            if told and isinstance(text, str) and text.startswith(told):
                return {**entry, "text": text[len(told) :]}
        return entry


def _show(line: bytes, told: Told, *, as_json: bool) -> None:
    if as_json:
        print(line.decode("utf-8", "replace"))
        return
    try:
        entry = json.loads(line)
    except ValueError:
        return  # half a line that a kill has left
    if isinstance(entry, dict):
        print("\n".join(written(told.news(entry), time.time())))


def written(entry: dict[str, Any], now_s: float) -> list[str]:
    """An entry for people. Pure."""
    kind = str(entry.get("kind", ""))
    texts = [str(entry[key]) for key in TEXT_OF if isinstance(entry.get(key), str) and entry[key].strip()]
    lines = (texts[0] if texts else "").strip().splitlines() or [""]
    beside = [text for text in texts[1:] if len(text) <= 100 and "\n" not in text]
    if entry.get("by"):
        beside.append(f"by {entry['by']}")
    if beside:
        lines[0] += "  (" + ", ".join(beside) + ")" if lines[0] else ", ".join(beside)
    time_s = entry.get("time_s")
    at = when(float(time_s), now_s) if isinstance(time_s, int | float) else ""
    head = f"{at:<8}  {clean(kind):<8}  "
    return [head + clean(lines[0]), *(" " * len(head) + clean(line) for line in lines[1:])]
