"""`aish map`: one command over many items, so many at a time, each a supervised process."""

from __future__ import annotations

import copy
import os
import sys
from typing import TYPE_CHECKING, Final

from aish.cli import wanted
from aish.cli.arguments import Parser
from aish.cli.output import json_line
from aish.client import connect, follow
from aish.errors import NotFoundError, UsageError
from aish.mapping.book import Book
from aish.mapping.crew import Crew
from aish.mapping.item import Run, mark_of, run_of, takes_files
from aish.mapping.round import DONE, FAILED, RUNNING, Round, in_order
from aish.report import clean

if TYPE_CHECKING:
    from argparse import Namespace

    from aish.mapping.round import Job
    from aish.wire.spec import SpecPart

ITEMS_MOST: Final = 100_000
_ITEM_CHARS: Final = 64 << 10
LOOK_S: Final = 1.0
"""How often it is looked whether somebody still reads what is printed."""


def main(argv: list[str]) -> int:
    parser = Parser(
        "map",
        "Run a command for each item, N at a time; each run is a supervised process (`aish ps -l map`). {} in a\n"
        "word is the item; without it an @agent reads the item's file on stdin, another command gets it as its last\n"
        "word. Without items they are the lines of stdin. What a run has written is printed when it has ended. The\n"
        "exit status is how many have failed (101: more than 100). Ctrl-C, or a reader that leaves, ends all.\n"
        "--cwd is where each runs: the files that an @agent reads on stdin are still those of the folder here, and\n"
        "an item in a word stays as it is.",
        "examples: aish map -j 4 @summarise -- *.md\n"
        "          git ls-files '*.py' | aish map --joblog review.jsonl @review 'What is wrong in {}?' --",
    )
    wanted.options(parser)
    parser.usage = f"{parser.prog} [OPTION …] COMMAND [WORD …] -- [ITEM …]"
    parser.add_argument("-j", "--jobs", type=int, default=4, metavar="N", help="so many at a time (4)")
    parser.add_argument("-k", "--keep-order", action="store_true", help="print in the order of the items")
    parser.add_argument("--text", action="store_true", help="for an @agent: items are its words, not files")
    parser.add_argument("--out", metavar="FOLDER", help="write what each run prints to FOLDER/ITEM")
    parser.add_argument("--retries", type=int, default=0, metavar="N", help="try what failed again, N times (0)")
    parser.add_argument("--halt", action="store_true", help="begin nothing more once one has failed")
    parser.add_argument("--joblog", metavar="FILE", help="note how each ended, for --resume")
    parser.add_argument("--resume", action="store_true", help="go on where a map with that --joblog was ended")
    parser.add_argument("--json", action="store_true", help="one line of JSON for each item in place of its output")
    options, command, items = _parted(parser, argv)
    _check(options, command)
    items = items if items is not None else _lines()
    if takes_files(command, texts=options.text):
        _check_files(items)
    with Book(options.joblog, mark_of(command, texts=options.text), resume=options.resume) as book:
        return _map(options, command, items, book)


def _parted(parser: Parser, argv: list[str]) -> tuple[Namespace, list[str], list[str] | None]:
    """Options, the command, and the items behind the last `--`; None: there is no `--`."""
    items: list[str] | None = None
    if "--" in argv:
        at = len(argv) - 1 - argv[::-1].index("--")
        argv, items = argv[:at], argv[at + 1 :]
    options, command = parser.command(argv)
    return options, command, items or None


def _check(options: Namespace, command: list[str]) -> None:
    """Raises UsageError."""
    if not command:
        raise UsageError("which command?", hint="aish map @summarise -- *.md")
    if not 1 <= options.jobs <= 1000:
        raise UsageError(f"-j {options.jobs}: expected 1 to 1000")
    if options.retries < 0:
        raise UsageError(f"--retries {options.retries}: expected 0 or more")
    if options.resume and options.joblog is None:
        raise UsageError("--resume goes by a log", hint="--joblog FILE, as the map before had it")
    if options.name is not None or options.restart != "never":
        raise UsageError("--name and --restart are of one process", hint="a map has many; --retries tries again")
    if options.out is not None and not os.path.isdir(options.out):
        raise UsageError(f"--out {options.out}: no such folder")


