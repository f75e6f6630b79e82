"""kill -9 of the daemon, again and again: nothing starts twice, no exit, no log byte and no tensor is lost."""

from __future__ import annotations

import json
import os
import random
import secrets
import select
import shlex
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import pytest

from aish.client import connect, launch
from aish.wire.message import Events, Snapshot, Spawn, Wait
from aish.wire.part import EventPart
from aish.wire.reply import EventList, Started, View, Waited
from aish.wire.spec import LaunchPart, SpecPart
from tests.deadline import DEADLINE_S, until

from .conftest import COUNT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .conftest import System

CLIENTS = 8
STEP_S = 0.002
"""Between two tensors or lines: both cores stay free for what is tested."""

PRODUCER = """
import os, sys, time, zlib
import numpy as np
from aish.tensor import Writer

stop, step_s = sys.argv[1], float(sys.argv[2])
block = np.random.default_rng(7).integers(0, 256, 1 << 16, dtype=np.uint8)
number, last = 0, False
with Writer.from_env() as out:
    while not last:
        last = os.path.exists(stop)
        array = np.roll(block, number)
        out.write(array, {"number": number, "crc": zlib.crc32(array)})
        number += 1
        time.sleep(step_s)
print("written", number, flush=True)
"""

CONSUMER = """
import zlib
from aish.tensor import Reader

count = 0
for frame in Reader.from_env().frames():  # ends at EOF, raises where the writer was cut off
    assert frame.meta["number"] == count, (frame.meta, count)
    assert frame.meta["crc"] == zlib.crc32(frame.value), frame.meta
    count += 1
print("read", count, flush=True)
"""

WRITER = """
import os, sys, time

stop, step_s = sys.argv[1], float(sys.argv[2])
number = 0
while not os.path.exists(stop):
    os.write(1, b"%d %s\\n" % (number, b"x" * (number % 97)))
    os.write(2, b"%d\\n" % number)
    number += 1
    time.sleep(step_s)
os.write(1, b"end\\n")
"""


def lines(count: int) -> str:
    """What WRITER writes to stdout in `count` steps."""
    return "".join(f"{number} {'x' * (number % 97)}\n" for number in range(count)) + "end\n"


class Beside(NamedTuple):
    """What goes on beside the kills until the stop file is there."""

    stop: Path
    pipeline: subprocess.Popen[bytes]
    follower: subprocess.Popen[bytes]
    out: Path


@pytest.fixture
def beside(system: System) -> Iterator[Beside]:
    """A tensor pipeline of two supervised stages, two log writers (one on a pty), and a follower of a log."""
    root = system.home.root
    stop, out = root / "stop", root / "out"
    for name, code in (("producer.py", PRODUCER), ("consumer.py", CONSUMER), ("writer.py", WRITER)):
        (root / name).write_text(code)
    python, step = system.python, str(STEP_S)
    line = (
        f"aish run --name producer -- {shlex.quote(python)} {root}/producer.py {stop} {step}"
        f" |= aish run --name consumer -- {shlex.quote(python)} {root}/consumer.py"
        ' ; echo "status ${PIPESTATUS[@]}"'
    )
    with open(out, "wb") as stream:
        pipeline = system.home.popen("-c", line, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT)
    with connect(program="test") as client:
        for name, pty in (("writer", False), ("pty-writer", True)):
            words = (python, "-I", "-S", str(root / "writer.py"), str(stop), step)
            spec = SpecPart(argv=[os.fsencode(word) for word in words], name=name, pty=pty)
            client.ask(Started, Spawn(token=secrets.token_hex(16), spec=spec, launch=launch.capture()))
    with open(root / "followed", "wb") as stream:
        follower = system.home.popen("logs", "--out", "-f", "writer", stdin=subprocess.DEVNULL, stdout=stream)
    until(
        "the pipeline flows", lambda: {"producer", "consumer"} <= {row.name for row in system.home.client.processes()}
    )
    yield Beside(stop, pipeline, follower, out)
    stop.touch()


