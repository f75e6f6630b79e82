"""The holder stands still (SIGSTOP) or hangs: everybody is told, nobody waits for ever, and nothing starts late."""

from __future__ import annotations

import os
import select
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from msgspec import structs

from aish.client import connect
from aish.errors import UnavailableError
from aish.wire.message import Doctor, Pause, Shutdown, Signal, Stop
from aish.wire.reply import Done, Findings, Started

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Supervised

    from aish.wire.part import ProcessPart

pytestmark = pytest.mark.usefixtures("home")
ENOUGH_S = 20.0


@contextmanager
def stopped(up: Supervised) -> Iterator[int]:
    """The holder in SIGSTOP."""
    _, holder = up.holder_pids()
    os.kill(holder, signal.SIGSTOP)
    try:
        up.until("it stands still", lambda: state(holder) == "T")
        yield holder
    finally:
        os.kill(holder, signal.SIGCONT)


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_stopped_holder_is_told_by_ps_and_doctor(up: Supervised) -> None:
    """doctor said that all is well, and nobody that nothing can be started."""
    assert not up.view().alerts
    with stopped(up) as holder:
        (alert,) = up.view().alerts
        assert f"the holder (pid {holder}) is stopped" in alert
        findings = up.client.ask(Findings, Doctor()).findings
        assert [each.text for each in findings if each.level == "fail"][-1].endswith(alert)
        shown = up.home.aish("ps")
        assert f"kill -CONT {holder}" in shown.stderr
        assert up.home.aish("doctor").returncode == 1
    up.until("it is over", lambda: not up.view().alerts)


def test_a_start_that_a_stopped_holder_does_not_answer_has_a_reason_and_an_end(
    up: Supervised, tmp_path: Path
) -> None:
    """spawn hung without a limit or a word, and the process was started whenever the holder went on."""
    read, write = os.pipe()
    request = structs.replace(up.request(b"touch", os.fsencode(tmp_path / "ran")), patience_s=3.0, targets=[3])
    with stopped(up), ThreadPoolExecutor(1) as pool, connect() as other:
        asked = pool.submit(other.ask, Started, request, [write])
        up.until("it is starting", lambda: [row.state for row in up.view().processes] == ["starting"])
        up.until("its reason is shown", lambda: "is stopped" in (up.row("touch").reason or ""))
        told = asked.result(ENOUGH_S)
        os.close(write)
        assert (told.state, "is stopped" in (told.reason or "")) == ("failed", True)
        assert select.select([read], [], [], ENOUGH_S)[0], "somebody still has its descriptor"
        assert os.read(read, 1) == b""
    os.close(read)
    assert up.code(up.spawn("true").id) == 0  # the holder has done what it was asked
    assert not (tmp_path / "ran").exists()


def test_a_start_waits_for_a_holder_that_goes_on(up: Supervised) -> None:
    with ThreadPoolExecutor(1) as pool, connect() as other:
        with stopped(up):
            asked = pool.submit(other.ask, Started, up.request(b"true"))
            up.until("its reason is shown", lambda: "is stopped" in (_only(up).reason or ""))
        assert asked.result(ENOUGH_S).state in ("running", "exited")
    assert up.code("true") == 0


def test_a_stopped_holder_that_is_killed_leaves_its_starts_to_the_next(up: Supervised) -> None:
    _, holder = up.holder_pids()
    with ThreadPoolExecutor(1) as pool, connect() as other:
        os.kill(holder, signal.SIGSTOP)
        asked = pool.submit(other.ask, Started, up.request(b"true"))
        up.until("its reason is shown", lambda: "is stopped" in (_only(up).reason or ""))
        os.kill(holder, signal.SIGKILL)
        assert asked.result(ENOUGH_S).state in ("running", "exited")
    assert up.code("true") == 0
    assert [event.kind for event in up.events() if event.process == "p1"].count("started") == 1


def test_what_waits_for_a_stopped_holder_can_be_stopped(up: Supervised) -> None:
    with ThreadPoolExecutor(1) as pool, connect() as other, stopped(up):
        asked = pool.submit(other.ask, Started, up.request(b"true"))
        up.until("its reason is shown", lambda: "is stopped" in (_only(up).reason or ""))
        assert up.client.ask(Done, Stop(target="true")).changed
        assert asked.result(ENOUGH_S).state in ("stopping", "exited")
        assert up.wait("true").state == "exited"
        assert up.row("true").reason == "stopped before it was started"


def test_who_asks_a_stopped_holder_for_more_is_answered(up: Supervised) -> None:
    """Signal, pause and the wait after a stop hung; shutdown said that the process hangs in the kernel."""
    up.spawn("sleep", "600", name="nap")
    with stopped(up):
        for request in (
            Signal(target="nap", signal=signal.SIGUSR1),
            Pause(target="nap"),
            Shutdown(force=True),
            Stop(target="nap"),
        ):
            with pytest.raises(UnavailableError, match=r"the holder .*is stopped: `kill -CONT"):
                up.client.request(request)
    assert up.wait("nap").exit is not None  # SIGUSR1 has come


def _only(up: Supervised) -> ProcessPart:
    (row,) = up.view().processes
    return row
