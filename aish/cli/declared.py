"""The project that verbs are about: how it is named on the command line, and how its mistakes are told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aish.client import launch
from aish.project import declared, file
from aish.report import report

if TYPE_CHECKING:
    from aish.cli.arguments import Parser
    from aish.project.declared import Declared


def file_option(parser: Parser) -> None:
    parser.add_argument(
        "-f", "--file", metavar="FILE", help="the project's file; default: aish.toml here or in a folder above"
    )


def path_of(told: str | None) -> str:
    return file.find(launch.folder(), told)


def load(path: str, program: str) -> Declared:
    """Raises SourceError with the last problem, when the others are told."""
    found, problems = declared.examine(path)
    if problems:
        for problem in problems[:-1]:
            report(f"aish {program}", problem)
        raise problems[-1]
    assert found is not None
    return found