class Progress:
    """How many spawns were acknowledged."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.count = 0
        self.failure: BaseException | None = None

    def step(self) -> None:
        with self._changed:
            self.count += 1
            self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        with self._changed:
            self.failure = self.failure or error
            self._changed.notify_all()

    def reach(self, count: int) -> None:
        with self._changed:
            reached = self._changed.wait_for(lambda: self.failure or self.count >= count, DEADLINE_S)
        assert self.failure is None, repr(self.failure)
        assert reached, f"only {self.count} spawns, {count} were to come"


def ending(number: int) -> tuple[int | None, int | None]:
    """(code, signal) with which the child of this number ends."""
    return (None, 9) if number % 10 == 9 else (number % 251, None)


def spawn_some(numbers: range, seen: Path, surroundings: LaunchPart, progress: Progress) -> dict[int, str]:
    """Spawn one child for each number; their ids. Each appends its number to the file `seen`."""
    ids = {}
    try:
        with connect(program="test") as client:
            for number in numbers:
                code, fatal = ending(number)
                words = ("sh", "-c", 'echo $0 >> "$1"; eval "$2"', str(number), str(seen))
                argv = [os.fsencode(word) for word in (*words, f"kill -{fatal} $$" if fatal else f"exit {code}")]
                spec = SpecPart(argv=argv, name=f"n{number}")
                request = Spawn(token=secrets.token_hex(16), spec=spec, launch=surroundings)
                ids[number] = client.ask(Started, request).id
                progress.step()
    except BaseException as error:
        progress.fail(error)
        raise
    return ids


def kill_daemon() -> int:
    """SIGKILL to whoever is the daemon now, and wait for its end; its pid."""
    with connect(program="test") as client:
        pid = client.welcome.pid
        pidfd = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        assert select.select([pidfd], [], [], DEADLINE_S)[0], "SIGKILL did not end the daemon"
    finally:
        os.close(pidfd)
    return pid


def all_events() -> list[EventPart]:
    found: list[EventPart] = []
    with connect(program="test") as client:
        while True:
            page = client.ask(EventList, Events(since=found[-1].number if found else 0)).events
            if not page:
                return found
            found += page


@pytest.mark.parametrize(
    ("spawns", "kills"),
    [
        pytest.param(96, 3, id="96 spawns, 3 kills"),
        pytest.param(1000, 20, id="1000 spawns, 20 kills", marks=[pytest.mark.slow, pytest.mark.timeout(300)]),
    ],
)
def test_kills_during_spawns_and_a_streaming_pipeline(
    system: System, beside: Beside, spawns: int, kills: int
) -> None:
    seen = system.home.root / "seen"
    progress, rng, surroundings = Progress(), random.Random(11), launch.capture()
    killed: list[int] = []
    with ThreadPoolExecutor(CLIENTS) as pool:
        shares = [
            pool.submit(spawn_some, range(first, spawns, CLIENTS), seen, surroundings, progress)
            for first in range(CLIENTS)
        ]
        for count in sorted(rng.sample(range(CLIENTS, spawns - CLIENTS), kills)):
            progress.reach(count)
            time.sleep(rng.uniform(0, 0.01))  # at any moment of a spawn: that is what is tested
            killed.append(kill_daemon())
        ids = {number: id for share in shares for number, id in share.result(DEADLINE_S).items()}
    assert len(set(killed)) == kills, "each kill met another daemon"
    each_once(spawns, ids, seen)
    flowed_on(system, beside, spawns)


def each_once(spawns: int, ids: dict[int, str], seen: Path) -> None:
    """Every child started exactly once, every exit is known and right."""
    assert len(set(ids.values())) == len(ids) == spawns
    with connect(program="test") as client:
        for number, id in ids.items():
            waited = client.ask(Waited, Wait(target=id, timeout_s=DEADLINE_S))
            assert waited.exit is not None, waited
            assert (waited.exit.code, waited.exit.signal) == ending(number), f"{id}, the {number}th: {waited}"
        rows = {row.id: row for row in client.ask(View, Snapshot(all=True)).processes}
    assert sorted(map(int, seen.read_text().split())) == list(range(spawns)), "not each exactly once"
    assert all(rows[id].restarts == 0 for id in ids.values())
    told: dict[tuple[str | None, str], int] = {}
    for event in all_events():
        told[event.process, event.kind] = told.get((event.process, event.kind), 0) + 1
    for id in ids.values():
        assert [told.get((id, kind)) for kind in ("created", "started", "exited")] == [1, 1, 1], id


def flowed_on(system: System, beside: Beside, at_least: int) -> None:
    """The pipeline, the logs and their follower have seen nothing of it."""
    assert beside.pipeline.poll() is None, beside.out.read_text()
    assert beside.follower.poll() is None
    beside.stop.touch()
    assert beside.pipeline.wait(DEADLINE_S) == 0, beside.out.read_text()
    told = dict(line.split(" ", 1) for line in beside.out.read_text().splitlines())
    assert told["status"] == "0 0", beside.out.read_text()
    assert told["written"] == told["read"]
    assert int(told["read"]) > at_least
    for name in ("writer", "pty-writer"):
        system.run("wait", name)
        log = system.log(name).replace("\r\n", "\n")
        errors = [line for line in log.splitlines() if line.isdecimal()]  # a terminal has both in one
        text = "".join(f"{line}\n" for line in log.splitlines() if not line.isdecimal())
        errors = errors or system.run("logs", "--err", name).stderr.split()
        assert text == lines(len(errors)), f"bytes of {name} lost or doubled"
        assert errors == [str(number) for number in range(len(errors))]
        assert len(errors) > at_least
    assert beside.follower.wait(DEADLINE_S) == 0
    assert (system.home.root / "followed").read_text() == system.log("writer")


@pytest.mark.model
def test_the_gateway_is_killed_and_nothing_is_forgotten(serving: System) -> None:
    """A new one listens at the same address; what was used before still counts; a cut answer is told in words."""
    serving.agent("count", 160, "You count.")
    serving.shell("cat cello-bridge.md | @title")
    before = serving.usage("agent")["title"]["tokens"]
    stage = serving.home.popen(
        "-c", f'echo "{COUNT}" | @count', stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert stage.stdout is not None
    assert os.read(stage.stdout.fileno(), 1)
    top = json.loads(serving.run("top", "--once", "--json").stdout)
    os.kill(serving.row("gateway")["pid"], signal.SIGKILL)
    _, errors = stage.communicate(timeout=60)
    assert (stage.returncode, b"Traceback" in errors) == (69, False), errors.decode()
    assert b"cut" in errors
    serving.shell("cat cello-bridge.md | @title")
    after = serving.usage("agent")
    assert after["title"]["tokens"]["requests"] == before["requests"] + 1
    assert after["title"]["tokens"]["input"] == 2 * before["input"], "the same text twice"
    cut = after["count"]["tokens"]
    assert (cut["requests"], cut["estimated"]) == (1, cut["input"] + cut["output"])
    until("ps knows it, too", lambda: serving.settled("count") == cut["requests"])
    assert serving.row("count")["tokens"] == cut
    assert json.loads(serving.run("top", "--once", "--json").stdout)["gateway_url"] == top["gateway_url"]


@pytest.mark.model
def test_an_answer_goes_on_while_the_daemon_is_killed(serving: System) -> None:
    before = serving.counted()
    serving.agent("count", 160, "You count.")
    stage = serving.home.popen(
        "-c",
        f'echo "{COUNT}" | @count | cat; exit ${{PIPESTATUS[1]}}',
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert stage.stdout is not None
    assert stage.stderr is not None
    begin = os.read(stage.stdout.fileno(), 4096)
    assert begin, stage.stderr.read().decode()
    killed = kill_daemon()
    with connect(program="test") as client:
        assert client.welcome.pid != killed
    assert stage.poll() is None, "the answer was over before the kill: it shows nothing"
    rest, errors = stage.communicate(timeout=60)
    assert stage.returncode == 0, errors.decode()
    text = (begin + rest).decode().strip()
    numbers = text.split(", ")
    assert len(numbers) > 30
    assert numbers[:-1] == [str(number) for number in range(1, len(numbers))], "something is missing in the middle"
    until("it is settled", lambda: serving.settled("count") == 1)
    row = serving.row("count")
    assert (row["state"], row["exit"]["code"]) == ("exited", 0)
    used = serving.usage("process")[row["id"]]["tokens"]
    assert used == row["tokens"]
    assert (used["requests"], used["output"], used["estimated"]) == (1, 160, 0)
    after = serving.counted()
    assert (used["input"], used["output"]) == (after[0] - before[0], after[1] - before[1]), "recorded twice, or not"
    whole = json.loads(serving.ask_server("/tokenize", {"content": text}))["tokens"]
    assert abs(len(whole) - used["output"]) <= 4, "not all that was generated arrived"
