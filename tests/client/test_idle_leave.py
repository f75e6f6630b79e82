"""Clients that come just when the daemon leaves because nobody needs it: none of them may notice."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from aish.client import bringup, connect, launch
from aish.errors import NotRunningError
from aish.wire.message import KeyList, Snapshot, Spawn, Wait
from aish.wire.reply import Keys, Started, View, Waited
from aish.wire.spec import SpecPart

if TYPE_CHECKING:
    from conftest import Home

IDLE_S = 0.25
MOST_S = 10.0
"""A verb that met a daemon which was leaving took 30 s and failed."""
VERBS = 40


@pytest.mark.slow
def test_short_verbs_around_the_moment_of_leaving(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine of sixty failed: the holder said 'a daemon runs already', then both left."""
    monkeypatch.setenv("AISH_IDLE_S", str(IDLE_S))
    epochs = set()
    for number in range(VERBS):
        began_s = time.monotonic()
        with connect(program="test") as client:
            epochs.add(client.welcome.pid)
            if number % 3 == 0:
                client.ask(Keys, KeyList())  # and so the gateway has to be stopped first
            elif number % 3 == 1:
                spec = SpecPart(argv=[b"true"], cwd=os.fsencode(home.root))
                started = client.ask(Started, Spawn(token=f"{number:032x}", spec=spec, launch=launch.capture()))
                assert client.ask(Waited, Wait(target=started.id)).exit is not None
            else:
                client.ask(View, Snapshot(all=True))
        assert time.monotonic() - began_s < MOST_S
        time.sleep(IDLE_S + 0.002 * (number % 20))  # what is tried: from just before its leaving to just after it
    assert len(epochs) > 1, "it never left"


def test_who_only_looks_does_not_wait_for_a_daemon_that_nobody_starts(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The holder was still there, so its next daemon was waited for, 30 s; but it was leaving, too."""
    answers = [True, True]
    monkeypatch.setattr(bringup, "holder_runs", lambda: bool(answers) and answers.pop())
    with pytest.raises(NotRunningError) as caught:
        connect(start=False, program="test")
    assert (caught.value.code, answers) == ("not-running", [])


def test_a_daemon_is_asked_for_again_where_the_first_one_was_leaving(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, asked = bringup.start, []

    def leaving() -> None:
        """As the holder answers while its daemon leaves: it runs already."""
        asked.append(time.monotonic())
        if len(asked) > 1:
            start()

    monkeypatch.setattr(bringup, "start", leaving)
    with connect(program="test") as client:
        client.ask(View, Snapshot())
    assert len(asked) > 1
