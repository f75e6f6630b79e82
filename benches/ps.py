"""`python -m benches.ps`: how long `aish ps` takes with many supervised processes, and what of it is whose."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

TICKS = os.sysconf("SC_CLK_TCK")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benches.ps", description=__doc__)
    parser.add_argument("--count", type=int, default=2000, metavar="N", help="supervised processes (2000)")
    parser.add_argument("--rounds", type=int, default=15, metavar="N", help="calls of each command (15)")
    options = parser.parse_args()
    with _supervisor(options.count) as daemon:
        idle = _idle_percent(daemon, 10.0)
        print(
            f"{options.count} processes; the daemon idle: {idle:.2f} % of a core over 10 s, {_rss_mb(daemon):.1f} MB"
        )
        print(f"{'command':<22}{'wall ms':>9}{'best':>7}{'client CPU ms':>15}{'daemon CPU ms':>15}")
        for words in (["ps"], ["ps", "-q"], ["ps", "--json"], ["ps", "p7"]):
            walls, clients, daemons = zip(*(_measured(words, daemon) for _ in range(options.rounds)), strict=True)
            cells = [statistics.median(walls), min(walls), statistics.median(clients), statistics.mean(daemons)]
            print(f"aish {' '.join(words):<17}{cells[0]:>9.0f}{cells[1]:>7.0f}{cells[2]:>15.0f}{cells[3]:>15.0f}")
    return 0


def _measured(words: list[str], daemon: int) -> tuple[float, float, float]:
    """Wall time, the client's CPU and the daemon's, in ms."""
    before, own = _cpu_ms(daemon), os.times()
    begun_s = time.perf_counter()
    aish(*words)
    wall_ms = (time.perf_counter() - begun_s) * 1000
    after = os.times()
    client_ms = (after.children_user + after.children_system - own.children_user - own.children_system) * 1000
    return wall_ms, client_ms, _cpu_ms(daemon) - before


def _idle_percent(daemon: int, span_s: float) -> float:
    before = _cpu_ms(daemon)
    time.sleep(span_s)
    return (_cpu_ms(daemon) - before) / span_s / 10


def _cpu_ms(pid: int) -> float:
    with open(f"/proc/{pid}/schedstat") as file:
        return int(file.read().split()[0]) / 1e6


def _rss_mb(pid: int) -> float:
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def aish(*words: str) -> None:
    """As a person types it: the program of this environment, its output thrown away."""
    program = os.path.join(os.path.dirname(sys.executable), "aish")
    subprocess.run([program, *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)


@contextlib.contextmanager
def _supervisor(count: int) -> Iterator[int]:
    """A private one with so many sleepers; the daemon's pid."""
    root = tempfile.mkdtemp(prefix="aish-ps-", dir="/tmp")
    for name in ("RUNTIME_DIR", "STATE_HOME", "DATA_HOME", "CONFIG_HOME"):
        os.environ[f"XDG_{name}"] = folder = os.path.join(root, name)
        os.mkdir(folder, 0o700)
    import secrets

    from aish.client import connect, launch
    from aish.wire.message import Spawn
    from aish.wire.reply import Started
    from aish.wire.spec import SpecPart

    part = launch.capture()
    try:
        with connect(program="bench") as client:
            for _ in range(count):
                spec = SpecPart(argv=[b"sleep", b"86400"])
                client.ask(Started, Spawn(token=secrets.token_hex(16), spec=spec, launch=part))
            daemon = client.welcome.pid
        yield daemon
    finally:
        aish("shutdown")
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
