"""The file for prompts: true to a second, whole at any moment, gone with the daemon."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aish.model import exit as exits
from aish.supervisor.daemon import prompt
from aish.supervisor.daemon.row import Row
from aish.wire.message import Cont, Forget, Pause, Stop
from aish.wire.part import ExitPart
from aish.wire.reply import Done
from aish.wire.spec import SpecPart

if TYPE_CHECKING:
    from conftest import Supervised


def row(lifecycle: Any, *, kind: str = "command", pty: bool = False, end: ExitPart | None = None, **more: Any) -> Row:
    spec = SpecPart(argv=[b"x"], kind=kind, pty=pty)
    return Row(
        id="p1",
        number=1,
        name="x",
        spec=spec,
        created_s=0.0,
        lifecycle=lifecycle,
        exit=end,
        **{"ended_s": 1000.0} | more,
    )


def test_what_is_counted() -> None:
    rows = [
        row("running"),
        row("starting"),
        row("stopping"),
        row("running", kind="model"),
        row("running", holds=["user"]),
        row("running", holds=["budget"]),
        row("queued"),
        row("backoff"),
        row("parked"),
        row("running", kind="system"),
        row("exited", end=ExitPart(code=0, reason=exits.DONE)),
        row("exited", end=ExitPart(code=3)),
    ]
    assert prompt.count(rows, 1001.0) == (prompt.Counts(4, 1, 3, 1), 1000.0 + prompt.FAILED_S)
    assert prompt.line(7, prompt.Counts(4, 2, 2, 1), 3) == "pid=7 running=4 queued=2 held=2 failed=1 asks=3\n"
    assert prompt.count([], 0.0) == (prompt.Counts(0, 0, 0, 0), None)


@pytest.mark.parametrize(
    ("made", "failed"),
    [
        (row("exited", end=ExitPart(code=3)), True),
        (row("exited", end=ExitPart(signal=9)), True),
        (row("exited", end=ExitPart(code=3), targets=[0, 1, 2]), False),  # a pipeline's: its shell has told
        (row("exited", end=ExitPart(code=3), pty=True), False),
        (row("exited", end=ExitPart(signal=9, reason=exits.OOM), pty=True), True),
        (row("exited", end=ExitPart(signal=15, reason=exits.CANCELLED)), False),
        (row("exited", end=ExitPart(signal=15, reason=exits.WRAPUP)), False),
        (row("failed", end=ExitPart(reason=exits.START)), True),
        (row("failed", end=ExitPart(reason=exits.CANCELLED)), False),
        (row("lost"), True),
    ],
)
def test_what_is_a_failure_that_nobody_has_seen(made: Row, failed: bool) -> None:
    assert prompt.failed(made) is failed


def test_a_failure_is_told_for_a_while() -> None:
    rows = [row("lost")]
    assert prompt.count(rows, 1000.0 + prompt.FAILED_S - 1)[0].failed == 1
    assert prompt.count(rows, 1000.0 + prompt.FAILED_S) == (prompt.Counts(0, 0, 0, 0), None)


def test_at_most_once_a_second_and_only_what_is_new(tmp_path: Path) -> None:
    """A burst of changes must not become a burst of files; and a prompt reads whole lines only."""

    async def go() -> None:
        looks: list[float] = []
        rows: list[Row] = []

        def asked() -> list[Row]:
            looks.append(time.monotonic())
            return rows

        made = prompt.PromptFile(asyncio.get_running_loop(), lambda: str(tmp_path), asked, lambda: 0)
        file = tmp_path / prompt.NAME
        made.changed()
        while not looks:
            await asyncio.sleep(0.001)
        first = file.stat()
        assert first.st_mode & 0o777 == 0o600
        for _ in range(100):
            made.changed()
        while len(looks) < 2:
            await asyncio.sleep(0.01)
        assert looks[1] - looks[0] >= prompt.EVERY_S * 0.9
        assert file.stat().st_ino == first.st_ino, "nothing was new"
        rows.append(row("running"))
        made.changed()
        while len(looks) < 3:
            await asyncio.sleep(0.01)
        assert file.read_text() == f"pid={os.getpid()} running=1 queued=0 held=0 failed=0 asks=0\n"
        made.close()
        assert not file.exists()

    asyncio.run(go())


def test_a_disk_that_refuses_is_asked_again(tmp_path: Path) -> None:
    assert not prompt._replaced(str(tmp_path / "gone" / "prompt"), "x\n")
    assert prompt._replaced(str(tmp_path / "prompt"), "x\n")


def gone(pid: int) -> bool:
    return not os.path.exists(f"/proc/{pid}")


# --- of a real daemon -----------------------------------------------------------------------------------------------


def told(up: Supervised) -> dict[str, int] | None:
    try:
        text = (up.home.runtime / prompt.NAME).read_text()
    except OSError:
        return None
    assert text.endswith("\n"), "half a line"
    return {name: int(value) for name, _, value in (word.partition("=") for word in text.split())}


def says(up: Supervised, **counts: int) -> None:
    wanted = {"running": 0, "queued": 0, "held": 0, "failed": 0, "asks": 0} | counts
    up.until(f"{wanted} is told", lambda: told(up) == {"pid": up.daemon_pid} | wanted)


def test_it_says_what_happens(up: Supervised) -> None:
    says(up)
    up.spawn("sleep", "300", name="one")
    up.spawn("sleep", "300", name="two")
    says(up, running=2)
    up.client.ask(Done, Pause(target="one"))
    says(up, running=1, held=1)
    up.client.ask(Done, Cont(target="one"))
    up.spawn("false", name="bad")
    says(up, running=2, failed=1)
    up.client.ask(Done, Forget(target="bad"))
    up.client.ask(Done, Stop(target="one"))
    says(up, running=1)


@pytest.mark.usefixtures("home")
def test_the_next_daemon_writes_its_own_and_the_last_one_removes_it(up: Supervised) -> None:
    up.spawn("sleep", "300", name="one")
    says(up, running=1)
    up.kill_daemon()
    up.next_daemon()
    says(up, running=1)
    leaving = up.daemon_pid
    os.kill(leaving, signal.SIGTERM)
    up.until("it has left", lambda: gone(leaving))
    up.next_daemon()
    says(up, running=1)
    up.client.ask(Done, Stop(target="one"))
    up.home.aish("shutdown")
    assert told(up) is None


@pytest.mark.usefixtures("home")
def test_it_is_there_again_after_a_logout_and_does_not_look_like_one(up: Supervised) -> None:
    """A file that was renamed within the folder was taken for one that was removed, once a second for ever."""
    up.spawn("sleep", "300", name="one")
    says(up, running=1)
    before = up.events()[-1].number
    inode = (up.home.runtime / prompt.NAME).stat().st_ino
    time.sleep(2.5 * prompt.EVERY_S)  # nothing is to happen: there is no event for that
    assert (up.home.runtime / prompt.NAME).stat().st_ino == inode
    assert not [event for event in up.events(before) if event.number > before]
    (up.home.runtime / prompt.NAME).unlink()
    says(up, running=1)
