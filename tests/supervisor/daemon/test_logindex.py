"""The index is kept: at once when something is written, ten times a second at most, never while nothing is."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from aish.supervisor.daemon.doctor import Doctors
from aish.supervisor.daemon.inotify import Inotify
from aish.supervisor.daemon.logindex import LogIndex
from aish.supervisor.daemon.logs import Logs
from aish.supervisor.daemon.turns import Turns
from aish.wire.log_index import INTERVAL_NS, RECORD_BYTES, Records
from aish.wire.message import Logs as LogsRequest
from aish.wire.reply import LogFiles

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from conftest import Supervised

DEADLINE_S = 60.0


class Bench:
    """An index in a folder, and what a child would do there."""

    def __init__(self, folder: Path, turns: Turns, inotify: Inotify | None = None) -> None:
        self.folder = folder
        self.logs = Logs(str(folder))
        self.looks: list[float] = []
        self.grown = asyncio.Event()
        self.index = LogIndex(self.logs, self._grew, turns.since_ns, inotify)
        self.logs.opened, self.logs.removed = self.index.begin, self.index.forget

    def _grew(self, id_: str) -> None:
        self.looks.append(time.monotonic())
        self.grown.set()

    def records(self, id_: str = "p1") -> list[tuple[int, int, int]]:
        records = Records()
        path = self.folder / f"{id_}.idx"
        records.extend(path.read_bytes() if path.exists() else b"")
        return list(zip(records.times, records.outs, records.errs, strict=True))

    def sizes(self, id_: str = "p1") -> tuple[int, int]:
        """As the index has them."""
        return self.records(id_)[-1][1:] if self.records(id_) else (0, 0)

    async def until(self, what: str, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not holds():
                self.grown.clear()
                await self.grown.wait()

    async def rested(self) -> None:
        """Until it waits for the kernel, and for nothing else."""
        async with asyncio.timeout(DEADLINE_S):
            while any(kept.timer is not None for kept in self.index._kept.values()):
                await asyncio.sleep(0.01)  # no event tells that a timer was not armed again


def run(work: Callable[[Turns], Awaitable[None]]) -> None:
    """On a loop as the daemon's is."""

    async def main() -> None:
        await work(turns)

    turns = Turns()
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(turns)) as runner:
        runner.run(main())


def test_a_write_is_recorded_at_once_and_its_interval_is_short(tmp_path: Path) -> None:
    async def work(turns: Turns) -> None:
        bench = Bench(tmp_path, turns)
        out, err = (bench.logs.append("p1", stream) for stream in ("out", "err"))
        await bench.rested()
        assert not (tmp_path / "p1.idx").exists(), "who says nothing costs no file"
        await asyncio.sleep(0.3)  # the time that no interval may reach back to
        before_ns = time.time_ns()
        os.write(err, b"error\n")
        await bench.until("it is recorded", lambda: bench.sizes() == (0, 6))
        quiet, written = bench.records()[-2:]
        assert quiet[1:] == (0, 0)
        assert quiet[0] < before_ns <= written[0]
        assert written[0] - quiet[0] <= 2 * INTERVAL_NS
        os.write(out, b"a\n")
        await bench.until("the other one is, too", lambda: bench.sizes() == (2, 6))
        bench.index.close()
        os.close(out)
        os.close(err)

    run(work)


def test_a_flood_costs_ten_looks_a_second_and_silence_none(tmp_path: Path) -> None:
    async def work(turns: Turns) -> None:
        bench = Bench(tmp_path, turns)
        out = bench.logs.append("p1", "out")
        await bench.rested()
        bench.looks.clear()
        began = time.monotonic()
        while time.monotonic() < began + 1.0:
            os.write(out, b"x" * 1000)
            await asyncio.sleep(0)
        assert 2 <= len(bench.looks) <= 12  # fewer where the machine is busy with other work
        await bench.rested()
        assert bench.sizes()[0] == os.fstat(out).st_size
        assert all(kept.timer is None for kept in bench.index._kept.values())
        bench.index.close()
        os.close(out)

    run(work)


def test_the_next_daemon_goes_on_with_one_wider_interval(tmp_path: Path) -> None:
    async def work(turns: Turns) -> None:
        bench = Bench(tmp_path, turns)
        out = bench.logs.append("p1", "out")
        os.write(out, b"a")
        await bench.until("it is recorded", lambda: bench.sizes()[0] == 1)
        bench.index.close()
        before = bench.records()
        os.write(out, b"bc")
        again = Bench(tmp_path, turns)
        again.index.begin("p1")
        await again.until("it is recorded", lambda: again.sizes()[0] == 3)
        after = again.records()
        assert after[: len(before)] == before
        assert [row[1:] for row in after[len(before) :]] == [(3, 0)]
        again.index.close()
        os.close(out)

    run(work)


