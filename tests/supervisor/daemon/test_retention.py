"""How much of a log stays: by size, by age, given back without anybody being told; and where that cannot be done."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from aish.errors import InputError
from aish.supervisor.daemon import want
from aish.supervisor.daemon.logs import Logs
from aish.supervisor.daemon.retention import Keep, Retention
from aish.supervisor.holder import kernel
from aish.wire.spec import SpecPart

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Supervised

LINES = """
import sys, time
for number in range(int(sys.argv[1])):
    sys.stdout.write(f"{number:09}\\n")
    if number % 5000 == 0:
        sys.stdout.flush()
        time.sleep(0.002)
print("end", file=sys.stderr)
"""


@pytest.fixture(autouse=True)
def can_punch(tmp_path: Path) -> None:
    fd = os.open(tmp_path / "probe", os.O_RDWR | os.O_CREAT)
    os.write(fd, bytes(8192))
    able = kernel.punch(fd, 4096)
    os.close(fd)
    if not able:
        pytest.skip("the file system of the temporary folder cannot punch holes")


def disk_bytes(up: Supervised, id_: str) -> int:
    return sum(path.stat().st_blocks * 512 for path in (up.home.state / "logs").glob(f"{id_}.*"))


def test_a_size_bounds_the_disk_and_what_stays_is_whole(up: Supervised) -> None:
    count = 600_000
    started = up.python(LINES, str(count), log_bytes=1 << 20)
    assert up.code(started.id) == 0
    up.until("the rest was given back", lambda: disk_bytes(up, started.id) < 1_300_000)
    assert (up.home.state / "logs" / f"{started.id}.out").stat().st_size == 10 * count, "offsets stay"
    done = up.home.aish("logs", "--out", started.id)
    assert "\0" not in done.stdout
    lines = done.stdout.splitlines()
    first = int(lines[1])
    assert lines[1:] == [f"{number:09}" for number in range(first, count)]
    assert len(done.stdout) >= (1 << 20) - 100
    (told,) = json.loads(up.home.aish("logs", "--stats", "--json", started.id).stdout)
    assert told["stdout"]["bytes"] == 10 * count
    assert told["stdout"]["given_back_bytes"] >= 10 * count - 1_300_000
    assert told["stdout"]["lines"] == len(lines)
    assert up.home.aish("logs", "-n", "2", "--out", started.id).stdout.split() == lines[-2:]


def test_an_age_bounds_it_also_when_nothing_is_written_any_more(up: Supervised) -> None:
    started = up.python(LINES, "50000", log_age_s=1.0)
    assert up.code(started.id) == 0
    up.until("whole blocks are given back", lambda: disk_bytes(up, started.id) <= 3 * 4096)
    shown = up.home.aish("logs", "--out", started.id).stdout
    assert "\0" not in shown
    assert len(shown) < 4096


@pytest.mark.usefixtures("home")
def test_what_is_old_at_the_start_of_a_daemon_is_given_back(up: Supervised) -> None:
    started = up.python(LINES, "50000", log_age_s=2.0)
    assert up.code(started.id) == 0
    up.kill_daemon()
    up.next_daemon()
    up.until("it is given back", lambda: disk_bytes(up, started.id) <= 3 * 4096)


def test_the_configuration_says_what_stays_where_the_spec_says_nothing(home: Any) -> None:
    home.config.mkdir()
    (home.config / "config.toml").write_text('[logs]\nsize = "64K"\n')
    for name, options in (("short", ()), ("whole", ("--log-size", "none"))):
        home.aish("spawn", "--name", name, *options, "--", sys.executable, "-c", LINES, "100000")
        assert home.aish("wait", name).returncode == 0
    told = json.loads(home.aish("logs", "--stats", "--json", "short", "whole").stdout)
    given_back = {row["process"]: row["stdout"]["given_back_bytes"] for row in told}
    assert given_back["short"] > 500_000
    assert given_back["whole"] == 0


@pytest.mark.parametrize("fields", [{"log_bytes": 100}, {"log_bytes": -1}, {"log_age_s": 0.5}, {"log_age_s": 1e300}])
def test_bounds_that_are_none(fields: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        want.check_spec(SpecPart(argv=[b"true"], **fields))
    want.check_spec(SpecPart(argv=[b"true"], log_bytes=0, log_age_s=0.0))


def test_a_file_system_without_holes_is_told_once_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel, "punch", lambda fd, length_bytes: False)
    told: list[str] = []

    async def work() -> None:
        logs = Logs(str(tmp_path / "logs"))
        os.mkdir(logs.folder)
        retention = Retention(logs, lambda id_: Keep(size_bytes=1 << 16), lambda: told.append("cannot"))
        for id_ in ("p1", "p2"):
            fd = logs.append(id_, "out")
            os.write(fd, b"x" * 300_000)
            os.close(fd)
            retention.look(id_)
            retention.look(id_)
        retention.close()
        assert [os.stat(logs.path(id_, "out")).st_size for id_ in ("p1", "p2")] == [300_000, 300_000]

    asyncio.run(work())
    assert told == ["cannot"]
