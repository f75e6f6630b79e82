"""Any of keeper, holder and daemon killed while a hook or a check runs: it is finished, never beside itself."""

from __future__ import annotations

import os
import platform
import re
import select
import signal
from typing import TYPE_CHECKING, Any

import pytest

from aish.client import connect, launch
from aish.wire.message import Start, Stop
from aish.wire.reply import Done

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Supervised

pytestmark = pytest.mark.usefixtures("home")

TELLS_EXITS = tuple(map(int, platform.release().split(".")[:2])) >= (6, 15)
VICTIMS = [
    ("daemon",),
    ("holder",),
    *(
        pytest.param(names, marks=pytest.mark.slow)
        for names in (("keeper",), ("daemon", "holder"), ("daemon", "keeper"), ("keeper", "holder"))
    ),
    ("keeper", "holder", "daemon"),
]
every_death = pytest.mark.parametrize("victims", VICTIMS, ids="+".join)


def kill(up: Supervised, victims: tuple[str, ...]) -> None:
    """All of them at once: none must notice the others' deaths. Where the daemon dies of it or leaves, until then."""
    pids = up.programs()
    daemon = os.pidfd_open(pids["daemon"])
    pidfds = [os.pidfd_open(pids[name]) for name in victims]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pidfd in pidfds:
            signal.pidfd_send_signal(pidfd, number)
    if "daemon" in victims or len(victims) > 1:
        assert select.select([daemon], [], [], 20)[0], "it does not leave"
    for pidfd in (daemon, *pidfds):
        os.close(pidfd)


class Hook:
    """A command that writes when it begins and when it ends; in between it waits for the file `go`."""

    def __init__(self, folder: Path) -> None:
        self.lines, self.go = folder / "lines", folder / "go"
        script = f"echo begin >> {self.lines}; while ! test -e {self.go}; do sleep 0.02; done; "
        script += f"sleep 0.3; echo end >> {self.lines}"
        self.argv = [b"sh", b"-c", script.encode()]

    def begun(self) -> bool:
        return self.lines.exists()

    def check(self, *, known: bool) -> None:
        """`known`: somebody could be told its end, so that it was run once."""
        text = self.lines.read_text()
        assert re.fullmatch(r"(begin\nend\n)+", text), f"cut off, or beside itself:\n{text}"
        if known:
            assert text == "begin\nend\n"


def known(victims: tuple[str, ...]) -> bool:
    return TELLS_EXITS or not {"keeper", "holder"} <= set(victims)


def ask(up: Supervised, hook: Hook, *argv: bytes, **fields: Any) -> None:
    """On a connection of its own, since the answer comes only when it runs; until the hook has begun."""
    with connect() as other:
        other.send(up.request(*argv, name="job", hook_timeout_s=20.0, **fields))
        up.until("its hook has begun", hook.begun)


@every_death
def test_a_hook_before_the_start(up: Supervised, tmp_path: Path, victims: tuple[str, ...]) -> None:
    """The next daemon ended it half-way, or, where its parents had died, ran a second one beside it."""
    hook = Hook(tmp_path)
    ask(up, hook, b"sh", b"-c", b"exit 5", before=hook.argv)
    kill(up, victims)
    up.next_daemon()
    hook.go.touch()
    assert up.code("job") == 5
    hook.check(known=known(victims))


@every_death
def test_a_check(up: Supervised, tmp_path: Path, victims: tuple[str, ...]) -> None:
    hook = Hook(tmp_path)
    ask(up, hook, b"true", check=[b"sh", b"-c", hook.argv[2] + b"; exit 4"])
    kill(up, victims)
    up.next_daemon()
    hook.go.touch()
    assert up.code("job") == 4
    hook.check(known=known(victims))


@every_death
def test_a_hook_after_the_end(up: Supervised, tmp_path: Path, victims: tuple[str, ...]) -> None:
    """It was ended half-way, and never run again: without a word, or 'its environment is gone'."""
    hook = Hook(tmp_path)
    told = tmp_path / "told"
    after = [b"sh", b"-c", hook.argv[2] + f"; echo $AISH_EXIT_CODE > {told}".encode()]
    ask(up, hook, b"sh", b"-c", b"exit 3", after=after)
    kill(up, victims)
    up.next_daemon()
    hook.go.touch()
    up.until("it is finished", lambda: told.exists() and told.read_text() == "3\n")
    up.until("that is noted", lambda: up.row("job").ended_s is not None)
    assert "hook-failed" not in {event.kind for event in up.events()}
    hook.check(known=known(victims))


