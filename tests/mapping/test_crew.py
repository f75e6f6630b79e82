"""The processes of a map, with a real supervisor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from aish.client import connect, launch
from aish.mapping.book import Book
from aish.mapping.crew import Crew
from aish.mapping.item import run_of
from aish.mapping.round import Round
from aish.wire.message import Spawn
from aish.wire.spec import SpecPart

if TYPE_CHECKING:
    from conftest import Home

    from aish.client import Client


class Interrupted:
    """A connection whose first start is interrupted after it was asked for, before its answer is read."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._again = False

    def ask(self, kind: type[Any], request: Any, fds: list[int] | None = None) -> Any:
        if isinstance(request, Spawn) and not self._again:
            self._again = True
            self._client.send(request)
            raise KeyboardInterrupt
        return self._client.ask(kind, request, fds or [])

    def reconnect(self) -> None:
        self._client.reconnect()


def test_a_start_that_was_not_answered_yet_is_stopped_too(shared_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C between a question and its answer left a process running that nobody knew of."""
    for name, value in shared_home.environ.items():
        if name.startswith("XDG_"):
            monkeypatch.setenv(name, value)
    shared_home.client.processes()  # the supervisor is there
    with connect() as client, Book(None, "mark", resume=False) as book:
        crew = Crew(
            Interrupted(client),  # type: ignore[arg-type]
            Round.of(["600"], most=1),
            book,
            lambda item: run_of(["sleep"], item, texts=False),
            lambda run: SpecPart(argv=[word.encode() for word in run.words], cwd=b"/"),
            launch.capture(),
        )
        with pytest.raises(KeyboardInterrupt):
            crew.begin()
        crew.stop()
    (row,) = shared_home.client.processes(labels={"map": book.id}, all=True)
    assert row.lifecycle == "exited", "it was found by the token of its request"
