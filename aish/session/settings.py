"""The bounds of a session: what its client may ask for, and what nobody can exceed. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

LINE_BYTES: Final = 4 << 20
"""Of one request."""
MOST_QUEUED: Final = 1000
"""Commands that wait for their turn."""
MOST_QUEUED_BYTES: Final = 16 << 20
"""Their texts together."""
MOST_OPEN: Final = 128
"""Commands whose output somebody in the background may still write to: two descriptors each."""
MOST_OUTPUT_BYTES: Final = 1 << 20
MOST_TIMEOUT_S: Final = 7 * 86400.0
FILE_BYTES: Final = 64 << 20
"""Of one file of output; what is written beyond is counted and dropped."""
MOST_FILES: Final = 128
MOST_FILES_BYTES: Final = 512 << 20
UNREAD_BYTES: Final = 8 << 20
"""What may wait for a client that does not read, before its requests are not read either."""
LEAVE_S: Final = 2.0
"""For the EXIT trap, when the session ends."""


class Settings(NamedTuple):
    """What the command line says."""

    timeout_s: float = 600.0
    """Of a command that says nothing itself."""
    output_bytes: int = 32 << 10
    """Of each stream in a result."""
    grace_s: float = 2.0
    """From SIGTERM to SIGKILL."""
    patience_s: float = 600.0
    """Until a client that reads nothing of what waits for it is taken for dead."""
    keep: str | None = None
    """The folder that keeps what commands have written."""
    lifeline: int = -1
    """A descriptor that ends when whoever started the session does."""
    unsupervised: str = ""
    """Why no supervisor has it; "": one has."""


def words(settings: Settings) -> list[str]:
    """As options of the front's command line: those that are not as usual."""
    usual = Settings()
    return [
        f"--{name.replace('_', '-')}={value}"
        for name, value in settings._asdict().items()
        if value is not None and value != getattr(usual, name)
    ]


def parsed(argv: Sequence[str]) -> Settings:
    """What `words` made."""
    found: dict[str, str | int | float] = {}
    for word in argv:
        name, _, value = word.removeprefix("--").partition("=")
        match name.replace("-", "_"):
            case "timeout_s" | "grace_s" | "patience_s" as field:
                found[field] = float(value)
            case "output_bytes" | "lifeline" as field:
                found[field] = int(value)
            case field:
                found[field] = value
    return Settings(**found)  # type: ignore[arg-type]
