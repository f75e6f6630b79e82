"""`./dev bench-shell`: what the shell's start, scripts and programs cost, beside others, alternating, in one run."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable

from benches.contest import Contest, arguments, say
from benches.fetch import NotToBeHadError
from benches.shell import measures, results, shells
from benches.shell.measures import Size, Wrong
from benches.shell.scripts import SCRIPTS
from benches.shell.shells import Shell
from benches.tables import Figures

QUICK = ("aish", "bash", "dash")
Measure = Callable[[list[Shell]], dict[str, Figures]]


def main() -> int:
    options = _options()
    size = Size(21, 40, True) if options.quick else Size(41, 100, False)
    contest = Contest(options)
    folder = tempfile.mkdtemp(prefix="aish-b-", dir=options.folder)
    try:
        measures.prepare(folder)
        taking = _taking(_wanted(options), folder, contest)
        contest.runs = {shell.name: [] for shell in taking}
        for number, order in contest.rounds():
            ordered = [shell for name in order for shell in taking if shell.name == name]
            for name, figures in _round(ordered, size, folder, contest, number).items():
                contest.runs[name].append(figures)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    contest.report(results.derived(contest.runs), results.LINES, (), results.goals, f"files in {options.folder}")
    return 0


def _options() -> argparse.Namespace:
    return arguments(
        "./dev bench-shell",
        __doc__,
        quick="one short round, aish as ./dev has it, bash and dash alone: under a minute",
        full="nothing more: all of it is short",
        peers=[*shells.WAYS[1:], *shells.PEERS],
        peer="this one alone beside aish as ./dev has it",
    )


def _wanted(options: argparse.Namespace) -> list[str]:
    every = [*shells.WAYS, *shells.PEERS]
    if options.peer:
        return [name for name in every if name == "aish" or name in options.peer]
    return [name for name in every if name in QUICK] if options.quick else every


def _taking(names: list[str], folder: str, contest: Contest) -> list[Shell]:
    found = []
    for name in names:
        say(f"having {name}")
        try:
            found.append(shells.take(name, folder))
        except NotToBeHadError as error:
            contest.absent[name] = str(error)
    return found


def _round(taking: list[Shell], size: Size, folder: str, contest: Contest, number: int) -> dict[str, Figures]:
    """Every measurement over all shells in turn. What fails is told and is no figure."""
    found: dict[str, Figures] = {shell.name: {} for shell in taking}
    able = [shell for shell in taking if shell.posix]
    every: list[tuple[str, Measure, list[Shell]]] = [
        ("starts", lambda those: measures.starts(those, size, folder), taking),
        *(
            (script.words, lambda those, script=script: measures.script(those, script, size, folder), able)
            for script in SCRIPTS
        ),
        ("programs", lambda those: measures.spawn(those, size, folder), able),
    ]
    for words, measure, those in every:
        contest.say_at(number, words)
        try:
            for name, figures in measure(those).items():
                found[name].update(figures)
        except (OSError, Wrong) as error:
            say(f"       {words} failed: {error}")
    return found


if __name__ == "__main__":
    sys.exit(main())
