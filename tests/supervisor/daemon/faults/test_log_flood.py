"""The daemon killed again and again while a process floods its log: no byte is lost or shown twice, no reader holds
up the writer, and what the index says about time stays true."""

from __future__ import annotations

import json
import os
import re
import subprocess
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from aish.wire.log_index import RECORD_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Supervised

FLOOD = """
import os, sys, time
least, rate, pad, number, wrote, stop = int(sys.argv[1]), int(sys.argv[3]), b"x" * 960, 0, 0, False
began = time.monotonic()
while not stop or wrote < least:
    for _ in range(40):
        number += 1
        stream = 2 if number % 10 == 0 else 1
        wrote += os.write(stream, b"%08d %d %s\\n" % (number, time.time_ns(), pad))
    while wrote > (time.monotonic() - began) * rate:
        time.sleep(0.001)  # a flood of so many bytes per second, for as long as it takes
    stop = stop or os.path.exists(sys.argv[2])
os.write(1, b"%08d the last line has no end" % (number + 1))
"""


def numbers(data: bytes) -> list[int]:
    return [int(line[:8]) for line in data.split(b"\n") if line]


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("kills", "least_bytes", "bytes_per_s"),
    [(3, 10 << 20, 6 << 20), pytest.param(5, 50 << 20, 24 << 20, marks=pytest.mark.slow)],
)
def test_no_byte_is_lost_when_the_daemon_is_killed_in_a_flood(
    up: Supervised, tmp_path: Path, kills: int, least_bytes: int, bytes_per_s: int
) -> None:
    started = up.python(FLOOD, str(least_bytes), str(tmp_path / "stop"), str(bytes_per_s), name="flood")
    follower = (tmp_path / "followed").open("wb")
    fast = up.home.popen("logs", "-f", "flood", stdout=follower, stderr=subprocess.STDOUT)
    slow = up.home.popen("logs", "-f", "flood", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)  # not read
    log = up.home.state / "logs" / f"{started.id}.out"
    index = log.with_suffix(".idx")
    up.until("the flood is on", lambda: log.stat().st_size > 1 << 20)
    for _ in range(kills):
        due = index.stat().st_size + 5 * RECORD_BYTES
        up.until("the index is kept", lambda due=due: index.stat().st_size >= due)  # type: ignore[misc]
        up.kill_daemon()
        up.next_daemon()
    (tmp_path / "stop").touch()
    assert up.code("flood") == 0, "the slow reader held it up, or a daemon took it along"
    texts = [path.read_bytes() for path in (log, log.with_suffix(".err"))]
    assert sum(map(len, texts)) > least_bytes
    count = sum(len(numbers(text)) for text in texts)
    assert sorted(numbers(texts[0]) + numbers(texts[1])) == list(range(1, count + 1)), "the child wrote each once"

    assert fast.wait(timeout=60) == 0
    follower.close()
    followed = (tmp_path / "followed").read_bytes()
    assert len(followed) == sum(map(len, texts))
    assert sorted(numbers(followed)) == list(range(1, count + 1))
    late = slow.communicate(timeout=60)[0]
    assert late == texts[0], "the slow reader got every byte in the end"

    shown = subprocess.run(
        [*fast.args[:3], "logs", "--json", "flood"],  # type: ignore[index,misc]
        env=up.home.environ,
        capture_output=True,
        timeout=60,
        check=True,
    )
    _check_times(shown.stdout, count)


def _check_times(shown: bytes, count: int) -> None:
    """Every line was written in the interval that it is said to be of."""
    seen, narrow = [], 0
    for line in shown.splitlines():
        row = json.loads(line)
        seen.append(int(row["text"][:8]))
        written = re.match(r"\d+ (\d{19}) ", row["text"])
        if written is None:
            continue
        end_s = datetime.fromisoformat(row["time"]).timestamp()
        written_s = int(written[1]) / 1e9
        # The child takes the time before it writes, and a moment may pass between the two.
        assert end_s - row["within_s"] - 0.25 < written_s <= end_s + 0.002, row["text"][:30]
        narrow += row["within_s"] < 0.25
    assert sorted(seen) == list(range(1, count + 1))
    assert narrow > 0, "only while there is no daemon may an interval be wide"


def test_a_reader_that_never_reads_holds_up_nobody(up: Supervised) -> None:
    """A full pipe behind `logs -f`: the child's 32 MB are written all the same, and other readers get them."""
    code = "import os\nfor _ in range(512): os.write(1, b'y' * 65535 + b'\\n')"
    gate_read, gate_write = os.pipe()
    started = up.spawn("sh", "-c", 'read go; exec "$@"', "sh", "python3", "-c", code, fds={0: gate_read}, name="job")
    os.close(gate_read)
    stuck = up.home.popen("logs", "-f", "job", stdout=subprocess.PIPE)
    os.write(gate_write, b"go\n")
    os.close(gate_write)
    assert up.code(started.id) == 0
    assert stuck.poll() is None
    assert len(up.home.aish("logs", "job").stdout) == 512 << 16
    assert stuck.stdout is not None
    assert len(stuck.stdout.read()) == 512 << 16