def _lines() -> list[str]:
    """Items, one a line, of stdin. Raises UsageError."""
    if sys.stdin.isatty():
        raise UsageError("which items?", hint="behind --, or one a line on stdin")
    lines = [os.fsdecode(line.rstrip(b"\n")) for line in sys.stdin.buffer]
    return [line for line in lines if line]


def _check_files(items: list[str]) -> None:
    """Before anything begins. Raises NotFoundError."""
    missing = [item for item in items if not os.path.exists(item)]
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise NotFoundError(f"no file {missing[0]}{more}", hint="with --text items are words for the agent")


def _map(options: Namespace, command: list[str], items: list[str], book: Book) -> int:
    if len(items) > ITEMS_MOST or any(len(item) > _ITEM_CHARS for item in items):
        raise UsageError(f"at most {ITEMS_MOST:,} items of {_ITEM_CHARS:,} characters")
    if len(set(items)) != len(items):
        raise UsageError("an item is there twice", hint="sort -u")
    round = Round.of(items, most=options.jobs, retries=options.retries, halt=options.halt)

    def spec(run: Run) -> SpecPart:
        return wanted.spec_of(copy.copy(options), list(run.words))

    with connect(program="map") as client:
        launch = wanted.surroundings(options)
        crew = Crew(client, round, book, lambda item: run_of(command, item, texts=options.text), spec, launch)
        shown = Shown(crew, options)
        try:
            if options.resume:
                shown.ended(crew.take_up())
            while not round.over:
                failed = crew.begin()
                shown.ended(failed)
                if not failed and round.count(RUNNING):
                    shown.ended(crew.wait(LOOK_S))
                if follow.reader_left():
                    raise BrokenPipeError
        except (KeyboardInterrupt, BrokenPipeError):
            crew.stop()
            shown.end()
            raise
        shown.end()
    return round.status


class Shown:
    """Output of those that have ended, and on stderr where the whole is."""

    def __init__(self, crew: Crew, options: Namespace) -> None:
        self._crew, self._options = crew, options
        self._printed = 0
        self._terminal = sys.stderr.isatty()

    def ended(self, jobs: list[Job]) -> None:
        """Those that will not be tried again are shown."""
        if self._options.keep_order:
            jobs = in_order(self._crew.round.jobs, self._printed)
            self._printed += len(jobs)
        for job in jobs:
            before = job.state == DONE and not job.attempts  # by an earlier map
            if job.state in (DONE, FAILED) and not before:
                self._show(job)
                self._crew.noted(job)
        self._tell()

    def _show(self, job: Job) -> None:
        self._clear()
        if self._options.out is not None:
            self._write(job)
        if self._options.json:
            print(json_line(_told(job)), flush=True)
        elif self._options.out is None:
            sys.stdout.flush()
            self._crew.copy(job, 1, 2)
        if job.state == FAILED and not self._options.json:
            why = job.why or f"status {job.status}" + (f" after {job.attempts} tries" if job.attempts > 1 else "")
            print(f"aish map: {clean(job.item)}: {why}", file=sys.stderr, flush=True)

    def _write(self, job: Job) -> None:
        """Whole or not at all, under the item's name without its folders."""
        path = os.path.join(self._options.out, name_of(job.item))
        draft = f"{path}.part"
        with open(draft, "wb") as sink:
            self._crew.copy(job, sink.fileno(), 2)
        os.replace(draft, path)

    def _tell(self) -> None:
        if self._terminal:
            self._clear()
            print(self._crew.round.told(), end="", file=sys.stderr, flush=True)

    def _clear(self) -> None:
        if self._terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        self._clear()
        round = self._crew.round
        if round.status and not self._options.json:
            print(f"aish map: {round.told()}", file=sys.stderr, flush=True)


def name_of(item: str) -> str:
    """The name of a file for an item. Pure."""
    name = item.strip("/").replace("/", "_").replace("\0", "_")[:200]
    return f"_{name}" if name in ("", ".", "..") else name


def _told(job: Job) -> dict[str, object]:
    return {
        "item": job.item,
        "status": job.status,
        "process": job.process,
        "attempts": job.attempts,
        "seconds": job.seconds,
        "why": job.why,
    }