class Exhausted(Inotify):
    """fs.inotify.max_user_watches is used up."""

    def watch(self, path: str) -> int | None:
        return None


def test_without_watches_it_looks_ten_times_a_second(tmp_path: Path) -> None:
    async def work(turns: Turns) -> None:
        bench = Bench(tmp_path, turns, Exhausted())
        out = bench.logs.append("p1", "out")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert bench.index.unwatched == 1
        for number in range(1, 4):
            os.write(out, b"x")
            await bench.until("it is seen", lambda number=number: bench.sizes()[0] == number)  # type: ignore[misc]
        bench.index.end("p1")
        await bench.rested()
        assert bench.index.unwatched == 0
        bench.index.close()
        os.close(out)

    run(work)


def test_what_comes_after_the_end_is_recorded_until_nothing_comes(tmp_path: Path) -> None:
    async def work(turns: Turns) -> None:
        bench = Bench(tmp_path, turns)
        out = bench.logs.append("p1", "out")
        bench.index.end("p1")
        os.write(out, b"last words")
        await bench.until("they are recorded", lambda: bench.sizes()[0] == 10)
        await bench.rested()
        assert not bench.index._kept
        assert not bench.index._watched
        bench.index.close()
        os.close(out)

    run(work)


def test_a_log_that_is_removed_leaves_no_index(tmp_path: Path) -> None:
    """A look that was due made the index anew."""

    async def work(turns: Turns) -> None:
        bench = Bench(tmp_path, turns)
        out = bench.logs.append("p1", "out")
        os.write(out, b"x")
        await bench.until("it is recorded", lambda: bench.sizes()[0] == 1)
        os.write(out, b"x")
        bench.logs.remove("p1")
        await asyncio.sleep(0.2)  # longer than the look takes that must not come
        assert os.listdir(tmp_path) == []
        bench.index.close()
        os.close(out)

    run(work)


def test_what_was_there_before_the_index_is_of_no_known_time(tmp_path: Path) -> None:
    async def work(turns: Turns) -> None:
        (tmp_path / "p1.out").write_bytes(b"old")
        bench = Bench(tmp_path, turns)
        out = bench.logs.append("p1", "out")
        await bench.rested()
        os.write(out, b"new")
        await bench.until("it is recorded", lambda: bench.sizes()[0] == 6)
        assert bench.records()[0][1] == 3, "the first record claims nothing about what was there"
        bench.index.close()
        os.close(out)

    run(work)


def test_a_torn_record_is_written_over(tmp_path: Path) -> None:
    async def work(turns: Turns) -> None:
        (tmp_path / "p1.idx").write_bytes(b"\1" * (RECORD_BYTES + 7))
        bench = Bench(tmp_path, turns)
        out = bench.logs.append("p1", "out")
        await bench.until("it is recorded", lambda: (tmp_path / "p1.idx").stat().st_size % RECORD_BYTES == 0)
        bench.index.close()
        os.close(out)

    run(work)


def test_after_a_stand_still_no_time_is_claimed_that_is_not_known(tmp_path: Path) -> None:
    """SIGSTOP for a while: what was written meanwhile is told when it goes on."""

    async def work(turns: Turns) -> None:
        bench = Bench(tmp_path, turns)
        out = bench.logs.append("p1", "out")
        await bench.rested()
        written_ns = time.time_ns()
        os.write(out, b"x")
        time.sleep(0.3)
        bench.index.stalled()
        await bench.until("it is recorded", lambda: bench.sizes()[0] == 1)
        assert bench.records()[-2][0] < written_ns
        bench.index.close()
        os.close(out)

    run(work)


def test_a_loop_that_is_held_up_claims_no_more_than_it_knows(tmp_path: Path) -> None:
    async def work(turns: Turns) -> None:
        bench = Bench(tmp_path, turns)
        out = bench.logs.append("p1", "out")
        await bench.rested()
        await asyncio.sleep(0.2)  # the quiet time before
        written_ns = time.time_ns()
        os.write(out, b"x")
        time.sleep(0.4)
        await bench.until("it is recorded", lambda: bench.sizes()[0] == 1)
        assert bench.records()[-2][0] < written_ns
        bench.index.close()
        os.close(out)

    run(work)


