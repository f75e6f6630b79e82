"""What a supervised process is: a plain command, an agent, a model server, or a part of aish itself."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, Literal

    Kind = Literal["command", "agent", "model", "system"]

COMMAND: Final = "command"
AGENT: Final = "agent"
MODEL: Final = "model"
SYSTEM: Final = "system"  # gateway, egress: supervised like the rest, hidden from ps unless asked for

KINDS: Final = (COMMAND, AGENT, MODEL, SYSTEM)
