"""From a verb's words to its exit status: load its module, run it, tell its errors."""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback

from aish.cli import _ELSEWHERE, VERBS
from aish.errors import AishError, InternalError
from aish.report import clean, report, told

_ALONE = ("agent", "tensor")
"""Verbs that ask nothing of the daemon."""


def run(argv: list[str]) -> int:
    name, words = argv[0], argv[1:]
    program = f"aish {name}"
    ours = words[: words.index("--")] if "--" in words else words
    tell = _tell_json if "--json" in ours else report
    try:
        if name in VERBS and name not in _ALONE:
            _check_settings(as_json=tell is _tell_json)
        status = _perform(name, words)
        sys.stdout.flush()
        return status
    except AishError as error:
        tell(program, error)
        return error.exit_status
    except SystemExit as error:  # argparse, after --help
        return error.code if isinstance(error.code, int) else 0
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        silence_stdout()
        return 141
    except OSError as error:
        tell(program, AishError(f"{error.strerror or error}" + (f": {error.filename}" if error.filename else "")))
        return 1
    except Exception as error:  # noqa: BLE001  the process's edge: recorded, and told without a traceback
        tell(program, InternalError(f"a fault in aish: {error!r}", hint=_record(error)))
        return InternalError.exit_status


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
    status: int = importlib.import_module(_ELSEWHERE.get(name, f"aish.cli.{name}")).main(words)
    return status


def _tell_json(program: str, error: AishError) -> None:
    """For who asked with --json: the same facts, as one line of JSON on stderr."""
    try:
        print(json.dumps({"error": told(error)}, ensure_ascii=False), file=sys.stderr, flush=True)
    except OSError:
        pass  # nobody reads stderr any more: the exit status still tells


def silence_stdout() -> None:
    """Nobody reads our output any more: let the flush at exit go nowhere."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


def _record(error: Exception) -> str:
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