def test_events_that_were_lost_have_all_looked_at(tmp_path: Path) -> None:
    class Overflowing(Inotify):
        def told(self):  # type: ignore[no-untyped-def]
            list(super().told())
            yield None

    async def work(turns: Turns) -> None:
        bench = Bench(tmp_path, turns, Overflowing())
        outs = [bench.logs.append(f"p{number}", "out") for number in (1, 2)]
        await bench.rested()
        for out in outs:
            os.write(out, b"x")
        await bench.until("both are", lambda: [bench.sizes(id_)[0] for id_ in ("p1", "p2")] == [1, 1])
        bench.index.close()
        for out in outs:
            os.close(out)

    run(work)


def test_a_full_disk_costs_an_interval_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(turns: Turns) -> None:
        bench = Bench(tmp_path, turns)
        out = bench.logs.append("p1", "out")
        await bench.rested()
        (tmp_path / "p1.idx").mkdir()  # nothing can be written there
        os.write(out, b"x")
        await asyncio.sleep(0.25)  # it has been tried
        (tmp_path / "p1.idx").rmdir()
        os.write(out, b"y")
        await bench.until("it is recorded again", lambda: bench.sizes()[0] == 2)
        assert next(row[1] for row in bench.records()) == 0
        bench.index.close()
        os.close(out)

    run(work)


def test_doctor_says_what_does_not_hold() -> None:
    keeper = SimpleNamespace(index=SimpleNamespace(unwatched=3), retention=SimpleNamespace(able=False))
    found = list(Doctors(SimpleNamespace(log_keeper=keeper))._logs())  # type: ignore[arg-type]
    assert [finding.level for finding in found] == ["warn", "warn"]
    assert "3 logs have no watch" in found[0].text
    assert "max_user_watches" in (found[0].hint or "")
    assert "kept whole" in found[1].text


# --- in a real daemon ----------------------------------------------------------------------------------------------


def records_of(up: Supervised, id_: str) -> Records:
    records = Records()
    path = up.home.state / "logs" / f"{id_}.idx"
    records.extend(path.read_bytes() if path.exists() else b"")
    return records


def out_bytes(up: Supervised, id_: str) -> int:
    """As the index has it."""
    return max(records_of(up, id_).outs, default=0)


def test_a_terminal_has_an_index_of_its_one_file(up: Supervised) -> None:
    started = up.spawn("sh", "-c", "echo out; echo err >&2", pty=True, name="job")
    assert up.code(started.id) == 0
    up.until("all is recorded", lambda: out_bytes(up, started.id) == len("out\r\nerr\r\n"))
    done = up.home.aish("logs", "--err", "--json", "job")
    assert [json.loads(line)["text"] for line in done.stdout.splitlines()] == ["out\r", "err\r"]


@pytest.mark.usefixtures("home")
def test_what_ended_while_there_was_no_daemon_is_recorded_by_the_next(up: Supervised) -> None:
    started = up.spawn("sh", "-c", "echo begun; while kill -0 $0; do sleep 0.01; done; echo end", str(up.daemon_pid))
    up.until("it has begun", lambda: out_bytes(up, started.id) > 0)
    up.kill_daemon()
    up.next_daemon()
    assert up.code(started.id) == 0
    up.until("all is recorded", lambda: out_bytes(up, started.id) == len("begun\nend\n"))


def test_who_does_not_ask_for_the_index_gets_two_descriptors(up: Supervised) -> None:
    """Clients of before know nothing of a third one."""
    started = up.spawn("true")
    up.wait(started.id)
    for index in (False, True):
        reply, fds = up.client.request_with_fds(LogsRequest(target=started.id, index=index))
        assert isinstance(reply, LogFiles)
        assert (reply.index, len(fds)) == (index, 2 + index)
        for fd in fds:
            os.close(fd)


def test_hooks_write_to_the_index_too_and_leave_no_watch_behind(up: Supervised) -> None:
    started = up.spawn("echo", "run", after=[b"sh", b"-c", b"sleep 0.3; echo after"])
    assert up.code(started.id) == 0
    up.until("the hook is recorded", lambda: out_bytes(up, started.id) == len("run\nafter\n"))
    records = records_of(up, started.id)
    assert records.times[-1] - records.times[-2] < 5 * INTERVAL_NS, "it was watched all the time"
    up.until("nothing is watched", lambda: _watches(up.daemon_pid) == 0)


def _watches(pid: int) -> int:
    """Of inotify, that a process has."""
    count = 0
    for fd in os.listdir(f"/proc/{pid}/fdinfo"):
        try:
            count += Path(f"/proc/{pid}/fdinfo/{fd}").read_text().count("inotify wd:")
        except OSError:
            continue  # closed meanwhile
    return count
