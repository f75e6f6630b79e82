"""A contest: several programs that do the same, measured in turn over some rounds, and what came of it.

The command line, the rounds, the folders and the report are the same for each contest; who takes part and what is
measured is not.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

from benches import tables
from benches.programs import Programs
from benches.tables import Figures, Goal, Lines

D = TypeVar("D", bound=Programs)


class Contest:
    """`options` as `arguments` has them."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._rounds: int = options.rounds or (1 if options.quick else 3)
        self._begun_s = time.monotonic()
        self.runs: dict[str, list[Figures]] = {}
        self.absent: dict[str, str] = {}
        """Who could not be had, and why."""

    def rounds(self) -> Iterator[tuple[int, list[str]]]:
        """The number of each, and in which order all have their turn: nobody is always the first."""
        self._begun_s = time.monotonic()
        for number in range(self._rounds):
            names = list(self.runs)
            first = number % len(names)
            yield number, names[first:] + names[:first]

    def last(self, number: int) -> bool:
        return number == self._rounds - 1

    def say_at(self, number: int, *what: str) -> None:
        """At what it is."""
        say("  ".join([f"{self._elapsed_s():4.0f} s", f"round {number + 1}/{self._rounds}", *what]))

    def report(
        self,
        runs: Mapping[str, Sequence[Figures]],
        lines: Lines,
        worst: Container[str],
        goals: Callable[[dict[str, Figures]], list[Goal]],
        where: str,
    ) -> None:
        """Medians and goals; `where` it was, behind the machine."""
        told = tables.medians(runs, lines, worst)
        held = goals(told)
        if self._options.json:
            print(tables.document(runs, told, held, self.absent))
        else:
            print(tables.markdown(told, lines, held, self.absent))
        say(f"{self._elapsed_s():.0f} s; {tables.machine_words()}; {where}")

    def _elapsed_s(self) -> float:
        return time.monotonic() - self._begun_s


def arguments(
    program: str,
    doc: str | None,
    *,
    quick: str,
    full: str,
    peers: Sequence[str],
    peer: str | None = None,
    more: Callable[[argparse.ArgumentParser], object] = lambda parser: None,
) -> argparse.Namespace:
    """The command line: what --quick, --full and --peer mean here, and `more`."""
    parser = argparse.ArgumentParser(prog=program, description=doc)
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--full", action="store_true", help=full)
    parser.add_argument("--rounds", type=int, help="how often everything is measured (3)")
    parser.add_argument("--peer", action="append", choices=peers, help=peer)
    more(parser)
    parser.add_argument("--json", action="store_true", help="all figures of all rounds, for programs")
    parser.add_argument(
        "--folder",
        default="/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir(),
        help="where everybody's files are made (memory, so that no disk is measured)",
    )
    return parser.parse_args()


@contextmanager
def housed(make: Callable[[str], D], parent: str) -> Iterator[D]:
    """A program in a new folder, both gone afterwards. Raises NotToBeHadError."""
    folder = tempfile.mkdtemp(prefix="aish-b-", dir=parent)
    try:
        made = make(folder)
        try:
            yield made
        finally:
            made.down()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
