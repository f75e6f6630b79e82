"""`python -P -m aish.cli.fronting`: the front of a session, as `aish session` starts it. It has verbs and a shell."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from aish.cli import VERBS, is_verb, verb
from aish.errors import AishError, InternalError
from aish.report import report
from aish.session import start
from aish.shell.host import ShellHost

_PROGRAM = "aish session"


def main(argv: list[str]) -> NoReturn:
    try:
        status = start(argv, ShellHost(verb, is_verb, VERBS))
    except AishError as error:
        report(_PROGRAM, error)
        status = error.exit_status
    except Exception as error:  # noqa: BLE001  the process's edge: recorded, and told without a traceback
        from aish.cli.dispatch import record

        report(_PROGRAM, InternalError(f"a fault in aish: {error!r}", hint=record(error)))
        status = InternalError.exit_status
    os._exit(status)


if __name__ == "__main__":
    main(sys.argv[1:])
