"""`./dev bench-gateway`: the gateway beside direct access and its peers, alternating, in one run."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

from aish.errors import AishError
from benches.contest import Contest, arguments, housed, say
from benches.fetch import NotToBeHadError
from benches.gateway import cores, measures, results, wrk
from benches.gateway.beside import Beside
from benches.gateway.cores import Cores
from benches.gateway.direct import Direct
from benches.gateway.driver import DEADLINE_S, Driver
from benches.gateway.litellm import LiteLlm
from benches.gateway.measures import Size
from benches.gateway.nginx import Nginx
from benches.gateway.ours import Ours, OursWithoutBudget
from benches.gateway.portkey import Portkey
from benches.tables import Figures

DRIVERS: dict[str, type[Driver]] = {
    kind.name: kind for kind in (Ours, OursWithoutBudget, Beside, Direct, Nginx, LiteLlm, Portkey)
}
ALWAYS = ("aish", "aish, no budget", "direct")
PEERS = [name for name in DRIVERS if name not in (*ALWAYS, Beside.name)]
Measure = Callable[[Driver, Size], Figures]
_MEASURES: Sequence[Measure] = (
    measures.warm,
    measures.one,
    measures.sixteen,
    measures.sixty_four,
    measures.paced,
    measures.unpaced,
    measures.after,
)
_LAST: Sequence[Measure] = (measures.long,)
"""With --full, of ours alone."""


def main() -> int:
    options = _options()
    size = Size(1, 1.0, cores.chosen()) if options.quick else Size(3, 3.0, cores.chosen())
    if size.cores.load is None:
        say("one core alone: nobody is pinned; load, upstream and gateway share it")
    try:
        wrk.fetched()
    except NotToBeHadError as error:
        say(f"there is no load without wrk: {error}")
        return 1
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that all ends with us then, too
    contest = Contest(options)
    contest.runs = {name: [] for name in _to_be_had(_wanted(options), contest.absent, options.folder)}
    with _upstream(size.cores) as url:
        for number, order in contest.rounds():
            contest.say_at(number)
            last = _LAST if options.full and contest.last(number) else ()
            for name, figures in _round(order, url, options.folder, size, last).items():
                contest.runs[name].append(figures)
    contest.report(
        results.derived(contest.runs), results.LINES, results.WORST, results.goals, cores.words(size.cores)
    )
    return 0


def _options() -> argparse.Namespace:
    return arguments(
        "./dev bench-gateway",
        __doc__,
        quick="one short round, ours, direct and nginx alone: under a minute",
        full="also ours over 200,000 requests: minutes more",
        peers=PEERS,
        peer="this one alone beside ours and direct",
        more=lambda parser: parser.add_argument(
            "--beside", metavar="FOLDER", help="another checkout of aish too, in turn with this one"
        ),
    )


def _wanted(options: argparse.Namespace) -> list[str]:
    peers = options.peer or [name for name in PEERS if not (options.quick and DRIVERS[name].slow)]
    if options.beside is not None:
        Beside.checkout = options.beside
        peers.append(Beside.name)
    return [name for name in DRIVERS if name in ALWAYS or name in peers]


def _to_be_had(names: list[str], absent: dict[str, str], folder: str) -> list[str]:
    """Who is there or could be fetched; why not goes to `absent`."""
    found = []
    for name in names:
        try:
            DRIVERS[name](folder, "")
        except NotToBeHadError as error:
            absent[name] = str(error)
        else:
            found.append(name)
    return found


def _round(names: list[str], url: str, folder: str, size: Size, last: Sequence[Measure]) -> dict[str, Figures]:
    """All are up at the same time, and each measurement goes over them in turn."""
    figures: dict[str, Figures] = {name: {} for name in names}
    with ExitStack() as stack:
        drivers = []
        for name in names:
            driver = stack.enter_context(housed(partial(DRIVERS[name], upstream_url=url), folder))
            if _measured(measures.start, driver, size, figures[name]):
                drivers.append(driver)
        for measure in _MEASURES:
            for driver in drivers:
                _measured(measure, driver, size, figures[driver.name])
        for measure in last:
            for driver in drivers:
                if driver.name == "aish":
                    _measured(measure, driver, size, figures[driver.name])
    return figures


def _measured(measure: Measure, driver: Driver, size: Size, figures: Figures) -> bool:
    """One measurement, its figures added to `figures`. What fails is told and is no figure."""
    say(f"        {measure.__name__}  {driver.name}")
    try:
        figures.update(measure(driver, size))
    except (OSError, RuntimeError, AishError, subprocess.SubprocessError) as error:  # TimeoutError is an OSError
        say(f"        {measure.__name__}  {driver.name} failed: {error}")
        return False
    return True


@contextmanager
def _upstream(where: Cores) -> Iterator[str]:
    """The model server that all go to, as long as the run lasts; its URL with /v1."""
    with cores.on(where.load):
        process = subprocess.Popen(
            [sys.executable, "-m", "benches.gateway.upstream"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        )
    try:
        assert process.stdout is not None
        port = process.stdout.readline().decode().strip()
        if not port:
            raise RuntimeError("the upstream did not start")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(DEADLINE_S)


if __name__ == "__main__":
    sys.exit(main())
