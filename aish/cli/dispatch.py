"""From a verb's words to its exit status: load its module, run it, tell its errors."""

from __future__ import annotations

import errno
import importlib
import os
import sys
import traceback
from typing import Final

from aish.cli import _ELSEWHERE, VERBS
from aish.client.interrupts import Interruptible
from aish.errors import AishError, InternalError, StorageError
from aish.report import clean, report, told_as_json

_UNWRITTEN: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EBADF, errno.EIO)
"""What writing to stdout may end with, beside a reader that left."""
_ALONE = ("agent", "completion", "prompt", "shim", "tensor")
"""Verbs that ask nothing of the daemon."""


def run(argv: list[str]) -> int:
    name, words = argv[0], argv[1:]
    ours = words[: words.index("--")] if "--" in words else words
    as_json = "--json" in ours
    before = told_as_json(as_json)
    try:
        return _run(name, words, as_json=as_json)
    finally:
        told_as_json(before)  # the shell, whose built-in the verb may be, goes on


def _run(name: str, words: list[str], *, as_json: bool) -> int:
    program = f"aish {name}"
    try:
        if name in VERBS and name not in _ALONE:
            _check_settings(as_json=as_json)
        status = _perform(name, words)
        sys.stdout.flush()
        return status
    except AishError as error:
        report(program, error)
        return error.exit_status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        silence_stdout()
        return 141
    except OSError as error:
        if error.errno in _UNWRITTEN and not error.filename:
            return _not_written(program, error)
        report(program, AishError(f"{error.strerror or error}" + (f": {error.filename}" if error.filename else "")))
        return 1
    except Exception as error:  # noqa: BLE001  the process's edge: recorded, and told without a traceback
        report(program, InternalError(f"a fault in aish: {error!r}", hint=record(error)))
        return InternalError.exit_status


def _not_written(program: str, error: OSError) -> int:
    """The disk is full, or the descriptor is closed: said once, and not tried again at the end."""
    _drop_output()
    report(program, StorageError(f"write error: {error.strerror}", hint="the output is incomplete"))
    return StorageError.exit_status


def _check_settings(*, as_json: bool) -> None:
    """One line of warning on stderr where config.toml is wrong: the daemon goes on with the defaults, and that must
    not be found out from what it does. Costs a stat where there is none."""
    from aish.config import settings

    if not os.path.exists(settings.path()):
        return
    try:
        settings.load()
    except AishError as error:
        text = f"{error}; the default settings are used"
        try:
            import json

            line = json.dumps({"warning": text}, ensure_ascii=False) if as_json else clean(f"aish: {text}")
            print(line, file=sys.stderr, flush=True)
        except OSError:
            pass  # nobody reads stderr


def _perform(name: str, words: list[str]) -> int:
    if name in ("--help", "help"):
        print(overview())
        return 0
    if name == "--version":
        print(version())
        return 0
    try:
        verb = importlib.import_module(_ELSEWHERE.get(name, f"aish.cli.{name}"))
        with Interruptible():
            status: int = verb.main(words)
    except SystemExit as error:  # argparse, after --help
        return error.code if isinstance(error.code, int) else 0
    return status


def silence_stdout() -> None:
    """Nobody reads our output any more: let the flush at exit go nowhere."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


def _drop_output() -> None:
    """What cannot be written is not tried again at the end; descriptor 1 stays what it is, the shell's perhaps."""
    inheritable, kept = os.get_inheritable(1), os.dup(1)
    try:
        silence_stdout()
        sys.stdout.flush()
    finally:
        os.dup2(kept, 1, inheritable=inheritable)
        os.close(kept)


def record(error: Exception) -> str:
    """Keep the traceback where a report can quote it; the hint that says where."""
    from aish.config import folders

    try:
        path = os.path.join(folders.private(folders.state()), "faults.log")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "w") as stream:
            stream.write("".join(traceback.format_exception(error)) + "\n")
    except (AishError, OSError):
        return "please report it; the details could not be written to the state folder"
    return f"please report it with the end of {path}"


def version() -> str:
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return f"aish {installed('aish-shell')}"
    except PackageNotFoundError:
        return "aish (not installed)"


def overview() -> str:
    width = max(map(len, VERBS))
    lines = [
        "aish: a shell and a supervisor in which agents and models are processes",
        "",
        "  aish                       the shell",
        "  aish SCRIPT [ARG…]         run a script",
        "  aish -c COMMAND [ARG…]     run a command line",
        "  aish VERB [--help] …       one of:",
        "",
    ]
    lines += [f"  {name:<{width}}  {summary}" for name, summary in VERBS.items()]
    return "\n".join(lines)
