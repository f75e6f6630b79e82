"""`./dev bench-supervisor`: aish beside its peers, alternating, in one run."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aish.errors import AishError
from benches.contest import Contest, arguments, housed, say
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
    contest = Contest(options)
    every = QUICK_PEERS if options.quick else [peer for peer in DRIVERS if peer != "aish"]
    for name in ["aish", *(options.peer or every)]:
        try:
            with _driver(name, options.folder):
                contest.runs[name] = []
        except NotToBeHadError as error:
            contest.absent[name] = str(error)
    for number, order in contest.rounds():
        for measure in _round(size, first=number == 0):
            for name in order:
                contest.say_at(number, measure.__name__, name)
                contest.runs[name].append(_measured(measure, name, options.folder, size))
    where = f"folders in {options.folder}"
    contest.report(contest.runs, results.LINES, results.WORST, results.goals, where)
    return 0


def _options() -> argparse.Namespace:
    return arguments(
        "./dev bench-supervisor",
        __doc__,
        quick="one round, less of everything, s6 and runit alone: under a minute",
        full="the slow peers with as many children as the others: minutes more",
        peers=[name for name in DRIVERS if name != "aish"],
    )


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
        say(f"       {name}: {measure.__name__} failed: {error}")
        return {}
    return figures


@contextmanager
def _driver(name: str, parent: str) -> Iterator[Driver]:
    """A driver in a new folder, both gone afterwards, and the environment as before. Raises NotToBeHadError."""
    environ = dict(os.environ)
    try:
        with housed(DRIVERS[name], parent) as driver:
            yield driver
    finally:
        os.environ.clear()
        os.environ.update(environ)


if __name__ == "__main__":
    sys.exit(main())