@every_death
def test_a_hook_between_two_runs(up: Supervised, tmp_path: Path, victims: tuple[str, ...]) -> None:
    """The next run waits for it, whoever dies."""
    hook, again = Hook(tmp_path), tmp_path / "again"
    script = f"test -e {tmp_path}/once && touch {again} && exec sleep 600; touch {tmp_path}/once; exit 1"
    ask(up, hook, b"sh", b"-c", script.encode(), after=hook.argv, restart="on-failure")
    kill(up, victims)
    up.next_daemon()
    assert not again.exists()
    hook.go.touch()
    up.until("it runs again", again.exists)
    hook.check(known=known(victims))


@pytest.mark.parametrize("what", ["before", "check", "after"])
def test_one_that_ended_while_no_daemon_ran_is_not_run_again(up: Supervised, tmp_path: Path, what: str) -> None:
    """Its exit lay in the holder, and was thrown away."""
    hook = Hook(tmp_path)
    ask(up, hook, b"true", **{what: hook.argv})
    holder = up.programs()["holder"]
    os.kill(up.daemon_pid, signal.SIGSTOP)
    hook.go.touch()
    up.until("it is over", lambda: "end" in hook.lines.read_text())
    os.kill(holder, signal.SIGSTOP)  # so that the daemon has not read of it when it dies
    os.kill(up.daemon_pid, signal.SIGKILL)
    os.kill(holder, signal.SIGCONT)
    up.next_daemon()
    assert up.code("job") == 0
    up.until("it has settled", lambda: not (up.home.runtime / "environ" / up.row("job").id).exists())
    hook.check(known=True)


def test_a_second_death_changes_nothing(up: Supervised, tmp_path: Path) -> None:
    hook = Hook(tmp_path)
    ask(up, hook, b"sh", b"-c", b"exit 5", before=hook.argv)
    for victims in (("daemon",), ("keeper", "holder"), ("daemon",), ("holder",)):
        kill(up, victims)
        up.next_daemon()
        assert up.row("job").state == "starting"
    hook.go.touch()
    assert up.code("job") == 5
    hook.check(known=TELLS_EXITS)


def test_a_stop_ends_one_that_a_daemon_before_began(up: Supervised, tmp_path: Path) -> None:
    hook = Hook(tmp_path)
    ask(up, hook, b"true", before=hook.argv)
    kill(up, ("daemon",))
    up.next_daemon()
    up.client.ask(Done, Stop(target="job"))
    end = up.wait("job").exit
    assert end is not None
    assert end.reason == "cancelled"
    assert hook.lines.read_text() == "begin\n"


def test_a_start_waits_for_the_hook_after_the_run_before(up: Supervised, tmp_path: Path) -> None:
    """Ended for good and started again by hand: both ran at once, and then two hooks beside each other."""
    hook = Hook(tmp_path)
    ran = tmp_path / "ran"
    ask(up, hook, b"sh", b"-c", f"echo x >> {ran}".encode(), after=hook.argv)
    with connect() as other:
        other.send(Start(target="job", launch=launch.capture()))
        try:
            up.until("it is being started", lambda: up.row("job").lifecycle == "starting")
            assert ran.read_text() == "x\n"
        finally:
            hook.go.touch()
    up.until("both are over", lambda: hook.lines.read_text().count("end") == 2)
    hook.check(known=False)
    assert ran.read_text() == "x\nx\n"


def test_one_that_was_begun_and_not_noted_is_waited_for(up: Supervised, tmp_path: Path) -> None:
    """All were killed between its birth and the journal's line about it: nothing but itself told of it."""
    hook = Hook(tmp_path)
    with connect() as other:
        first = [b"sh", b"-c", f"kill -STOP {up.daemon_pid}; ".encode() + hook.argv[2]]
        other.send(up.request(b"sh", b"-c", b"exit 5", name="job", hook_timeout_s=20.0, before=first))
        up.until("its hook has begun", hook.begun)
        kill(up, ("keeper", "holder", "daemon"))
    up.next_daemon()
    hook.go.touch()
    assert up.code("job") == 5
    hook.check(known=TELLS_EXITS)
