"""A cause is told before what comes of it."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from aish.errors import UnavailableError
from aish.wire.message import Signal, Stop
from aish.wire.reply import Done
from aish.wire.spec import GroupPart, RestartPart

if TYPE_CHECKING:
    from conftest import Supervised

    from aish.wire.part import EventPart

AT_ONCE = RestartPart(delay_s=0.01, longest_s=0.01, most=None)


def of(up: Supervised, name: str) -> list[EventPart]:
    return [event for event in up.events() if event.name == name]


def kinds(up: Supervised, name: str) -> list[str]:
    return [event.kind for event in of(up, name)]


def test_a_signal_is_told_before_the_end_that_it_brings(up: Supervised) -> None:
    """`ended`, then `signalled by the user`, then `started`: as if it had ended by itself."""
    up.spawn("sleep", "600", name="sg", restart="on-failure", restarts=AT_ONCE)
    for count in range(1, 21):
        up.client.ask(Done, Signal(target="sg", signal=signal.SIGKILL))
        up.until("it runs again", lambda at=count: kinds(up, "sg").count("started") > at)  # type: ignore[misc]
    assert kinds(up, "sg") == ["created", "started", *["signalled", "ended", "started"] * 20]


def test_a_signal_is_told_before_its_group_goes(up: Supervised) -> None:
    """`ended, group, stopping, signalled`."""
    group = {"restart": "on-failure", "restarts": AT_ONCE}
    for place, name in enumerate(("first", "second")):
        up.spawn("sleep", "600", name=name, group=GroupPart(name="g", place=place, strategy="one_for_all"), **group)
    up.client.ask(Done, Signal(target="first", signal=signal.SIGKILL))
    up.until("both run again", lambda: all(kinds(up, name).count("started") == 2 for name in ("first", "second")))
    told = [event.kind for event in up.events() if event.kind in ("signalled", "ended", "group", "stopping")]
    assert told[0] == "signalled", told
    assert told.index("ended") < told.index("group") < told.index("stopping")


@pytest.mark.usefixtures("home")
def test_a_signal_through_the_keeper_is_told_before_the_end(up: Supervised) -> None:
    """What an earlier holder had started."""
    up.spawn("sleep", "600", name="job")
    before = up.holder_pids()
    os.kill(before[1], signal.SIGKILL)
    up.until("another holder is there", lambda: up.holder_pids() != before)
    up.client.ask(Done, Signal(target="job", signal=signal.SIGKILL))
    up.wait("job")
    assert kinds(up, "job") == ["created", "started", "signalled", "exited"]


@pytest.mark.usefixtures("home")
def test_a_signal_to_one_that_is_watched_is_told_before_the_end(up: Supervised) -> None:
    """Keeper and holder have died: it is signalled through its pidfd."""
    up.spawn("sleep", "600", name="job")
    before = up.holder_pids()
    up.kill_parents()
    up.until("the next ones are there", lambda: up.holder_pids() != before)
    up.next_daemon()
    up.client.ask(Done, Signal(target="job", signal=signal.SIGKILL))
    up.wait("job")
    told = [kind for kind in kinds(up, "job") if kind in ("signalled", "exited", "lost")]
    assert (told[0], len(told)) == ("signalled", 2)


@pytest.mark.usefixtures("home")
def test_a_signal_that_waits_for_a_stopped_holder_is_told_when_it_is_sent(up: Supervised) -> None:
    """Nobody waited for its answer any more, and nothing said who had sent it."""
    up.spawn("sleep", "600", name="job")
    _, holder = up.holder_pids()
    os.kill(holder, signal.SIGSTOP)
    try:
        with pytest.raises(UnavailableError):
            up.client.request(Signal(target="job", signal=signal.SIGTERM))
        assert "signalled" not in kinds(up, "job")
    finally:
        os.kill(holder, signal.SIGCONT)
    up.wait("job")
    assert kinds(up, "job") == ["created", "started", "signalled", "exited"]


def test_a_stop_is_told_before_its_end(up: Supervised) -> None:
    up.spawn("sleep", "600", name="job")
    up.client.ask(Done, Stop(target="job"))
    up.wait("job")
    assert kinds(up, "job") == ["created", "started", "stopping", "exited"]
