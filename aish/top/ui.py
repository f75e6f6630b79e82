"""What the person at the screen has chosen, and what the screen knows beside the view. Pure data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from aish.top.history import History

Link = Literal["live", "reconnecting"]
SORTS: Final = ("tree", "cpu", "rss", "vram", "tokens", "age", "name", "state")


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirm:
    """A question that y answers: stop this process?"""

    target: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ui:
    """`interactive` False (a frame for a pipe or a picture) leaves out selection, detail and keys.

    `now_s` is the wall clock of the one who draws: against it the age of the view is told. None: the view is of now.
    """

    selected: str | None = None
    sort: str = "tree"
    paused: bool = False
    """The display stands still; processes go on."""
    filter: str = ""
    editing: bool = False
    """The filter is being typed."""
    help: bool = False
    confirm: Confirm | None = None
    message: str = ""
    trouble: bool = False
    """The message tells of a failure."""
    history: History = field(default_factory=History)
    link: Link = "live"
    every_s: float = 1.0
    now_s: float | None = None
    utc_offset_s: int = 0
    interactive: bool = True
    colour: bool = True
    ascii_only: bool = False
