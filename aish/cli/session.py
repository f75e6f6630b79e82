"""`aish session`: a shell that a program drives command by command, by JSON lines on stdin and stdout."""

from __future__ import annotations

import math
import os
import sys
from typing import TYPE_CHECKING

from msgspec import structs

from aish.cli import wanted, worktree
from aish.cli.arguments import Parser
from aish.client import stage
from aish.client.stage import NeverBeganError
from aish.errors import StorageError, UnavailableError, UsageError
from aish.model.size import parse_bytes
from aish.report import clean
from aish.session import settings as bounds
from aish.session.settings import Settings
from aish.worktree import naming

if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Final, NoReturn

    from aish.wire.spec import LaunchPart, SpecPart

_NAME: Final = "session"
_GRACE_S: Final = 3.0
"""Of the session as a process, beyond that of its commands: it ends them first."""


def main(argv: list[str]) -> NoReturn:
    """Ends this process as the session ended, so it does not return."""
    parser = Parser(
        "session",
        "A shell for a program, an agent's shell tool say: requests are lines of JSON on stdin, answers on stdout;\n"
        "folder, variables and functions stay from command to command. A command has an empty stdin, process groups\n"
        "of its own and a time-out that ends all that it has started. docs/reference/session.md has the protocol.\n"
        "The session is a supervised process; where no supervisor can be had and no limits are asked for, it runs\n"
        "without one, and its first line says so.",
        """example: printf '%s\\n' '{"type": "run", "command": "ls"}' | aish session --budget 50k""",
    )
    wanted.options(parser)
    worktree.options(parser)
    _options(parser)
    parser.usage = f"{parser.prog} [OPTION …]"
    options = parser.parse_args(argv)
    settings = _settings(options)
    plain = wanted.spec_of(parser.parse_args([]), ["session"])
    part = wanted.spec_of(options, ["session"])
    asked = structs.replace(part, name=None, labels={}) != plain or naming.LABEL in part.labels
    part = structs.replace(part, name=part.name or _NAME, grace_s=max(part.grace_s, settings.grace_s + _GRACE_S))
    if options.no_supervisor or os.isatty(0):
        why = "--no-supervisor" if options.no_supervisor else "stdin is a terminal, and a supervised process has none"
        if asked:
            raise UsageError(f"limits and the like are the supervisor's: {why}")
        _alone(settings, why)
    try:
        with worktree.given(part, wanted.surroundings(options), options, "aish session") as given:
            _supervised(given.part, given.launch, settings, rename=options.name is None)
    except (NeverBeganError, StorageError, UnavailableError) as why:
        fault = why.error if isinstance(why, NeverBeganError) else why
        if asked or not isinstance(fault, StorageError | UnavailableError):
            raise fault from None
        _alone(settings, str(fault))


def _options(parser: Parser) -> None:
    group = parser.add_argument_group("commands")
    usual = Settings()
    group.add_argument(
        "--command-timeout",
        type=float,
        default=usual.timeout_s,
        metavar="SECONDS",
        help=f"of a command that says nothing itself ({usual.timeout_s:.0f})",
    )
    group.add_argument(
        "--command-grace",
        type=float,
        default=usual.grace_s,
        metavar="SECONDS",
        help=f"from SIGTERM to SIGKILL at its end by time-out ({usual.grace_s:.0f})",
    )
    group.add_argument(
        "--output",
        metavar="SIZE",
        help="how much of stdout, and of stderr, a result shows, such as 100K (32K); the rest is in a file",
    )
    group.add_argument("--keep", metavar="FOLDER", help="keep those files there; else they go with the session")
    group.add_argument(
        "--patience",
        type=float,
        default=usual.patience_s,
        metavar="SECONDS",
        help=f"the client is taken for dead when it reads nothing for so long ({usual.patience_s:.0f})",
    )
    group.add_argument(
        "--json", action="store_true", help="an error before the first answer is JSON, as all answers are"
    )
    group.add_argument("--no-supervisor", action="store_true", help="as a child of the caller, without limits")


def _settings(options: Namespace) -> Settings:
    """Raises UsageError."""
    for option, value in (
        ("--command-timeout", options.command_timeout),
        ("--patience", options.patience),
    ):
        if not 0 < value <= bounds.MOST_TIMEOUT_S:
            raise UsageError(f"{option} {value:g}: expected a time above 0 s, at most {bounds.MOST_TIMEOUT_S:.0f} s")
    if not 0 <= options.command_grace <= 3600 or math.isnan(options.command_grace):
        raise UsageError(f"--command-grace {options.command_grace:g}: expected 0 to 3600 seconds")
    output_bytes = Settings().output_bytes if options.output is None else parse_bytes(options.output)
    if output_bytes > bounds.MOST_OUTPUT_BYTES:
        raise UsageError(f"--output {options.output}: at most {bounds.MOST_OUTPUT_BYTES >> 20}M")
    if options.keep is not None:
        _writable(options.keep)
    return Settings(
        timeout_s=options.command_timeout,
        output_bytes=output_bytes,
        grace_s=options.command_grace,
        patience_s=options.patience,
        keep=None if options.keep is None else os.path.abspath(options.keep),
    )


def _writable(folder: str) -> None:
    """Told now, and not by a result that has no file. Raises StorageError."""
    try:
        os.makedirs(folder, exist_ok=True)
        writable = os.access(folder, os.W_OK | os.X_OK)
    except OSError as error:
        raise StorageError(f"--keep {folder}: {error.strerror}") from None
    if not writable:
        raise StorageError(f"--keep {folder}: not writable")


def _command(settings: Settings) -> list[str]:
    return [sys.executable, "-P", "-m", "aish.cli.fronting", *bounds.words(settings)]


def _alone(settings: Settings, why: str) -> NoReturn:
    """Without a supervisor: in this process."""
    command = _command(settings._replace(unsupervised=clean(why)))
    os.execv(command[0], command)


def _supervised(part: SpecPart, surroundings: LaunchPart, settings: Settings, *, rename: bool) -> NoReturn:
    """It has our standard streams, and one descriptor more that ends with us, however we do: so does the session."""
    read, _ = os.pipe()
    part = structs.replace(part, argv=[os.fsencode(word) for word in _command(settings._replace(lifeline=read))])
    stage.leave(stage.run(part, surroundings, (0, 1, 2, read), rename=rename, must_begin=True))
