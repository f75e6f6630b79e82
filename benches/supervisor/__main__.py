"""`./dev bench-supervisor`: aish beside its peers, alternating, in one run."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aish.errors import AishError
from benches import tables
from benches.fetch import NotToBeHadError
from benches.supervisor import measures, results
from benches.supervisor.driver import Driver
from benches.supervisor.measures import Size
from benches.supervisor.ours import Ours
from benches.supervisor.pm2 import Pm2
from benches.supervisor.runit import Runit
from benches.supervisor.s6 import S6
from benches.supervisor.supervisord import Supervisord
from benches.tables import Figures

DRIVERS: dict[str, type[Driver]] = {kind.name: kind for kind in (Ours, S6, Runit, Supervisord, Pm2)}
NORMAL = Size(jobs=500, crowd=1000, log_bytes=40_000_000, idle_s=5.0)
QUICK = Size(jobs=150, crowd=200, log_bytes=10_000_000, idle_s=2.0)
QUICK_PEERS = ("s6", "runit")


def main() -> int:
    options = _options()
    size = (QUICK if options.quick else NORMAL)._replace(whole=options.full)
    rounds = options.rounds or (1 if options.quick else 3)
    absent: dict[str, str] = {}
    runs: dict[str, list[Figures]] = {}
    every = QUICK_PEERS if options.quick else [peer for peer in DRIVERS if peer != "aish"]
    for name in ["aish", *(options.peer or every)]:
        try:
            with _driver(name, options.folder):
                runs[name] = []
        except NotToBeHadError as error:
            absent[name] = str(error)
    begin = time.monotonic()
    for number in range(rounds):
        order = list(runs)[number % len(runs) :] + list(runs)[: number % len(runs)]
        for measure in _round(size, first=number == 0):
            for name in order:
                _say(f"{time.monotonic() - begin:4.0f} s  round {number + 1}/{rounds}  {measure.__name__}  {name}")
                runs[name].append(_measured(measure, name, options.folder, size))
    told = tables.medians(runs, results.LINES, results.WORST)
    goals = results.goals(told)
    if options.json:
        print(tables.document(runs, told, goals, absent))
    else:
        print(tables.markdown(told, results.LINES, goals, absent))
    _say(f"{time.monotonic() - begin:.0f} s; {tables.machine_words()}; folders in {options.folder}")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev bench-supervisor", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="one round, less of everything, s6 and runit alone: under a minute"
    )
    parser.add_argument(
        "--full", action="store_true", help="the slow peers with as many children as the others: minutes more"
    )
    parser.add_argument("--rounds", type=int, help="how often everything is measured (3)")
    parser.add_argument("--peer", action="append", choices=[name for name in DRIVERS if name != "aish"])
    parser.add_argument("--json", action="store_true", help="all figures of all rounds, for programs")
    parser.add_argument(
        "--folder",
        default="/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir(),
        help="where everybody's files are made (memory, so that no disk is measured)",
    )
    return parser.parse_args()


def _round(size: Size, *, first: bool) -> list[Callable[[Driver, Size], Figures]]:
    """The measurements of a round; what takes long or cannot differ is in the first one alone."""

    def main_killed(driver: Driver, size: Size) -> Figures:
        return measures.crash(driver, size, everything=False)

    def all_killed(driver: Driver, size: Size) -> Figures:
        return measures.crash(driver, size, everything=True)

    every: list[Callable[[Driver, Size], Figures]] = [measures.jobs, measures.restart, measures.logs]
    return [*every, measures.crowd, main_killed, all_killed] if first else every


def _measured(measure: Callable[[Driver, Size], Figures], name: str, folder: str, size: Size) -> Figures:
    """One measurement of one program. What fails is told and is no figure."""
    try:
        with _driver(name, folder) as driver:
            figures = measure(driver, size)
        if measure is measures.crowd:
            for count in (0, 100):
                with _driver(name, folder) as driver:
                    figures[f"pss_mb_{count}"] = measures.few(driver, size, count) / 1e6
            more_mb = (figures["pss_mb"] or 0) - (figures["pss_mb_0"] or 0)
            figures["kb_per_child"] = more_mb * 1e6 / 1024 / (figures["crowd"] or 1)
    except (OSError, RuntimeError, AishError) as error:  # TimeoutError is an OSError
        _say(f"       {name}: {measure.__name__} failed: {error}")
        return {}
    return figures


@contextmanager
def _driver(name: str, parent: str) -> Iterator[Driver]:
    """A driver in a new folder, both gone afterwards. Raises NotToBeHadError."""
    folder = tempfile.mkdtemp(prefix="aish-b-", dir=parent)
    environ = dict(os.environ)
    try:
        driver = DRIVERS[name](folder)
        try:
            yield driver
        finally:
            driver.down()
    finally:
        os.environ.clear()
        os.environ.update(environ)
        shutil.rmtree(folder, ignore_errors=True)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
