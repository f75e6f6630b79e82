"""Options of command lines that aish makes for its own programs: `--name VALUE …`, flags, and words behind `--`."""

from __future__ import annotations

from aish.errors import UsageError
from aish.model.nearest import nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def parted(
    argv: Sequence[str], options: Sequence[str], flags: Sequence[str] = ()
) -> tuple[dict[str, str], set[str], list[str]]:
    """Values by option, the flags that are set, and the words. Raises UsageError."""
    values: dict[str, str] = {}
    set_flags: set[str] = set()
    at = 0
    while at < len(argv) and argv[at] != "--":
        option, equals, value = argv[at].partition("=")
        if option in flags:
            set_flags.add(option)
        elif option not in options:
            near = nearest(option, (*options, *flags))
            hint = f"did you mean {near}?" if near else "words for the agent follow after --"
            raise UsageError(f"unknown option {option}", hint=hint)
        else:
            if not equals:
                at += 1
                if at >= len(argv) or argv[at] == "--":
                    raise UsageError(f"{option} needs a value")
                value = argv[at]
            values[option] = value
        at += 1
    return values, set_flags, list(argv[at + 1 :])
