"""The shell as people and scripts meet it.

    program     arguments, where the commands come from, start and end
    host        what the language asks of the world: supervised stages, verbs, tensor edges
    script_file, standard_input
                where its text comes from, read as far as it is needed
    prompt, highlight, complete, ask, history
                the interactive side, loaded on a terminal only

The language, its built-ins and the job table are in `aish.lang`.
"""

from __future__ import annotations

import gc
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def called_as_sh() -> bool:
    """A link of that name was called: the standard's shell is wanted."""
    return sys.argv[0].rpartition("/")[2].lstrip("-") == "sh"


def main(
    argv: list[str],
    *,
    verb: Callable[[list[str]], int] | None = None,
    is_verb: Callable[[list[str]], bool] | None = None,
    verbs: Iterable[str] = (),
    names: Callable[[], list[str]] | None = None,
    after: Callable[[list[str], str], list[tuple[str, str]] | None] | None = None,
) -> int:
    """Run a shell with these arguments (without the program's name); its exit status.

    The command line is a layer above the shell and hands itself down: `verb` runs the words behind `aish`, `is_verb`
    says whether they are a verb, `verbs` are their names, for completion. `names` gives the names of supervised
    processes, agents and models, and `after` what may follow a verb (None: any file), for completion: they are called
    in a copy of the shell, with a deadline.

    It may not return: a command that is the last one replaces the process.
    """
    gc.disable()  # while code is loaded: it stays, and looking through it again and again costs a millisecond
    from aish.shell.host import ShellHost
    from aish.shell.program import run

    return run(argv, ShellHost(verb, is_verb, verbs, names, after))
