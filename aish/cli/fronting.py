"""`python -P -m aish.cli.fronting`: the front of a session, as `aish session` starts it. It has verbs and a shell."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from aish.cli import VERBS, is_verb, verb
from aish.session import start
from aish.shell.host import ShellHost


def main(argv: list[str]) -> NoReturn:
    os._exit(start(argv, ShellHost(verb, is_verb, VERBS)))


if __name__ == "__main__":
    main(sys.argv[1:])
