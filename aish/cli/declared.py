"""The project that verbs are about: how it is named on the command line, and how its mistakes are told."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

from aish.client import launch
from aish.config import project_file
from aish.config.document import FILE_BYTES_MAX
from aish.errors import UsageError
from aish.project import declared
from aish.report import report

if TYPE_CHECKING:
    from aish.cli.arguments import Parser
    from aish.errors import SourceError
    from aish.project.declared import Declared

_STDIN: Final = ("-", "/dev/stdin")


def file_option(parser: Parser) -> None:
    parser.add_argument(
        "-f", "--file", metavar="FILE", help="the project's file; default: aish.toml here or in a folder above"
    )


def path_of(told: str | None) -> str:
    """Raises UsageError, NotFoundError, SourceError."""
    if told in _STDIN:
        raise UsageError(
            f"--file {told}: the processes of a project are known by its file, which is read again",
            hint="write it to one; `aish project check` and `show` take it from a pipe, too",
        )
    return project_file.find(launch.folder(), told)


def examined(told: str | None) -> tuple[str, Declared | None, list[SourceError]]:
    """Of the file, or of what comes through a pipe as if it were the aish.toml of this folder: its path, what it
    declares, and all that is wrong with it. Raises NotFoundError, SourceError."""
    if told not in _STDIN:
        path = path_of(told)
        return path, *declared.examine(path)
    path = os.path.join(launch.folder(), project_file.NAME)
    return path, *declared.examine(path, sys.stdin.buffer.read(FILE_BYTES_MAX + 1))


def load(path: str, program: str) -> Declared:
    """Raises SourceError with the last problem, when the others are told."""
    return accepted(*declared.examine(path), program)


def accepted(found: Declared | None, problems: list[SourceError], program: str) -> Declared:
    """What was examined. Raises SourceError with the last problem, when the others are told."""
    if problems:
        for problem in problems[:-1]:
            report(f"aish {program}", problem)
        raise problems[-1]
    assert found is not None
    return found
