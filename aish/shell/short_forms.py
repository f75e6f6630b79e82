"""At the prompt a verb's name alone is enough, where no Unix program has that name.

They are functions, so `type` tells what they are, `command ps` and config.aish overrule them. Scripts and -c never
see them: there every verb is `aish VERB`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container
    from typing import Final

# Not in POSIX, coreutils, procps, util-linux or bash.
NAMES: Final = (
    "attach",
    "cont",
    "doctor",
    "events",
    "forget",
    "gpu",
    "inspect",
    "limit",
    "logs",
    "model",
    "pause",
    "spawn",
    "requests",
    "restart",
    "start",
    "stop",
    "usage",
    "wrapup",
)

# Bare and on a terminal they show ours; with arguments or in a pipeline they are the system's.
BARE: Final = ("ps", "top")


def functions(verbs: Container[str]) -> str:
    """Their definitions in the shell's language, for those of them that are verbs."""
    lines = [f'{name}() {{ aish {name} "$@"; }}' for name in NAMES if name in verbs]
    lines += [
        f'{name}() {{ if [ $# -eq 0 ] && [ -t 1 ]; then aish {name}; else command {name} "$@"; fi; }}'
        for name in BARE
        if name in verbs
    ]
    return "\n".join(lines)
